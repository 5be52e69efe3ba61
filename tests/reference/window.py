"""Slow twin of `medical.window`: all windows, whole sums, float64."""

from __future__ import annotations

import math
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medical.window import WindowSettings


def slow_starts(length: int, size: int, overlap: float) -> list[int]:
    """nnU-Net's evenly spaced windows, the count found by trying."""
    if length <= size:
        return [0]
    step = max(size * (1 - overlap), 1.0)
    count = next(n for n in range(2, 10**6) if (length - size) / (n - 1) <= step)
    return [round((length - size) / (count - 1) * index) for index in range(count)]


def slow_stitch(net: nn.Module, image: Tensor, how: WindowSettings) -> Tensor:
    """Scores (outputs, i, j, k) of image (channels, i, j, k) with Gaussian weights."""
    pads = [
        (max(s - n, 0) // 2, max(s - n, 0) - max(s - n, 0) // 2) for s, n in zip(how.size, image.shape[1:], strict=True)
    ]
    padded = F.pad(image, [n for pair in reversed(pads) for n in pair])
    lines = [torch.tensor([math.exp(-32 * ((x - (n - 1) / 2) / n) ** 2) for x in range(n)]).double() for n in how.size]
    weights = torch.einsum("i,j,k->ijk", *lines).clamp_min(1e-3)
    scores, total = None, torch.zeros(padded.shape[1:], dtype=torch.float64)
    for corner in product(*[slow_starts(n, s, how.overlap) for n, s in zip(padded.shape[1:], how.size, strict=True)]):
        box = tuple(slice(c, c + s) for c, s in zip(corner, how.size, strict=True))
        one = net(padded[(slice(None), *box)][None])[0].double() * weights
        scores = torch.zeros(len(one), *padded.shape[1:], dtype=torch.float64) if scores is None else scores
        scores[(slice(None), *box)] += one
        total[box] += weights
    inner = tuple(slice(a, padded.shape[d + 1] - b) for d, (a, b) in enumerate(pads))
    return (scores / total)[(slice(None), *inner)].float()
