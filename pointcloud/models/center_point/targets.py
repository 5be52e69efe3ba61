"""What a heat map of centres should look like: CenterPoint's targets (Yin, Zhou, Krähenbühl, CVPR 2021, section 4).

The radius of a Gaussian is CornerNet's as all published code has it: the three roots are all taken as (b + sqrt) / 2,
which is right for the first only. `test_center_targets` has the radii.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets
from vol3d.geometry.boxes import VELOCITY, YAW
from vol3d.host import send


@dataclass(frozen=True, eq=False)
class CenterTargets:
    """Of one task and a batch.

    heatmap: (B, classes, Y, X), 1 at the cells of the objects' centres.
    sample, cell, label: (K,) of each object: its sample, y * X + x, its class within the task.
    code: (K, 8 or 10) offset x y from the cell's corner in cells, z, log l w h, sin and cos of yaw, velocity or NaN.
    ones: (3, P) sample, label and cell of each place where the heat map is 1: objects that share one count once.
    """

    heatmap: Float[Tensor, "b c y x"]
    sample: Int64[Tensor, " k"]
    cell: Int64[Tensor, " k"]
    label: Int64[Tensor, " k"]
    code: Float[Tensor, "k _"]
    ones: Int64[Tensor, "3 p"]


class Drawing(NamedTuple):
    """How objects are drawn: see `CenterHeadSettings`."""

    overlap: float = 0.1
    min_radius: int = 2
    max_objects: int = 500
    clamp: bool = False
    velocity: bool = True


def task_targets(
    targets: list[BoxTargets], tasks: Sequence[Sequence[int]], grid: MapGrid, drawing: Drawing, device: torch.device
) -> list[CenterTargets]:
    """`center_targets` of every task, on `device`: drawn on the host, where the boxes are, and sent together."""
    known = [target.on_host for target in targets]
    drawn = [center_targets(known, torch.tensor(task), grid, drawing) for task in tasks]
    names = [field.name for field in fields(CenterTargets)]
    sent = iter(send([getattr(one, name) for one in drawn for name in names], device))
    return [CenterTargets(**{name: next(sent) for name in names}) for _ in drawn]


def center_targets(targets: list[BoxTargets], classes: Tensor, grid: MapGrid, drawing: Drawing) -> CenterTargets:
    """What the maps of one task should be.

    Args:
        targets: objects of each sample.
        classes: (classes,) labels that belong to the task.
        grid: of the map.
        drawing: how.
    """
    boxes, label, sample = _of_task(targets, classes, drawing)
    ny, nx = grid.shape

    place = grid.to_cells(boxes[:, :2])
    if drawing.clamp:
        highest = place.new_tensor([nx, ny]) - 0.5
        place = torch.minimum(place.clamp(min=0), highest)
    cell = place.trunc()  # towards zero: what lies less than a cell outside counts to the first cell
    on_map = ((cell >= 0) & (cell < cell.new_tensor([nx, ny]))).all(dim=1) & (boxes[:, 3:6] > 0).all(dim=1)
    boxes, label, sample, place, cell = (t[on_map] for t in (boxes, label, sample, place, cell))

    size = boxes[:, 3:5] / boxes.new_tensor(grid.voxel) / grid.stride
    radius = gaussian_radius(size[:, 0], size[:, 1], drawing.overlap).int().clamp(min=drawing.min_radius)
    heatmap = boxes.new_zeros(len(targets), len(classes), ny, nx)
    column, row = cell.long().unbind(1)
    draw_gaussians(heatmap.view(-1, ny, nx), sample * len(classes) + label, row, column, radius)

    yaw = boxes[:, YAW, None]
    parts = [place - cell, boxes[:, 2:3], boxes[:, 3:6].log(), yaw.sin(), yaw.cos()]
    if drawing.velocity:
        parts.append(boxes[:, VELOCITY])
    ones = (heatmap.flatten(2) == 1).nonzero().T
    return CenterTargets(heatmap, sample, row * nx + column, label, torch.cat(parts, dim=1), ones)


def gaussian_radius(length: Tensor, width: Tensor, overlap: float | Tensor) -> Tensor:
    """Radius, in cells, of the Gaussian around an object of length x width cells (see the head of the file)."""
    total, area = length + width, length * width
    first = (total + (total**2 - 4 * (area * (1 - overlap) / (1 + overlap))).sqrt()) / 2
    second = (2 * total + ((2 * total) ** 2 - 16 * ((1 - overlap) * area)).sqrt()) / 2
    b = -2 * overlap * total
    third = (b + (b**2 - 16 * overlap * ((overlap - 1) * area)).sqrt()) / 2
    return torch.minimum(torch.minimum(first, second), third)


def draw_gaussians(planes: Float[Tensor, "p y x"], plane: Tensor, row: Tensor, column: Tensor, radius: Tensor) -> None:
    """Raises the planes, in place, to Gaussians of standard deviation (2 radius + 1) / 6 cut off at the radius.

    Args:
        planes: written to.
        plane, row, column, radius: (K,) whole numbers of each Gaussian.
    """
    if not len(plane):
        return
    ny, nx = planes.shape[1:]
    reach = min(int(radius.max()), max(ny, nx))
    steps = torch.arange(-reach, reach + 1, device=planes.device)
    dy, dx = (step.flatten()[None] for step in torch.meshgrid(steps, steps, indexing="ij"))  # (1, P)
    deviation = (2 * radius[:, None].to(planes.dtype) + 1) / 6
    value = (-(dx**2 + dy**2) / (2 * deviation**2)).exp()  # (K, P)
    y, x = row[:, None] + dy, column[:, None] + dx
    inside = (torch.maximum(dy.abs(), dx.abs()) <= radius[:, None]) & (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
    index = (plane[:, None] * ny + y) * nx + x
    planes.view(-1).scatter_reduce_(0, index[inside], value[inside], "amax")


def _of_task(targets: list[BoxTargets], classes: Tensor, drawing: Drawing) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, labels within the task and samples of the task's objects: class by class, the first ones of a sample."""
    boxes, labels, samples = [], [], []
    columns = 9 if drawing.velocity else 7
    for number, target in enumerate(targets):
        row, label = (target.labels[:, None] == classes.to(target.labels.device)).nonzero().unbind(1)
        order = label.argsort(stable=True)[: drawing.max_objects]
        table = target.boxes[row[order]].float()
        if table.shape[1] < columns:  # a data set without velocities
            table = torch.cat([table, table.new_full((len(table), 2), torch.nan)], dim=1)
        boxes.append(table[:, :columns])
        labels.append(label[order])
        samples.append(torch.full_like(order, number))
    return torch.cat(boxes), torch.cat(labels), torch.cat(samples)
