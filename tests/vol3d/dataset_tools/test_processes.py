"""One function over all cases: in this process or in others, with a clear word when one of them dies."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from vol3d.dataset_tools.processes import over_cases
from vol3d.errors import DataError, Vol3dError


@dataclass(frozen=True)
class Case:
    name: str


CASES = [Case(name) for name in "abc"]


def _name(case: Case) -> str:
    return case.name


def _need_memory(case: Case) -> None:
    raise MemoryError


def _refuse(case: Case) -> None:
    raise DataError("damaged", where=case.name)


def _die(case: Case) -> None:
    os._exit(1)


@pytest.mark.parametrize("workers", [0, 1])
def test_results_come_in_the_order_of_the_cases(workers: int) -> None:
    told: list[tuple[int, int, str]] = []
    assert over_cases(_name, CASES, workers, lambda *words: told.append(words)) == ["a", "b", "c"]
    assert sorted(told) == [(1, 3, told[0][2]), (2, 3, told[1][2]), (3, 3, told[2][2])]
    assert {name for _, _, name in told} == set("abc")


def test_no_case_is_no_work() -> None:
    assert over_cases(_name, [], workers=None) == []


def test_a_case_too_large_for_memory_is_named() -> None:
    with pytest.raises(Vol3dError, match="a: the case does not fit into memory"):
        over_cases(_need_memory, CASES, workers=0)


def test_what_a_case_raises_is_raised() -> None:
    with pytest.raises(DataError, match="a: damaged"):
        over_cases(_refuse, CASES, workers=1)


def test_a_killed_process_is_told() -> None:
    with pytest.raises(Vol3dError, match=r"worker process was killed.*fewer workers") as error:
        over_cases(_die, CASES, workers=1)
    assert "a" in str(error.value.where)
