"""The pages name what exists: files, modules, anchors, commands and recipes."""

from __future__ import annotations

import re
from ast import parse
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from subprocess import run
from sys import executable

import pytest
import typer

from docs.site import messages, settings
from docs.site.drawings import FOLDER, drawings
from tests.test_lint import ROOMS
from vol3d.cli.main import app
from vol3d.config import recipes

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
MADE = re.compile(r"(^|/)(reference/(recipes_\w+|messages)|licences)\.md$")  # by docs/site, when the site is built
FETCHED = re.compile(
    r"<(?:script|img|iframe)[^>]+src=\"https?://[^\"]+|<link[^>]+(?:stylesheet|preload)[^>]+https?://[^>]+"
)
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
        if "://" in link or MADE.search(link):
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


def test_the_drawings_are_those_of_the_script() -> None:
    assert {name: (FOLDER / name).read_text("utf-8") for name in drawings()} == drawings()


def test_every_fault_and_error_class_is_on_the_page_of_messages() -> None:
    found = {
        message.kind for path in messages.sources() for message in messages.collect(parse(path.read_text("utf-8")))
    }
    assert found == {*messages.ERRORS, "Fault", "Note"}
    text = messages.page()
    for words in ("`no-validation-scene`", "no such configuration file or recipe", "Create it first."):
        assert words in text


def test_a_recipe_is_shown_with_all_of_its_settings() -> None:
    task, text = settings.recipe("unetr_hippocampus_small")
    assert task == "segmentation"
    for words in ("samples per step and process", "epochs: ", "root: "):
        assert words in text


@pytest.mark.slow
@pytest.mark.skipif(find_spec("material") is None or find_spec("mkdocstrings") is None, reason="needs vol3d[docs]")
def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    command = [executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    built = run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(PAGES)
    assert not [match for page in pages for match in FETCHED.findall(page.read_text("utf-8"))]
