"""The Triton kernels: in the interpreter here, on a GPU where there is one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.vol3d.sparse.scenes import random_tensor
from vol3d.errors import UsageError
from vol3d.sparse import Geometry
from vol3d.sparse.backends import launch as module
from vol3d.sparse.backends.launch import KERNELS, Shape, candidates, launch, tune

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
PROJECT = Path(__file__).resolve().parents[3]


def run(*words: str, **environment: str) -> None:
    command = [sys.executable, "-m", "tests.vol3d.sparse.interpreted", *words]
    done = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]


@needs_triton
def test_in_the_interpreter() -> None:
    run(TRITON_INTERPRET="1", OMP_NUM_THREADS="1")


@pytest.mark.gpu
@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_the_gpu() -> None:
    run("cuda")


@needs_triton
def test_blocks_of_taps() -> None:
    from vol3d.sparse.backends.taps import tap_blocks, tap_pairs

    table = random_tensor(200, 1).sites.submanifold_map(Geometry.submanifold((3, 5, 5)))  # 75 taps, three words
    blocks = tap_blocks(table, 32)
    has = table.neighbours >= 0
    assert sorted(blocks.order.tolist()) == list(range(200))
    for block, count in enumerate(blocks.counts.tolist()):
        rows = blocks.order[32 * block : 32 * block + 32].long()
        taps = blocks.taps[block].long()
        assert taps[:count].tolist() == has[:, rows].any(1).nonzero().flatten().tolist()
        assert torch.equal(blocks.inputs[block, :count, : len(rows)], table.neighbours[taps[:count]][:, rows])
        assert bool((blocks.inputs[block, count:] == -1).all() and (blocks.inputs[block, :, len(rows) :] == -1).all())
    pairs = tap_pairs(table)
    for tap in range(75):
        first, last = pairs.bounds[tap], pairs.bounds[tap + 1]
        assert torch.equal(pairs.outputs[first:last].long(), has[tap].nonzero().squeeze(1))
        assert torch.equal(pairs.inputs[first:last], table.neighbours[tap][has[tap]])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 16, 17, 64, 300, 9999])
@pytest.mark.parametrize("rows", [1, 6000, 20_000, 10**7])
def test_table_has_settings_for_every_shape(kernel: str, dtype: torch.dtype, channels: int, rows: int) -> None:
    shape = Shape(kernel, dtype, channels, 3, rows)
    for size in (launch(shape), *candidates(shape)):
        assert all(value >= 16 and value & (value - 1) == 0 for value in size[:3])
        assert size.warps in (1, 2, 4, 8) and size.stages >= 1 and size.parts >= 1


def test_few_rows_are_shared_by_more_programs() -> None:
    few, many = (launch(Shape("convolve", torch.bfloat16, 64, 64, rows)) for rows in (5000, 10**6))
    assert few.block_rows < many.block_rows and few.parts > many.parts == 1


def test_tuning_keeps_the_fastest_for_its_line_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Shape("convolve", torch.float16, 64, 64, 5000)
    tried = []

    def milliseconds(run: object) -> float:
        tried.append(launch(shape))
        if tried[-1].warps == 8:
            raise RuntimeError("OutOfResources: shared memory")
        return abs(tried[-1].parts - 2) + tried[-1].stages

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(module, "_milliseconds", milliseconds)
    monkeypatch.setattr(module, "_tuned", {})
    shipped = launch(shape)
    best = tune(shape, lambda: None)
    assert tried == candidates(shape) and (best.parts, best.stages, best.warps) == (2, 3, 4)
    assert launch(shape._replace(rows=100)) == best and launch(shape._replace(rows=10**6)) != best
    assert launch(shape._replace(dtype=torch.float32)) != best and best != shipped


def test_bad_tuning() -> None:
    with pytest.raises(UsageError, match=r"kernel: no such kernel; got 'pool', wanted convolve \| weight_gradient"):
        tune(Shape("pool", torch.float32, 16, 16, 100), lambda: None)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="tuning needs a CUDA device"):
            tune(Shape("convolve", torch.float32, 16, 16, 100), lambda: None)
