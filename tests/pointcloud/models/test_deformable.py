"""Deformable sampling against loops and the original's numbers; positions of cells."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pointcloud.models.layers.deformable import (
    DeformableAttention,
    cell_centers,
    embed_places,
    sample_maps,
    sample_torch,
)
from tests.pointcloud.models.lidar_oracle import Fixture, close
from tests.reference import object_dgcnn as twin

PROJECT = Path(__file__).resolve().parents[3]
SIZES = [(4, 5), (2, 3), (1, 1)]
CELLS = 4 * 5 + 2 * 3 + 1


def inputs(queries: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Values, places (some outside of the maps) and weights."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, CELLS, 2, 3, generator=generator, dtype=dtype)
    places = torch.rand(2, queries, 2, 3, 2, 2, generator=generator, dtype=dtype) * 1.6 - 0.3
    weights = torch.rand(2, queries, 2, 3, 2, generator=generator, dtype=dtype)
    return values, places, weights


@pytest.mark.parametrize("function", [sample_maps, sample_torch])
def test_samples_and_their_gradients_are_those_of_loops(function: Callable[..., Tensor]) -> None:
    got, wanted = ([t.requires_grad_() for t in inputs()] for _ in range(2))
    fast, slow = (
        sample(values, SIZES, places, weights)
        for sample, (values, places, weights) in ((function, got), (twin.sample_maps, wanted))
    )
    torch.testing.assert_close(fast, slow)
    pull = torch.linspace(-1, 1, fast.numel(), dtype=fast.dtype).view_as(fast)
    (fast * pull).sum().backward()
    (slow * pull).sum().backward()
    for own, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(own.grad, other.grad)


def test_samples_and_gradients_are_the_originals(oracle_root: Path) -> None:
    fixture = Fixture(oracle_root, "dgcnn_sampling_parts")
    leaves = [fixture[name].requires_grad_() for name in ("value", "sampling_locations", "attention_weights")]
    sizes = [tuple(size) for size in fixture["spatial_shapes"].tolist()]
    out = sample_maps(leaves[0], sizes, *leaves[1:])
    close(out, fixture["out"], atol=1e-5)
    gradients = torch.autograd.grad(out, leaves, fixture["grad_out"])
    for gradient, name in zip(gradients, ("value", "sampling_locations", "attention_weights"), strict=True):
        close(gradient, fixture[f"grad.{name}"], atol=1e-4)


def test_the_kernel_in_the_interpreter() -> None:
    pytest.importorskip("triton", reason="no Triton on this system")
    run("cpu", TRITON_INTERPRET="1")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_kernel_on_the_gpu() -> None:
    run("cuda")


def run(device: str, **environment: str) -> None:
    command = [sys.executable, "-m", "tests.pointcloud.models.deformable_checks", device]
    done = subprocess.run(command, cwd=PROJECT, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.stdout.strip() == "same", done.stdout + done.stderr[-2000:]


def test_halves_are_sampled_as_floats_are() -> None:
    values, places, weights = (t.bfloat16() for t in inputs(dtype=torch.float32))
    got = sample_maps(values, SIZES, places, weights)
    assert got.dtype == torch.bfloat16
    wanted = sample_maps(values.float(), SIZES, places.float(), weights.float())
    torch.testing.assert_close(got.float(), wanted, atol=0.1, rtol=0.1)


def test_threads_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("VOL3D_NUM_THREADS", threads)
        leaves = [t.requires_grad_() for t in inputs(600, torch.float32)]
        out = sample_maps(leaves[0], SIZES, *leaves[1:])
        found.append((out, *torch.autograd.grad(out.square().sum(), leaves)))
    assert all(torch.equal(one, three) for one, three in zip(*found, strict=True))


def test_no_queries_and_one_query() -> None:
    values, places, weights = inputs(1)
    assert sample_maps(values, SIZES, places[:, :0], weights[:, :0]).shape == (2, 0, 6)
    torch.testing.assert_close(
        sample_maps(values, SIZES, places, weights), twin.sample_maps(values, SIZES, places, weights)
    )


def test_a_fresh_attention_looks_evenly_at_places_round_the_reference() -> None:
    torch.manual_seed(0)
    attention = DeformableAttention(8, heads=4, levels=2, points=2)
    torch.nn.init.eye_(attention.values.weight)
    torch.nn.init.eye_(attention.output.weight)
    ramp = torch.arange(81.0).remainder(9)[:, None].expand(81, 8)  # x counted in cells
    cells = torch.cat([ramp, ramp])[None]
    middle = torch.full((1, 1, 2), 0.5)
    out = attention(torch.randn(1, 1, 8), cells, [(9, 9), (9, 9)], middle)
    # Heads look right, up, left, down: 1 and 2 cells away from column 4.
    assert out[0, 0].tolist() == pytest.approx([5.5, 5.5, 4, 4, 2.5, 2.5, 4, 4], abs=1e-4)


def test_positions_of_cells_are_the_originals(oracle_root: Path) -> None:
    wanted = Fixture(oracle_root, "dgcnn_sampling_parts")["pe.out_nomask"]  # (1, 256, 7, 9)
    got = embed_places(cell_centers((7, 9), torch.device("cpu")), 256)
    close(got, wanted[0].flatten(1).T, atol=1e-5)


def test_centers_of_cells_go_along_x_first() -> None:
    centers = cell_centers((2, 4), torch.device("cpu"))
    assert centers[:2].tolist() == [[0.125, 0.25], [0.375, 0.25]]
    assert centers[-1].tolist() == [0.875, 0.75]


def test_a_place_is_embedded_as_waves_over_y_then_x() -> None:
    embedded = embed_places(torch.tensor([[0.25, 0.5]]), 4)[0]
    wanted = [math.sin(math.pi), math.cos(math.pi), math.sin(math.pi / 2), math.cos(math.pi / 2)]
    assert embedded.tolist() == pytest.approx(wanted, abs=1e-6)
