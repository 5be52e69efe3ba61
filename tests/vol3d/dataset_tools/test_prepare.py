"""Preparing: all cases and then the index; refused cases stop the index only, another data set stops everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vol3d.dataset_tools.prepare import PreparedFolder, Refused, prepare_cases
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.files import read_json, write_text
from vol3d.lock import lock


@dataclass(frozen=True)
class Letter:
    name: str


def into(out: Path, bad: str = "") -> Callable[[Letter], dict[str, Any] | Refused]:
    def make(case: Letter) -> dict[str, Any] | Refused:
        if case.name in bad:
            return Refused("not a letter")
        write_text(out / "letters" / case.name, case.name)
        return {"place": ord(case.name)}

    return make


def folder(out: Path, **more: Any) -> PreparedFolder:
    return PreparedFolder(out, "index.json", "letters", {"format": 1, "name": "abc"}, more)


CASES = [Letter(name) for name in "abc"]


def test_the_index_comes_last_and_says_what_was_made(tmp_path: Path) -> None:
    out, seen = tmp_path / "deep" / "out", list[int]()
    prepare_cases(folder(out, train=["a"]), CASES, into(out), 0, lambda done, total, name: seen.append(done))
    letters = {"a": {"place": 97}, "b": {"place": 98}, "c": {"place": 99}}
    assert read_json(out / "index.json") == {"format": 1, "name": "abc", "train": ["a"], "letters": letters}
    assert seen == [1, 2, 3]
    prepare_cases(folder(out, train=["b"]), CASES, into(out), 0)  # what may change does
    assert read_json(out / "index.json")["train"] == ["b"]


def test_refused_cases_are_named_and_the_others_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"abc: 2 of 3 letters cannot be prepared; got a: not a letter, c: not a"):
        prepare_cases(folder(tmp_path), CASES, into(tmp_path, "ac"), 0)
    assert (tmp_path / "letters" / "b").is_file() and not (tmp_path / "index.json").exists()


def test_nothing_is_made_where_it_must_not_be(tmp_path: Path) -> None:
    def forbid() -> None:
        raise Vol3dError("no room")

    with pytest.raises(Vol3dError, match="no room"):
        prepare_cases(folder(tmp_path / "full"), CASES, into(tmp_path / "full"), 0, check=forbid)
    with lock(tmp_path), pytest.raises(Vol3dError):
        prepare_cases(folder(tmp_path), CASES, into(tmp_path), 0)
    write_text(tmp_path / "index.json", '{"format": 1, "name": "xyz"}')
    with pytest.raises(UsageError, match="another name; got name xyz, wanted name abc"):
        prepare_cases(folder(tmp_path), CASES, into(tmp_path), 0)
    assert not list((tmp_path / "letters").iterdir())
    with pytest.raises(Vol3dError, match="cannot make the folder"):
        prepare_cases(folder(tmp_path / "index.json"), CASES, into(tmp_path), 0)
