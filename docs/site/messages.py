"""Every message that the package can print, with its way out, collected from the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("vol3d", "pointcloud", "medical")
ERRORS = {
    "UsageError": "Wrong commands and settings (exit status 2)",
    "DataError": "Files and data sets (exit status 1)",
    "CheckpointError": "Weights and models (exit status 1)",
    "Vol3dError": "Everything else (exit status 1)",
}
_INTRO = """\
# Messages

An error is one line: where, what, what was got and what was wanted, and what to do. `…` stands for names and numbers of
your own case. Search this page for a few words of what you saw. `vol3d --debug` prints a traceback as well.

Exit status: 0 success, 1 failure, 2 wrong command line or settings, 3 some inputs failed and the others were written.
"""
_FAULTS = """\
## Faults of a data set

`vol3d data check` lists these. An *error* makes a training or an evaluation wrong or impossible; a *warning* should be
looked into. Codes do not change between releases.
"""
_NOTES = """\
## Notes

What was assumed, found or changed while a scan was read; it is printed and kept with the result. The
setting overrides it.
"""


@dataclass(frozen=True, order=True)
class Message:
    """One message as the source has it, `…` for what is filled in."""

    kind: str
    what: str
    do: str = ""
    code: str = ""


def page() -> str:
    """The page, as Markdown."""
    found = sorted({message for path in sources() for message in collect(ast.parse(path.read_text("utf-8")))})
    parts = [_INTRO]
    for kind, title in ERRORS.items():
        parts += [f"## {title}\n", _table(("message", "what to do"), [(m.what, m.do) for m in found if m.kind == kind])]
    faults = [(f"`{m.code}`", m.what, m.do) for m in found if m.kind == "Fault"]
    notes = [(f"`{m.code}`", m.what, f"`{m.do}`" if m.do else "") for m in found if m.kind == "Note"]
    parts += [_FAULTS, _table(("code", "fault", "what to do"), faults)]
    parts += [_NOTES, _table(("code", "note", "override with"), notes)]
    return "\n".join(parts)


def sources() -> list[Path]:
    """The package's modules."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def collect(tree: ast.Module) -> Iterator[Message]:
    """The messages that a module makes."""
    shared = _assigned(tree.body)
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for scope in scopes:
        texts = shared | _assigned(list(ast.walk(scope)))
        yield from (message for call in _calls(scope) if (message := _message(call, texts)) is not None)
    yield from (message for node in tree.body for call in _calls(node, False) if (message := _message(call, shared)))


def _calls(scope: ast.AST, functions: bool = True) -> Iterator[ast.Call]:
    if not functions and isinstance(scope, ast.FunctionDef | ast.ClassDef):
        return
    yield from (node for node in ast.walk(scope) if isinstance(node, ast.Call))


def _message(call: ast.Call, texts: dict[str, ast.expr]) -> Message | None:
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    words = {word.arg: word.value for word in call.keywords}

    def text(position: int, key: str) -> str:
        node = call.args[position] if len(call.args) > position else words.get(key)
        return _text(node, texts)

    if name in ERRORS and text(0, "what"):
        return Message(name, text(0, "what"), text(99, "do"))
    if name == "Fault" and text(99, "code") and text(2, "what"):
        return Message("Fault", text(2, "what"), text(3, "do"), text(99, "code"))
    if name == "Note" and text(0, "code") and text(1, "template"):
        return Message("Note", _open(text(1, "template")), text(2, "setting"), text(0, "code"))
    return None


def _assigned(nodes: list[ast.AST] | list[ast.stmt]) -> dict[str, ast.expr]:
    """Names that stand for a text, where only one is assigned."""
    found: dict[str, ast.expr] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            values = node.value.elts if isinstance(node.value, ast.Tuple) else []
            found |= {t.id: v for t, v in zip(node.targets[0].elts, values, strict=False) if isinstance(t, ast.Name)}
    return found


def _text(node: ast.AST | None, texts: dict[str, ast.expr]) -> str:
    """A text of the source, `…` for its expressions; nothing where it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, {}) or "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (_text(node.left, texts) or "…") + (_text(node.right, texts) or "…")
    if isinstance(node, ast.Name) and node.id in texts:
        return _text(texts[node.id], {})
    return ""


def _open(template: str) -> str:
    """A template of `str.format` without its names."""
    parts = template.split("{")
    return parts[0] + "".join(f"…{part.partition('}')[2]}" for part in parts[1:])


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(_cell(cell) for cell in row) for row in dict.fromkeys(rows)]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    if text.startswith("`"):
        return text
    text = text.replace("\n", " ").replace("<", "&lt;")
    return re.sub(r"([|*_\[])", r"\\\1", text)
