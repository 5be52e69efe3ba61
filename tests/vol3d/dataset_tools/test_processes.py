"""One function over all cases: in this process or in others, with a clear word when one of them dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from vol3d.dataset_tools import processes
from vol3d.dataset_tools.processes import over_cases
from vol3d.errors import DataError, Vol3dError


@dataclass(frozen=True)
class Case:
    name: str


CASES = [Case(name) for name in "abc"]


def _name(case: Case) -> str:
    return case.name


def _process(case: Case) -> int:
    return os.getpid()


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


@pytest.mark.parametrize(("cores", "cases", "others"), [(2, 2, True), (2, 1, False), (1, 3, False)])
def test_by_default_there_is_a_process_for_each_core(
    cores: int, cases: int, others: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "cores", lambda: cores)
    assert (os.getpid() not in over_cases(_process, CASES[:cases])) == others


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


def _mark_and_wait(case: Case) -> None:
    Path(case.name).touch()
    time.sleep(60)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_the_workers_though_their_cases_take_long(tmp_path: Path) -> None:
    case = Case(str(tmp_path / "begun"))

    def interrupt() -> None:
        while not Path(case.name).exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        over_cases(_mark_and_wait, [case], 1)
    assert time.monotonic() - began < 50
