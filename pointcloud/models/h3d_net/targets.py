"""Which points of a scan lie on a face or an edge of an object, and what they should predict of it.

H3DNet (ECCV 2020), section 3.2, with the rules of the authors' code for ScanNet. In the frame of its box, the points
of an object that are not much farther from a face than the nearest of them lie on that face, if they are many and
about as far. The centre of the face is their mean height, in the middle of the box, for a horizontal face; their mean
place, at half the height of the box, for an upright one. Those of them that are also near to an adjoining face lie on
the edge between the two, whose centre is their mean, in the middle along the edge. (For SUN RGB-D the authors measure
the distance to the edge itself, and take the middle of the box's edge.)

The authors know the points of an object from ScanNet's instance masks; here they are those in its annotated box. Of two
faces or two objects that a point lies on, the later one counts, as there.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor

from pointcloud.structures.targets import BoxTargets
from vol3d.engine.settings import Settings
from vol3d.geometry import points_in_boxes

_LOW, _HIGH = -1.0, 1.0
_FACES = ((2, _LOW), (2, _HIGH), (0, _LOW), (0, _HIGH), (1, _LOW), (1, _HIGH))  # axis of the box, side
_EDGES = (
    (0, 2),
    (0, 3),
    (0, 4),
    (0, 5),
    (1, 2),
    (1, 3),
    (1, 4),
    (1, 5),
    (2, 4),
    (2, 5),
    (3, 4),
    (3, 5),
)  # of two faces
_ALONG = tuple(3 - _FACES[one][0] - _FACES[other][0] for one, other in _EDGES)  # the axis that neither face is across


class PrimitiveTargetSettings(Settings):
    """When points lie on a face or an edge; the defaults are those for ScanNet (SUN RGB-D: 0.1, 50, 0.005, 0.1, 10)."""

    face_m: float = Field(0.2, gt=0, description="a face has the points that are by less farther than the nearest one")
    face_points: int = Field(100, ge=0, description="a face has more points than these")
    face_variance: float = Field(0.01, gt=0, description="variance of their distances, m2, is less")
    edge_m: float = Field(0.2, gt=0, description="an edge has those of its first face that are as near to its second")
    edge_points: int = Field(10, ge=0, description="an edge has more points than these")


class PrimitiveTargets(NamedTuple):
    """What points should predict of one kind of primitive; zeros where there is none.

    Args:
        exists: they lie on one.
        centers: metres.
        sizes: lengths of the face's edges, metres: l and w of a horizontal face, the height of an upright one.
        labels: of the object.
    """

    exists: Bool[Tensor, " n"]
    centers: Float[Tensor, "n 3"]
    sizes: Float[Tensor, "n d"]
    labels: Int64[Tensor, " n"]


def primitive_targets(
    points: Float[Tensor, "n 3"], target: BoxTargets, settings: PrimitiveTargetSettings
) -> tuple[PrimitiveTargets, PrimitiveTargets, PrimitiveTargets]:
    """Targets of the points of a scan: for horizontal faces, upright faces and edges."""
    found = _none(points, 2), _none(points, 1), _none(points, 0)
    boxes = target.boxes[:, :7].float()
    for inside, box, label in zip(points_in_boxes(points, boxes), boxes, target.labels, strict=True):
        rows = inside.nonzero()[:, 0]
        if not len(rows):
            continue
        turn = _turn(box[6])  # (3, 3), from the frame of the box
        local = (points[rows] - box[:3]) @ turn  # (P, 3)
        lengths = (box[3:5], box[5:6], box[:0])
        for kind, (on, centers), size in zip(found, _primitives(local, box[3:6], settings), lengths, strict=True):
            one = on.any(dim=0)  # (P,)
            last = len(on) - 1 - on.flip(0).int().argmax(dim=0)
            hit = rows[one]
            kind.exists[hit] = True
            kind.centers[hit] = (centers @ turn.T + box[:3])[last[one]]
            kind.sizes[hit] = size
            kind.labels[hit] = label
    return found


def _none(points: Tensor, lengths: int) -> PrimitiveTargets:
    """Of points that lie on no primitive with so many lengths."""
    n = len(points)
    exists, labels = (torch.zeros(n, dtype=kind, device=points.device) for kind in (torch.bool, torch.int64))
    return PrimitiveTargets(exists, points.new_zeros(n, 3), points.new_zeros(n, lengths), labels)


def _primitives(
    local: Tensor, size: Tensor, settings: PrimitiveTargetSettings
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Which points (P, 3) of the box's frame lie on each of k primitives (k, P), and their centres (k, 3)."""
    axes = torch.tensor([axis for axis, _ in _FACES], device=local.device)
    sides = local.new_tensor([side for _, side in _FACES])
    distance = (local.T[axes] - (sides * size[axes] / 2)[:, None]).abs()  # (6, P)
    near = distance - distance.min(dim=1, keepdim=True).values < settings.face_m  # (6, P)
    flat = _variance(distance, near) < settings.face_variance
    faces = near & ((near.sum(dim=1) > settings.face_points) & flat)[:, None]
    upright = _mean(local, faces) * local.new_tensor([1.0, 1.0, 0.0])
    horizontal = _mean(local, faces) * local.new_tensor([0.0, 0.0, 1.0])

    one, other = torch.tensor(_EDGES, device=local.device).T
    edges = near[one] & (distance[other] < settings.edge_m)  # (12, P)
    edges = edges & (edges.sum(dim=1) > settings.edge_points)[:, None]
    across = 1 - torch.eye(3, device=local.device)[list(_ALONG)]  # (12, 3)
    middles = _mean(local, edges) * across
    return (faces[:2], horizontal[:2]), (faces[2:], upright[2:]), (edges, middles)


def _mean(local: Tensor, on: Tensor) -> Tensor:
    """(k, 3) of the points on each; zeros without a point."""
    share = on.to(local.dtype)
    return share @ local / share.sum(dim=1, keepdim=True).clamp(min=1)


def _variance(distance: Tensor, on: Tensor) -> Tensor:
    """(k,) of the distances of the points on each."""
    share = on.to(distance.dtype)
    count = share.sum(dim=1)
    mean = (distance * share).sum(dim=1) / count
    return ((distance - mean[:, None]).square() * share).sum(dim=1) / (count - 1).clamp(min=1)


def _turn(yaw: Tensor) -> Tensor:
    """(3, 3), from the frame of a box; a row times it goes back to that frame."""
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    cos, sin = yaw.cos(), yaw.sin()
    return torch.stack([torch.stack(row) for row in ((cos, -sin, zero), (sin, cos, zero), (zero, zero, one))])
