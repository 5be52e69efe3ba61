"""The pool covers every index once, passes errors on, and survives forks, nesting and several threads."""

from __future__ import annotations

import os
import sys
import threading
import time

import numpy as np
import pytest
import torch

from vol3d import threads as parallel
from vol3d.errors import UsageError
from vol3d.threads import parallel_for


@pytest.fixture(params=["1", "2", "5"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("VOL3D_NUM_THREADS", request.param)
    return int(request.param)


def count(start: int, stop: int, hits: np.ndarray) -> None:
    hits[start:stop] += 1


@pytest.mark.parametrize("n", [0, 1, 7, 1000])
@pytest.mark.parametrize("grain", [1, 16, 5000])
def test_every_index_once(threads: int, n: int, grain: int) -> None:
    hits = np.zeros(n, np.int64)
    parallel_for(count, n, hits, grain=grain)
    assert (hits == 1).all()


def test_ranges_start_at_multiples_of_the_grain(threads: int) -> None:
    starts: list[int] = []
    parallel_for(lambda start, stop: starts.append(start), 1000, grain=24)
    assert all(start % 24 == 0 for start in starts)


def test_work_runs_on_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOL3D_NUM_THREADS", "2")
    barrier = threading.Barrier(2, timeout=20)  # only two threads at once get past it
    parallel_for(lambda start, stop: barrier.wait(), 2)


def test_error_of_a_kernel_arrives(threads: int) -> None:
    def fail(start: int, stop: int) -> None:
        raise ZeroDivisionError(f"at {start}")

    with pytest.raises(ZeroDivisionError, match="at "):
        parallel_for(fail, 100)
    hits = np.zeros(100, np.int64)
    parallel_for(count, 100, hits)
    assert (hits == 1).all()


def test_nested_calls_end(threads: int) -> None:
    hits = np.zeros(64 * 50, np.int64)

    def outer(start: int, stop: int) -> None:
        for i in range(start, stop):
            parallel_for(count, 50, hits[50 * i : 50 * i + 50])

    parallel_for(outer, 64)
    assert (hits == 1).all()


def test_calls_from_several_threads(threads: int) -> None:
    hits = [np.zeros(500, np.int64) for _ in range(8)]
    callers = [threading.Thread(target=parallel_for, args=(count, 500, h)) for h in hits]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    assert all((h == 1).all() for h in hits)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_forked_child_works(threads: int) -> None:
    parallel_for(count, 100, np.zeros(100, np.int64))
    child = os.fork()
    if child == 0:
        hits = np.zeros(100, np.int64)
        parallel_for(count, 100, hits)
        os._exit(0 if (hits == 1).all() else 1)
    deadline = time.monotonic() + 20
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if done == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert done == (child, 0), "the child hung or failed"


def test_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOL3D_NUM_THREADS", raising=False)
    assert parallel.num_threads() == torch.get_num_threads()
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert parallel.num_threads() == 3
    monkeypatch.setenv("VOL3D_NUM_THREADS", "7")
    assert parallel.num_threads() == 7


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_bad_number_of_threads(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("VOL3D_NUM_THREADS", text)
    with pytest.raises(UsageError, match=rf"VOL3D_NUM_THREADS: .*got '{text}', wanted 1 or more"):
        parallel_for(count, 4, np.zeros(4))


@pytest.mark.parametrize(("n", "grain"), [(-1, 1), (4, 0)])
def test_bad_loop(n: int, grain: int) -> None:
    with pytest.raises(UsageError, match=f"got n={n}, grain={grain}"):
        parallel_for(count, n, np.zeros(4), grain=grain)


def test_the_command_has_openmp_sleep_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores what was there
        monkeypatch.delenv(name)
    parallel.wait_shortly()
    assert os.environ["GOMP_SPINCOUNT"] == "10000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    parallel.wait_shortly()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    parallel.wait_shortly()
    assert "GOMP_SPINCOUNT" not in os.environ
