"""The pages name what exists: files, modules, anchors, commands and recipes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from tests.test_lint import ROOMS
from vol3d.cli.main import app
from vol3d.config import recipes

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = "vol3d|pointcloud|medical"
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(rf"`((?:{PACKAGES}|tests|configs|benchmarks|docs)/[\w./-]*)`")
PLACEHOLDER = re.compile(r"\bmy_|_my_|NAME")  # what a contributor will add
ARROW = re.compile(r"^ {4}(\w+) -+> ([\w, ]+?)(?: {2,}.*)?$", re.MULTILINE)
IMPORT = re.compile(rf"^(?:from|import) ((?:{PACKAGES})[\w.]*)", re.MULTILINE)
COMMAND = re.compile(r"^(?: {4})?vol3d (.+?)(?:\s+#.*)?$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def code(page: Path) -> str:
    """Fenced shell blocks and indented lines."""
    text = page.read_text("utf-8")
    fenced = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"^ {4}\S.*$", text, re.MULTILINE)])


def broken_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(page.read_text("utf-8")):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    assert not list(broken_links(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_and_modules_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    named = [name for name in FILE.findall(text) if not PLACEHOLDER.search(name)]
    files = [name for name in named if not (ROOT / name).exists()]
    modules = [name for name in IMPORT.findall(text) if find_spec(name) is None]
    assert not files + modules


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_recipes_exist(page: Path) -> None:
    verbs = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    faults = []
    for command in COMMAND.findall(code(page)):
        verb, _, rest = command.partition(" ")
        recipe = rest.split(" ")[0]
        known = recipe in recipes() or recipe.isupper() or recipe.endswith(".yaml")
        if verb not in verbs or (verb in ("train", "distill") and not known):
            faults.append(command)
    assert not faults


def test_the_drawing_of_rooms_is_the_table_of_imports() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawn = {room: set(below.split(", ")) for room, below in ARROW.findall(text)}
    assert drawn == {room: below for room, below in ROOMS["pointcloud"].items() if below}
