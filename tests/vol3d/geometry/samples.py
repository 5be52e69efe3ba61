"""Boxes for the tests of geometry: random ones, and hypothesis strategies."""

from __future__ import annotations

import math

import torch
from hypothesis import strategies as st
from torch import Tensor

_METRES = st.floats(-50, 50, allow_subnormal=False)
_SIZE = st.floats(0.01, 8)
_YAW = st.floats(-7, 7, allow_subnormal=False)


@st.composite
def box(draw: st.DrawFn, size: st.SearchStrategy[float] = _SIZE) -> list[float]:
    """One row x y z l w h yaw."""
    return [draw(_METRES) for _ in range(3)] + [draw(size) for _ in range(3)] + [draw(_YAW)]


@st.composite
def close_pair(draw: st.DrawFn, size: st.SearchStrategy[float] = _SIZE) -> tuple[Tensor, Tensor]:
    """Two boxes (1, 7) in float64 that lie so close that most of them overlap, often parallel or touching."""
    first = draw(box(size))
    second = draw(box(size))
    shift = st.sampled_from([0.0, 0.5, 1.0]) | st.floats(-3, 3, allow_subnormal=False)
    second[:3] = [value + draw(shift) for value in first[:3]]
    second[6] = draw(st.sampled_from([second[6], first[6], first[6] + math.pi / 2, first[6] + 1e-9]))
    return torch.tensor([first], dtype=torch.float64), torch.tensor([second], dtype=torch.float64)


def random_boxes(count: int, seed: int, *, spread: float = 10.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Boxes (count, 7) in a square, dense enough to overlap."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 7, generator=generator, dtype=torch.float64)
    centre = (unit[:, :3] - 0.5) * torch.tensor([spread, spread, 2.0], dtype=torch.float64)
    size = 0.3 + 4 * unit[:, 3:6]
    return torch.cat((centre, size, 2 * math.pi * unit[:, 6:]), dim=1).to(dtype)
