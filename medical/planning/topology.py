"""nnU-Net's rules for the window of a network and for its halvings, from spacing and size alone.

Isensee et al., "nnU-Net", Nature Methods 2021, supplementary note 2: axes are halved while their spacing is within a
factor of 2 of the finest and at least 4 voxels are left; kernels are 1 along an axis until it is within that factor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from medical.models.common import Size

MIN_EDGE = 4  # voxels of the coarsest map
CLOSE = 2.0  # axes whose spacings differ by less are treated alike
FIRST_VOLUME = 256**3  # voxels of the window that a plan begins with, before it is cut to the scans and to the memory


@dataclass(frozen=True)
class Topology:
    """A window and how a U-Net goes through it.

    Args:
        window: voxels, multiples of the product of the strides.
        kernels, strides: of each stage.
    """

    window: Size
    kernels: tuple[Size, ...]
    strides: tuple[Size, ...]


def first_window(spacing_mm: Sequence[float], shape: Sequence[float]) -> Size:
    """A window of the same length in mm along each axis and 256^3 voxels, cut to the scans.

    Args:
        shape: median voxels of the scans at this spacing.

    >>> first_window((1, 1, 5), (512, 512, 60))
    (438, 438, 60)
    """
    edge_mm = (FIRST_VOLUME * math.prod(spacing_mm)) ** (1 / 3)
    i, j, k = (max(1, round(min(edge_mm / step, length))) for step, length in zip(spacing_mm, shape, strict=True))
    return i, j, k


def topology_of(spacing_mm: Sequence[float], window: Size) -> Topology:
    """Strides and kernels for about this window, which is enlarged to what they divide.

    >>> topology_of((1, 1, 1), (40, 56, 40)).strides
    ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    """
    spacing, size, kernel = list(spacing_mm), list(window), [1, 1, 1]
    kernels, strides = list[Size](), [(1, 1, 1)]
    while halved := _halved(spacing, size):
        kernel = _widened(kernel, spacing)
        kernels.append(_size(kernel))
        strides.append(_size([2 if axis in halved else 1 for axis in range(3)]))
        for axis in halved:
            spacing[axis] *= 2
            size[axis] = math.ceil(size[axis] / 2)
    # nnU-Net's coarsest stage sees all axes; here not one that the window has no extent along.
    kernels.append(_size([3 if length > 1 else 1 for length in size]))
    steps = [math.prod(axis) for axis in zip(*strides, strict=True)]
    whole = _size([math.ceil(edge / step) * step for edge, step in zip(window, steps, strict=True)])
    return Topology(whole, tuple(kernels), tuple(strides))


def _halved(spacing: Sequence[float], size: Sequence[int]) -> list[int]:
    """The axes that the next stage halves; none where the network ends."""
    long = [axis for axis in range(3) if size[axis] >= 2 * MIN_EDGE]
    if not long:
        return []
    finest = min(spacing[axis] for axis in long)
    chosen = [axis for axis in long if spacing[axis] / finest < CLOSE]
    alone = len(chosen) == 1 and size[chosen[0]] < 3 * MIN_EDGE
    return [] if alone else chosen


def _widened(kernel: Sequence[int], spacing: Sequence[float]) -> list[int]:
    """The kernel that is 3 along an axis from the first stage on where its spacing is close to the finest."""
    finest = min(spacing)
    return [3 if was == 3 or step / finest < CLOSE else 1 for was, step in zip(kernel, spacing, strict=True)]


def shrunk(window: Size, shape: Sequence[float], steps: Size) -> list[Size]:
    """Windows with one step less along an axis, first the one where the window covers most of the scans.

    Args:
        shape: median voxels of the scans.
        steps: what the edges are multiples of.
    """
    axes = [axis for axis in range(3) if window[axis] - steps[axis] >= max(1, min(window[axis], 2 * MIN_EDGE))]
    return [
        _size([edge - steps[axis] if n == axis else edge for n, edge in enumerate(window)])
        for axis in sorted(axes, key=lambda axis: window[axis] / shape[axis], reverse=True)
    ]


def _size(values: Sequence[int]) -> Size:
    i, j, k = values
    return i, j, k
