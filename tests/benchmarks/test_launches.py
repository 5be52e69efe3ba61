"""The sweep over the launch table of sparse convolution, without a GPU: times are invented."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch

from benchmarks import launches
from vol3d.sparse.backends import launch as module
from vol3d.sparse.backends.launch import KERNELS, Launch, Shape, launch, lines


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_every_line_is_tuned_with_a_shape_that_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[Shape] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(launches, "work", lambda shape, found: shapes.append(shape))
    monkeypatch.setattr(module, "_milliseconds", lambda run: float(launch(shapes[-1]).warps))
    rows = list(launches.tuned("cpu", math.inf))
    known = [line for dtype in launches.TYPES.values() for kernel in KERNELS for line in lines(kernel, dtype)]
    assert [(row["width"], row["rows"]) for row in rows] == [(line.width, line.rows or "any") for line in known]
    assert [launch(shape) for shape in shapes] == [line.launch for line in known]
    assert all(Launch(*row["line"][2:]).warps == row["best ms"] == 4 for row in rows)  # type: ignore[index]
    assert not list(launches.tuned("cpu", 0.0))
