"""Greedy non-maximum suppression: the best box stays, boxes too close to one that stays go.

All functions return the indices of the boxes that stay, best first. Equal scores are taken in order of index, so the
result does not depend on device or threads. With `labels`, boxes of different labels never suppress each other.
On the CPU a compiled loop does the work. Elsewhere the pairs are judged on the device and the greedy rule is run there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vol3d.errors import DataError, UsageError
from vol3d.geometry.boxes import check_boxes
from vol3d.geometry.iou import iou_3d, iou_3d_axis_aligned, iou_bev, iou_bev_axis_aligned

Space = Literal["bev", "3d"]
Indices = Int64[Tensor, " kept"]


def nms_rotated(
    boxes: Float[Tensor, "n _"],
    scores: Float[Tensor, " n"],
    iou_threshold: float,
    *,
    space: Space = "bev",
    labels: Int64[Tensor, " n"] | None = None,
    max_candidates: int | None = None,
) -> Indices:
    """Suppress by the exact IoU of rotated boxes.

    Args:
        boxes: metres, radians.
        scores: higher is better.
        iou_threshold: boxes go whose IoU with a better one is above it, 0 to 1.
        space: IoU seen from above or in space.
        labels: one class per box; without them all boxes compete.
        max_candidates: only so many of the best boxes enter.

    Raises:
        DataError: shapes that do not fit, NaN, a threshold outside 0 to 1.
        UsageError: unknown space.

    >>> boxes = torch.tensor([[0.0, 0, 0, 4, 2, 2, 0], [1, 0, 0, 4, 2, 2, 0], [9, 0, 0, 4, 2, 2, 0]])
    >>> nms_rotated(boxes, torch.tensor([0.9, 0.8, 0.7]), iou_threshold=0.5)
    tensor([0, 2])
    """
    order, chosen, classes = _rank(boxes, scores, labels, max_candidates, space)
    _check_threshold(iou_threshold)
    if boxes.device.type == "cpu":
        from vol3d.geometry import nms_kernels as kernels  # numba is loaded when something is computed
        from vol3d.geometry.overlap_kernels import as_rows

        kept = kernels.greedy_rotated(as_rows(chosen), classes.numpy(), float(iou_threshold), space == "3d")
        return order[torch.from_numpy(kept)]
    iou = iou_3d if space == "3d" else iou_bev
    return order[greedy(iou(chosen, chosen) > iou_threshold, classes)]


def nms_axis_aligned(
    boxes: Float[Tensor, "n _"],
    scores: Float[Tensor, " n"],
    iou_threshold: float,
    *,
    space: Space = "bev",
    labels: Int64[Tensor, " n"] | None = None,
    max_candidates: int | None = None,
) -> Indices:
    """`nms_rotated` for boxes with yaw 0 (3DETR: `enclosing_axis_aligned(boxes)`, `space="3d"`), faster.

    Raises:
        DataError: as `nms_rotated`, and a yaw other than 0.
        UsageError: unknown space.
    """
    order, chosen, classes = _rank(boxes, scores, labels, max_candidates, space)
    _check_threshold(iou_threshold)
    iou = iou_3d_axis_aligned if space == "3d" else iou_bev_axis_aligned
    if boxes.device.type == "cpu":
        from vol3d.geometry import nms_kernels as kernels

        iou(chosen[:0], chosen)  # refuses rotated boxes; the kernel would take them for straight ones
        table = chosen[:, :6].double().numpy()
        kept = kernels.greedy_axis_aligned(table, classes.numpy(), float(iou_threshold), space == "3d")
        return order[torch.from_numpy(kept)]
    return order[greedy(iou(chosen, chosen) > iou_threshold, classes)]


def nms_circle(
    boxes: Float[Tensor, "n _"],
    scores: Float[Tensor, " n"],
    radius: float,
    *,
    compare: Literal["distance", "squared_distance"] = "distance",
    labels: Int64[Tensor, " n"] | None = None,
    max_candidates: int | None = None,
) -> Indices:
    """Suppress by the distance of the centres seen from above (CenterPoint, section 4).

    Args:
        boxes: metres, radians.
        scores: higher is better.
        radius: boxes go whose centre is this close to a better one's or closer, metres.
        compare: `squared_distance` compares the radius with the square of the distance, as CenterPoint's and mmdet3d's
            code does with their published radii.
        labels: one class per box; without them all boxes compete.
        max_candidates: only so many of the best boxes enter.

    Raises:
        DataError: shapes that do not fit, NaN, a negative radius.
        UsageError: unknown comparison.
    """
    order, chosen, classes = _rank(boxes, scores, labels, max_candidates)
    if not radius >= 0:
        raise DataError("not a radius", where="radius", got=radius, wanted="metres, 0 or more")
    if compare not in ("distance", "squared_distance"):
        raise UsageError("unknown comparison", where="compare", got=compare, wanted="distance or squared_distance")

    limit = float(radius) if compare == "squared_distance" else float(radius) ** 2
    centres = chosen[:, :2].double()
    if boxes.device.type == "cpu":
        from vol3d.geometry import nms_kernels as kernels

        return order[torch.from_numpy(kernels.greedy_circle(centres.numpy(), classes.numpy(), limit))]
    squared = (centres[:, None] - centres[None]).square().sum(-1)
    return order[greedy(squared <= limit, classes)]


def nms_by_class(
    boxes: Float[Tensor, "n _"],
    scores: Float[Tensor, " n"],
    labels: Int64[Tensor, " n"],
    suppress: Callable[[Tensor, Tensor, int], Tensor],
) -> Indices:
    """Suppress within each class by its own rule, such as CenterPoint's radius for each class.

    Args:
        boxes: metres, radians.
        scores: higher is better.
        labels: class of each box.
        suppress: `(boxes, scores, label) -> kept indices` for the boxes of one class.

    Returns:
        The boxes that stay, best first over all classes.
    """
    _check(boxes, scores, labels, "bev")
    kept = []
    for label in labels.unique().tolist():
        members = (labels == label).nonzero()[:, 0]
        kept.append(members[suppress(boxes[members], scores[members], label)])
    if not kept:
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    together = torch.cat(kept).sort().values
    return together[scores[together].argsort(descending=True, stable=True)]


def greedy(close: Tensor, labels: Tensor) -> Indices:
    """Indices that the greedy rule keeps, for pairs (i, j) judged `close` in order of rank; on the device of `close`.

    A box stays if no better box that stays is close. Applied to all at once and repeated, this settles one more box at
    least each time, and most at once.
    """
    ahead = (close & (labels[:, None] == labels[None])).triu(diagonal=1)
    keep = torch.ones(len(close), dtype=torch.bool, device=close.device)
    while True:
        settled = ~(ahead & keep[:, None]).any(dim=0)
        if bool((settled == keep).all()):
            return keep.nonzero()[:, 0]
        keep = settled


def _rank(
    boxes: Tensor, scores: Tensor, labels: Tensor | None, max_candidates: int | None, space: str = "bev"
) -> tuple[Tensor, Tensor, Tensor]:
    """Order of the boxes, best first and lower index first; the boxes and their labels in that order."""
    _check(boxes, scores, labels, space)
    order = scores.detach().argsort(descending=True, stable=True)[:max_candidates]
    classes = torch.zeros_like(order) if labels is None else labels[order].long()
    return order, boxes.detach()[order], classes


def _check(boxes: Tensor, scores: Tensor, labels: Tensor | None, space: str) -> None:
    check_boxes(boxes)
    if boxes.ndim != 2:
        raise DataError("not a table of boxes", where="boxes", got=tuple(boxes.shape), wanted="(n, 7 or 9)")
    if space not in ("bev", "3d"):
        raise UsageError("unknown space", where="space", got=space, wanted="bev or 3d")
    for values, name in ((scores, "scores"), (labels, "labels")):
        if values is not None and values.shape != boxes.shape[:1]:
            wanted = f"({len(boxes)},) as there are boxes"
            raise DataError("not one value per box", where=name, got=tuple(values.shape), wanted=wanted)
    if scores.device.type == "cpu" and bool(scores.isnan().any()):
        raise DataError("a score is NaN", where="scores", got=f"{int(scores.isnan().sum())} NaN", wanted="numbers")


def _check_threshold(iou_threshold: float) -> None:
    if not 0 <= iou_threshold <= 1:
        raise DataError("not an IoU threshold", where="iou_threshold", got=iou_threshold, wanted="0 to 1")
