"""The frame of every page: one file, no address outside of it, readable by day and by night."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from vol3d.report.escape import escape
from vol3d.report.html import contents

# The page may run its own script and show its own pictures, and may load nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def document(title: str, byline: str, parts: Sequence[str]) -> str:
    """The whole HTML page; `parts` are HTML already, empty ones are left out."""
    here = files("vol3d.report")
    style, script = (here.joinpath(name).read_text("utf-8") for name in ("style.css", "script.js"))
    name = escape(title, quote=True)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY, quote=True)}"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{name} · vol3d report</title><style>{style}</style></head>\n"
        f"<body><header><h1>{name}</h1><p>{escape(byline)}</p>{contents(parts)}</header>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + f"\n</main><script>{script}</script></body></html>\n"
    )
