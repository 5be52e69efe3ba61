"""A short run of every reader; the long one is `python -m tests.fuzz.run`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.mutants import mutant, mutants
from tests.fuzz.runner import READ, REFUSED, Runner, outcome_of, readers

MUTANTS = 40


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner(seed=0) as started:
        yield started


@pytest.mark.parametrize("name", readers())
def test_mutants_are_read_or_refused(name: str, runner: Runner) -> None:
    outcomes = list(runner.outcomes(name, range(MUTANTS)))
    assert [outcome for outcome in outcomes if not outcome.good] == []
    assert REFUSED in {outcome.what for outcome in outcomes}


def test_mutants_repeat_and_differ() -> None:
    data = bytes(range(256)) * 8
    made = list(mutants(data, 0, 50))
    assert made == list(mutants(data, 0, 50)) and made[7] == mutant(data, 0, 7)
    assert len(set(made)) > 45 and made != list(mutants(data, 1, 50))
    assert len(list(mutants(b"", 0, 50))) == 50


def test_what_is_a_finding(tmp_path: Path) -> None:
    from vol3d.errors import DataError

    def refuse(path: Path) -> None:
        raise DataError("no", where=path)

    assert outcome_of(lambda path: None, tmp_path) == READ and outcome_of(refuse, tmp_path) == REFUSED
    assert outcome_of(lambda path: 1 / 0, tmp_path).startswith("ZeroDivisionError")
