"""What the documentation site has beside the pages of `docs/`: pages made from the code, and files outside `docs/`.

MkDocs calls `on_files` and `on_page_markdown`. Links are written for a reader of the repository; those that leave
`docs/` lead to a copy of the file in the site.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from docs.site import licences, messages, notebooks, settings  # noqa: E402  (the repository is importable from here on)

COPIED = ("CHANGELOG.md", "CONTRIBUTING.md")
OUTSIDE = "repository"  # folder of the site for files that are not in docs/
_LINK = re.compile(r"(\]\()([^)\s#]+)([^)\s]*\))")


def on_files(files: Files, config: Any) -> Files:
    """Adds the generated pages, and every file outside `docs/` that a page links to."""
    made = {
        **settings.pages(),
        **notebooks.pages(),
        "reference/messages.md": messages.page(),
        "licences.md": licences.page(),
    }
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    named = {file.src_uri: ROOT / "docs" / file.src_uri for file in files.documentation_pages() if file.abs_src_path}
    pages = {f"docs/{uri}": path for uri, path in named.items() if path.is_file()}
    pages |= {name: ROOT / name for name in COPIED}
    for target in _reached(pages):
        files.append(File.generated(config, site_path(target), abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turns links between files of the repository into links between pages of the site."""
    uri = page.file.src_uri
    here = uri.removeprefix(f"{OUTSIDE}/") if uri.startswith(f"{OUTSIDE}/") else f"docs/{uri}"

    def moved(link: re.Match[str]) -> str:
        target = repository_path(here, link[2])
        if target is None:
            return link[0]
        return f"{link[1]}{relpath(site_path(target), str(PurePosixPath(uri).parent))}{link[3]}"

    return _LINK.sub(moved, markdown)


def repository_path(page: str, link: str) -> str | None:
    """Where a link of a page leads, relative to the repository; None for an address and for what is no file there."""
    if "://" in link or link.startswith("mailto:"):
        return None
    target = normpath(f"{PurePosixPath(page).parent}/{link}")
    return target if (ROOT / target).is_file() else None


def site_path(target: str) -> str:
    """The same file in the site; of a notebook, its page."""
    if target.endswith(".ipynb"):
        target = f"{target.removesuffix('.ipynb')}.md"
    return target.removeprefix("docs/") if target.startswith("docs/") else f"{OUTSIDE}/{target}"


def _reached(pages: dict[str, Path]) -> list[str]:
    """The files outside `docs/` that these pages lead to, and those that a page among them leads to."""
    found: set[str] = set()
    while pages:
        links = {link for name, path in pages.items() for link in _leaving(name, path.read_text("utf-8"))} - found
        found |= links
        pages = {link: ROOT / link for link in links if link.endswith(".md")}
    return sorted(found)


def _leaving(page: str, text: str) -> set[str]:
    found = {repository_path(page, link[2]) for link in _LINK.finditer(text)}
    found |= set(COPIED)
    return {target for target in found if target is not None and not target.startswith("docs/")}
