"""What a name may do to a terminal, and that JSON stays exact."""

from __future__ import annotations

import json

import pytest

from vol3d.errors import DataError
from vol3d.printable import one_line, printable, printable_json

ODD = "a\x1b[31m\x07\x9b2J\x00\x7f\u202e\u2028\udcff\r"


def test_what_commands_a_terminal_is_escaped_and_other_letters_are_kept() -> None:
    assert printable(ODD) == "a\\x1b[31m\\x07\\x9b2J\\x00\\x7f\\u202e\\u2028\\udcff\\r"
    assert printable("Größe 漢 – \t\n[red] 😀") == "Größe 漢 – \t\n[red] 😀"
    assert one_line("a\nerror: b\t") == "a\\nerror: b\\t"
    assert printable(printable(ODD)) == printable(ODD)


def test_json_is_the_same_value() -> None:
    text = printable_json(json.dumps({ODD: [ODD, "漢"]}, ensure_ascii=False, indent=1))
    assert json.loads(text) == {ODD: [ODD, "漢"]}
    assert printable(text) == text and "漢" in text


@pytest.mark.parametrize("part", ["where", "got", "wanted"])
def test_no_part_of_an_error_forges_a_line(part: str) -> None:
    text = str(DataError("cut file", **{part: "x\nerror: \x1b[2J"}))  # type: ignore[arg-type]
    assert "\n" not in text and "\x1b" not in text and r"x\nerror: \x1b[2J" in text


@pytest.mark.parametrize("text", ["", "scan", "\x7f", "\u2028", "\n\t"])
def test_json_of_one_character_beyond_ascii_is_escaped(text: str) -> None:
    stored = printable_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(stored) == text and printable(stored) == stored
