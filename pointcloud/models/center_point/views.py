"""Maps of mirrored views as maps of the cloud itself, and their average: CenterPoint's double flip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pointcloud.models.center_point.decode import LARGEST_LOG_SIZE, CenterOutputs
from pointcloud.structures.similarity import Similarity


def map_back(output: CenterOutputs, how: Similarity) -> CenterOutputs:
    """Outputs of a head for a mirrored cloud, as maps of the cloud itself; a mirror image mirrored is the original.

    The maps lie symmetrically around the scanner.
    """
    axes = [axis for axis, flipped in ((-1, how.flip_x), (-2, how.flip_y)) if flipped]
    x, y = -1.0 if how.flip_x else 1.0, -1.0 if how.flip_y else 1.0
    offset = output.offset.flip(axes)
    for axis, sign in enumerate((x, y)):
        if sign < 0:  # counted from the other side of the cell
            offset[:, axis] = 1 - offset[:, axis]
    along = offset.new_tensor([x, y])[:, None, None]
    return CenterOutputs(
        output.heatmap.flip(axes),
        offset,
        output.height.flip(axes),
        output.size.flip(axes),
        output.rotation.flip(axes) * along.flip(0),  # sine, then cosine
        None if output.velocity is None else output.velocity.flip(axes) * along,
    )


def average_outputs(views: Sequence[CenterOutputs]) -> CenterOutputs:
    """The averages over all views: of probabilities, and of sizes in metres."""
    speeds = [one.velocity for one in views if one.velocity is not None]
    sizes = [one.size.clamp(max=LARGEST_LOG_SIZE).exp() for one in views]
    return CenterOutputs(
        _mean([one.heatmap.sigmoid() for one in views]).logit(eps=1e-7),
        _mean([one.offset for one in views]),
        _mean([one.height for one in views]),
        _mean(sizes).log(),
        _mean([one.rotation for one in views]),
        _mean(speeds) if speeds else None,
    )


def _mean(maps: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(maps)).mean(dim=0)
