"""Faults say what and what to do; the index of a prepared folder is refused by the keys that differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from vol3d.dataset_tools.fault import Fault, fault_of, listed, refuse_errors
from vol3d.dataset_tools.index import refuse_other
from vol3d.dataset_tools.tables import flatten
from vol3d.errors import DataError, UsageError


def test_a_readers_complaint_becomes_a_fault() -> None:
    fault = fault_of("a", DataError("cut", where="a.ply", got=3, wanted=5))
    assert str(fault) == "error: a: a.ply: cut; got 3, wanted 5. Copy or export the file again."
    assert fault_of("a", DataError("cut", do="Mend it.")) == Fault(
        "a", "error", "cut", "Mend it.", code="unreadable-file"
    )


def test_errors_are_refused_and_warnings_are_not() -> None:
    warning = Fault("a", "warning", "odd", "Look.", code="odd")
    error = Fault("b", "error", "cut", "Mend it.", code="cut")
    refuse_errors([warning], "mine")
    with pytest.raises(DataError, match=r"mine: b: cut \(and 1 more faults\)\. Mend it\. `vol3d data check`"):
        refuse_errors([warning, error, error], "mine")
    with pytest.raises(DataError, match=r"^b: cut"):
        refuse_errors([error], "b")


@pytest.mark.parametrize(("count", "text"), [(0, ""), (2, "0, 1"), (8, "0, 1, 2, 3, 4 and 3 more")])
def test_long_lists_are_cut(count: int, text: str) -> None:
    assert listed(range(count)) == text


def test_an_index_of_other_settings_is_refused_by_key() -> None:
    refuse_other({"a": {"b": 1, "c": 2}, "more": 3}, {"a": {"b": 1, "c": 2}}, Path("out"))
    with pytest.raises(UsageError, match=r"out: the folder was prepared with another a\.b, d; got a\.b 1, d None"):
        refuse_other({"a": {"b": 1}}, {"a": {"b": 2}, "d": 4}, Path("out"))


def test_nested_facts_become_rows() -> None:
    assert flatten({"a": {"b": [1.23456789, 2]}, "c": "d"}) == [["a / b", "1.2346, 2"], ["c", "d"]]
    assert flatten({}) == []
