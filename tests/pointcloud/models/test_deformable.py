"""Deformable sampling against loops and the original's numbers; positions of cells."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pointcloud.models.deformable import DeformableAttention, cell_centers, embed_places, sample_maps
from tests.pointcloud.models.lidar_oracle import Fixture, close
from tests.reference import object_dgcnn as twin

SIZES = [(4, 5), (2, 3), (1, 1)]
CELLS = 4 * 5 + 2 * 3 + 1


def inputs(queries: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Values, places (some outside of the maps) and weights."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, CELLS, 2, 3, generator=generator, dtype=dtype)
    places = torch.rand(2, queries, 2, 3, 2, 2, generator=generator, dtype=dtype) * 1.6 - 0.3
    weights = torch.rand(2, queries, 2, 3, 2, generator=generator, dtype=dtype)
    return values, places, weights


def test_samples_and_their_gradients_are_those_of_loops() -> None:
    got, wanted = ([t.requires_grad_() for t in inputs()] for _ in range(2))
    fast, slow = (
        function(values, SIZES, places, weights)
        for function, (values, places, weights) in ((sample_maps, got), (twin.sample_maps, wanted))
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
