"""Launch settings of the Triton kernels: a table shipped with the package, and tuning on request.

The shipped table is reasoned, not measured. `tune` measures one shape on the GPU at hand; what it finds holds for the
process and can be written over the table's rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from itertools import product
from typing import NamedTuple

import torch

from vol3d.errors import UsageError

KERNELS = ("convolve", "weight_gradient")


class Launch(NamedTuple):
    """Sizes of a program's block, and how it is run."""

    block_rows: int
    block_in: int
    block_out: int
    warps: int
    stages: int


_tuned: dict[tuple[str, torch.dtype, int, int], Launch] = {}


def launch(kernel: str, dtype: torch.dtype, c_in: int, c_out: int) -> Launch:
    """The settings for a kernel ('convolve' or 'weight_gradient'), type of features and channels."""
    if (found := _tuned.get((kernel, dtype, c_in, c_out))) is not None:
        return found
    rows = _table()[kernel]["float32" if dtype == torch.float32 else "half"]
    row = next((row for row in rows if row[0] >= max(c_in, c_out)), rows[-1])
    return Launch(*row[1:])


def tune(kernel: str, dtype: torch.dtype, c_in: int, c_out: int, run: Callable[[], object]) -> Launch:
    """Times `run`, which calls the kernel for this type and these channels, with other settings; keeps the fastest.

    Args:
        kernel: 'convolve' or 'weight_gradient'.
        dtype: type of the features.
        c_in: input channels.
        c_out: output channels.
        run: the call to measure, on the current CUDA device.

    Raises:
        UsageError: no CUDA device, or no such kernel.
    """
    if kernel not in KERNELS:
        raise UsageError("no such kernel", where="kernel", got=repr(kernel), wanted=" | ".join(KERNELS))
    if not torch.cuda.is_available():
        raise UsageError("tuning needs a CUDA device", where="tune", got="none")
    key = kernel, dtype, c_in, c_out
    times = {}
    for candidate in map(Launch._make, product((64, 128), (32, 64), (32, 64, 128), (4, 8), (2, 3, 4))):
        _tuned[key] = candidate
        try:
            times[candidate] = _milliseconds(run)
        except Exception as error:  # too much shared memory or too many registers: not for this GPU
            if "resource" not in f"{type(error).__name__} {error}".lower():
                raise
    del _tuned[key]
    if times:
        _tuned[key] = min(times, key=lambda candidate: times[candidate])
    return launch(*key)


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


@cache
def _table() -> dict[str, dict[str, list[list[int]]]]:
    return json.loads((files("vol3d.sparse.backends") / "launch.json").read_text(encoding="utf-8"))
