"""The device that counts: every kind of wait is found, nothing else is, and results are those of the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

KERNELS = {
    **{"views": 0, "memory set aside": 0, "arithmetic": 2, "in place": 2, "made there": 3, "fill by mask": 2},
    **{"copy that is not waited for": 0, "item": 1, "copy there": 0, "mask": 2, "nonzero": 1},
}
FREE = ["views", "memory set aside", "arithmetic", "in place", "made there", "fill by mask", "place by number"]
FREE += ["assignment of one value by mask", "repeat with its size", "copy that is not waited for", "backward"]


@pytest.fixture(scope="module")
def counted() -> dict[str, list[int]]:
    command = [sys.executable, "-m", "tests.benchmarks.counted"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_what_waits_is_found_once_and_what_does_not_is_not(counted: dict[str, list[int]]) -> None:
    waits = {name: found[1] for name, found in counted.items() if name != "places"}
    wanted = {name: 0 if name in FREE else 2 if name == "two masks" else 1 for name in waits}
    assert waits == wanted
    assert len(waits) > len(FREE) + 12


def test_views_and_memory_start_nothing(counted: dict[str, list[int]]) -> None:
    assert {name: counted[name][0] for name in KERNELS} == KERNELS


def test_a_wait_has_its_line(counted: dict[str, list[int]]) -> None:
    (place,) = counted["places"]
    assert str(place).startswith("read at tests/benchmarks/counted.py:")
