"""The notebooks as pages: text and code as they are stored, and a link to the file itself."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"


def pages() -> dict[str, str]:
    """Path of the page in the site -> its Markdown."""
    return {f"notebooks/{path.stem}.md": page(path) for path in sorted(FOLDER.glob("*.ipynb"))}


def page(path: Path) -> str:
    """One notebook as Markdown. Outputs are not stored: whoever runs it sees them."""
    first, *rest = (_cell(cell) for cell in json.loads(path.read_text("utf-8"))["cells"])
    download = f'<a href="{path.name}" download>Download this notebook</a>'
    return "\n\n".join([first, download, *rest]) + "\n"


def _cell(cell: dict[str, object]) -> str:
    text = "".join(cell["source"]).strip()  # type: ignore[arg-type]
    return text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
