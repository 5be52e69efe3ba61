"""Suppression in many groups of boxes at once, of a fixed size each, without waiting for the device.

`nms.py` returns the indices that stay, and how many there are only the device knows. Here groups, say the tasks and
samples of a batch, are rows of one table, and what stays is a mask. On the CPU each group goes through `nms.py`; on a
GPU one Triton kernel judges all pairs of all groups, and one more runs the greedy rule, a program for each group. Both
compute in float64, as the compiled loops do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vol3d.errors import DataError
from vol3d.geometry.iou import iou_bev
from vol3d.geometry.nms import nms_circle, nms_rotated
from vol3d.host import constant
from vol3d.kernels import takes_triton

Kept = Bool[Tensor, "g n"]


def keep_rotated(
    boxes: Float[Tensor, "g n _"],
    scores: Float[Tensor, "g n"],
    there: Kept,
    iou_threshold: float,
    *,
    max_candidates: int | None = None,
    max_kept: int | None = None,
) -> Kept:
    """Which boxes stay in each group where those go whose IoU from above with a better one is over a threshold.

    Args:
        boxes: (G, N, 7 or 9), metres and radians, the best of each group first.
        scores: (G, N), descending in each group.
        there: (G, N), False where a place is empty.
        iou_threshold: 0 to 1.
        max_candidates: only so many of the best boxes of a group enter.
        max_kept: only so many of the best that stay are kept.

    Raises:
        DataError: shapes that do not fit; on the CPU as `nms_rotated`.

    >>> boxes = torch.tensor([[[0.0, 0, 0, 4, 2, 2, 0], [1, 0, 0, 4, 2, 2, 0], [9, 0, 0, 4, 2, 2, 0]]])
    >>> keep_rotated(boxes, torch.tensor([[0.9, 0.8, 0.7]]), torch.tensor([[True, True, False]]), 0.5)
    tensor([[ True, False, False]])
    """
    there = _entering(boxes, scores, there, max_candidates)
    if not 0 <= iou_threshold <= 1:
        raise DataError("not an IoU threshold", where="iou_threshold", got=iou_threshold, wanted="0 to 1")
    if boxes.device.type == "cpu":
        kept = _one_by_one(boxes, scores, there, lambda _, b, s: nms_rotated(b, s, iou_threshold))
    elif takes_triton(boxes):
        from vol3d.geometry.nms_triton import keep_rotated_triton

        kept = keep_rotated_triton(boxes, there, iou_threshold)
    else:
        kept = keep_rotated_torch(boxes, there, iou_threshold)
    return _best(kept, max_kept)


def keep_circle(
    boxes: Float[Tensor, "g n _"],
    scores: Float[Tensor, "g n"],
    there: Kept,
    squared_radii: Sequence[float],
    *,
    max_kept: int | None = None,
) -> Kept:
    """Which boxes stay in each group where those go whose centre from above is as close to a better one's as a radius.

    Args:
        boxes, scores, there, max_kept: as `keep_rotated`.
        squared_radii: (G,) of each group, m^2.

    Raises:
        DataError: shapes that do not fit; on the CPU as `nms_circle`.
    """
    there = _entering(boxes, scores, there, None)
    if len(squared_radii) != len(boxes) or not all(radius >= 0 for radius in squared_radii):
        wanted = f"{len(boxes)} numbers, one of each group, 0 or more"
        raise DataError("not the radii of the groups", where="squared_radii", got=squared_radii, wanted=wanted)
    if boxes.device.type == "cpu":

        def suppress(group: int, rows: Tensor, points: Tensor) -> Tensor:
            return nms_circle(rows, points, squared_radii[group], compare="squared_distance")

        kept = _one_by_one(boxes, scores, there, suppress)
    elif takes_triton(boxes):
        from vol3d.geometry.nms_triton import keep_circle_triton

        kept = keep_circle_triton(boxes, there, tuple(squared_radii))
    else:
        kept = keep_circle_torch(boxes, there, tuple(squared_radii))
    return _best(kept, max_kept)


def keep_rotated_torch(boxes: Tensor, there: Tensor, iou_threshold: float) -> Kept:
    """`keep_rotated` in plain torch, on any device; waits for it a few times."""
    table = boxes.double()
    return _greedy(iou_bev(table, table) > iou_threshold, there)


def keep_circle_torch(boxes: Tensor, there: Tensor, squared_radii: tuple[float, ...]) -> Kept:
    """`keep_circle` in plain torch, on any device; waits for it a few times."""
    centres = boxes[..., :2].double()
    squared = (centres[:, :, None] - centres[:, None]).square().sum(-1)
    return _greedy(squared <= constant(squared_radii, squared)[:, None, None], there)


def _greedy(close: Bool[Tensor, "g n n"], there: Kept) -> Kept:
    """The greedy rule of `nms.greedy` in all groups at once."""
    ahead = close.triu(diagonal=1)
    kept = there
    while True:
        settled = there & ~(ahead & kept[:, :, None]).any(dim=1)
        if bool((settled == kept).all()):
            return kept
        kept = settled


def _one_by_one(
    boxes: Tensor, scores: Tensor, there: Tensor, suppress: Callable[[int, Tensor, Tensor], Tensor]
) -> Tensor:
    kept = torch.zeros_like(there)
    for group, present in enumerate(there):
        rows = present.nonzero()[:, 0]
        kept[group, rows[suppress(group, boxes[group, rows], scores[group, rows])]] = True
    return kept


def _entering(boxes: Tensor, scores: Tensor, there: Tensor, max_candidates: int | None) -> Tensor:
    if boxes.ndim != 3 or scores.shape != boxes.shape[:2] or there.shape != scores.shape or there.dtype != torch.bool:
        got = f"boxes {tuple(boxes.shape)}, scores {tuple(scores.shape)}, there {there.dtype} {tuple(there.shape)}"
        raise DataError("groups that do not fit together", where="boxes", got=got, wanted="(G, N, 7), (G, N), (G, N)")
    return _best(there, max_candidates)


def _best(mask: Tensor, count: int | None) -> Tensor:
    """The first so many places of each group that are True."""
    return mask if count is None else mask & (mask.cumsum(dim=1) <= count)
