"""Launch settings of the Triton kernels: a table shipped with the package, and tuning on request.

The shipped table is reasoned, not measured. `tune` measures one shape on the GPU at hand; what it finds holds for the
process and can be written over the table's lines (`python -m benchmarks.launches` prints them).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from itertools import product
from typing import NamedTuple

import torch

from vol3d.errors import UsageError

KERNELS = ("convolve", "weight_gradient")


class Shape(NamedTuple):
    """What settings depend on: kernel ("convolve" or "weight_gradient"), type of features, channels, output rows."""

    kernel: str
    dtype: torch.dtype
    c_in: int
    c_out: int
    rows: int


class Launch(NamedTuple):
    """Sizes of a program's block, how it is run, and how many programs share a block: they write partial sums.

    A block of few rows and shared blocks keep a GPU busy where there are few rows. For a weight gradient `block_rows`
    are pairs of rows, and `parts` is a bound.
    """

    block_rows: int
    block_in: int
    block_out: int
    warps: int
    stages: int
    parts: int


class Line(NamedTuple):
    """A line of the table: it holds up to so many channels of the wider side and output rows (None: any number)."""

    width: int
    rows: int | None
    launch: Launch


_tuned: dict[Shape, Launch] = {}


def launch(shape: Shape) -> Launch:
    """The settings for a shape."""
    return _tuned.get(_class(shape)) or _line(shape).launch


def tune(shape: Shape, run: Callable[[], object]) -> Launch:
    """Keeps the fastest settings for a shape, and for other row counts on the same line of the table; see `times`."""
    found = times(shape, run)
    if found:
        _tuned[_class(shape)] = min(found, key=lambda candidate: found[candidate])
    return launch(shape)


def times(shape: Shape, run: Callable[[], object], also: Sequence[Launch] = ()) -> dict[Launch, float]:
    """Milliseconds of `run`, which calls the kernel for this shape, with all settings worth a try that the GPU can run.

    Args:
        shape: what is called.
        run: the call to measure, on the current CUDA device.
        also: further settings.

    Raises:
        UsageError: no CUDA device, or no such kernel.
    """
    if shape.kernel not in KERNELS:
        raise UsageError("no such kernel", where="kernel", got=repr(shape.kernel), wanted=" | ".join(KERNELS))
    if not torch.cuda.is_available():
        raise UsageError("tuning needs a CUDA device", where="tune", got="none")
    key, found = _class(shape), {}
    before = _tuned.get(key)
    for candidate in dict.fromkeys((*also, *candidates(shape))):
        _tuned[key] = candidate
        try:
            found[candidate] = _milliseconds(run)
        except Exception as error:  # too much shared memory or too many registers: not for this GPU
            if "resource" not in f"{type(error).__name__} {error}".lower():
                raise
        finally:
            del _tuned[key]
    if before is not None:
        _tuned[key] = before
    return found


def candidates(shape: Shape) -> list[Launch]:
    """Settings worth a try: a row of a block fills a line of 128 bytes, no block is wider than the channels."""
    line = 32 if shape.dtype == torch.float32 else 64
    most_in, most_out = (max(16, 1 << (c - 1).bit_length()) for c in (shape.c_in, shape.c_out))
    ways = product((64, 128), (line,), (64, 128), (4, 8), (3, 4), (1, 2, 4))
    if shape.kernel == "weight_gradient":
        ways = product((32, 64), (64, 128), (64,), (4, 8), (3, 4), (8, 16, 32))
    return sorted({Launch(r, min(i, most_in), min(o, most_out), *others) for r, i, o, *others in ways})


def _milliseconds(run: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for _ in range(3):
        run()
    begin.record()
    for _ in range(10):
        run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 10


def lines(kernel: str, dtype: torch.dtype) -> list[Line]:
    """The table for a kernel and a type."""
    return _table()[kernel]["float32" if dtype == torch.float32 else "half"]


def _line(shape: Shape) -> Line:
    """The line of the table for a shape."""
    known = lines(shape.kernel, shape.dtype)
    width = min(max(shape.c_in, shape.c_out), known[-1].width)
    return next(line for line in known if line.width >= width and (line.rows is None or line.rows >= shape.rows))


def _class(shape: Shape) -> Shape:
    """The shape that stands for all on the same line of the table with these channels: with its bound of rows."""
    return shape._replace(rows=_line(shape).rows or 0)


@cache
def _table() -> dict[str, dict[str, list[Line]]]:
    table = json.loads((files("vol3d.sparse.backends") / "launch.json").read_text(encoding="utf-8"))
    return {
        kernel: {
            name: [Line(width, rows, Launch(*sizes)) for width, rows, *sizes in kept]
            for name, kept in table[kernel].items()
        }
        for kernel in KERNELS
    }
