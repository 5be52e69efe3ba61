"""Notes are facts: their sentences come last, and files bring the facts back."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vol3d.notes import Note

ROOT = Path(__file__).resolve().parents[2]
FOUND = Note("up-found", "{value} is up", "up", "y")
COUNT = Note("left-out", "{left_out} of {points:.1f} points", numbers={"left_out": 2, "points": 10})


def codes() -> Iterator[str]:
    """Of every note and fault in the sources."""
    for package in ("vol3d", "pointcloud", "medical"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call):
                    named = ast.unparse(node.func) == "Note"
                    words = node.args[:1] if named else []
                    words += [word.value for word in node.keywords if word.arg == "code"]
                    yield from (word.value for word in words if isinstance(word, ast.Constant))


def test_codes_are_kebab_case() -> None:
    found = set(codes())
    assert {"up-assumed", "same-points-twice", "constant-channel"} <= found
    assert not [code for code in found if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)]


def test_the_sentence_is_made_of_the_facts() -> None:
    assert str(FOUND) == "y is up" and str(COUNT) == "2 of 10.0 points"
    assert FOUND.form() == "y is up" and COUNT.form() == "… of … points"
    assert COUNT.form_of([COUNT, COUNT]) == str(COUNT)


def test_notes_are_equal_if_their_facts_are() -> None:
    reworded = replace(FOUND, template="up is {value}")
    assert reworded == FOUND and hash(reworded) == hash(FOUND)
    assert FOUND not in (replace(FOUND, value="z"), replace(FOUND, assumed=True))
    more = replace(COUNT, numbers={"left_out": 3, "points": 10})
    assert more != COUNT and more.kind == COUNT.kind


OLD, BRACED = Note.from_text("an {old} sentence"), Note("braced", "{{{value}}}", value="a")


@pytest.mark.parametrize("note", [FOUND, COUNT, OLD, BRACED])
def test_json_and_pickle_bring_them_back(note: Note) -> None:
    for copy in (Note.from_dict(json.loads(json.dumps(note.to_dict()))), pickle.loads(pickle.dumps(note))):
        assert copy == note and str(copy) == str(note)


def test_a_template_from_a_file_is_not_run() -> None:
    facts = COUNT.to_dict() | {"text": "{value.__class__} {points:>9}"}
    assert str(Note.from_dict(facts)) == "{value.__class__} {points:>9}"


@pytest.mark.parametrize("facts", [{}, {"code": "a"}, COUNT.to_dict() | {"numbers": 3}])
def test_what_is_no_note_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        Note.from_dict(facts)
