"""What a detector must have in common with the one whose weights it begins with, or which teaches it.

Both must see the same features of a point. Intensities on another scale are no obstacle: the first layer is linear in
them, and its weights are multiplied instead of the data.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pointcloud.inference.ground import TOLERANCE_M
from pointcloud.inference.intensity import Rescaling
from pointcloud.structures.detector import Detector
from pointcloud.structures.features import width
from vol3d.engine.seen import SeenRange
from vol3d.engine.settings import StartSettings
from vol3d.errors import UsageError
from vol3d.notes import Note

XYZ = 3


def takes_input(network: nn.Module, start: StartSettings | None) -> bool:
    """Whether the part that sees the points is taken over."""
    if start is None or start.pairs is None:
        return True
    weights = (name for name, part in network.named_children() if next(part.parameters(), None) is not None)
    first = next(weights, None)  # what only averages the points of a voxel has none
    return any(theirs.split(".")[0] == first for theirs, _ in start.pairs)


def require_features(own: Sequence[str], other: Sequence[str]) -> None:
    """Refuses the weights of a network that sees something else of a point.

    Raises:
        UsageError: other features, or in another order.
    """
    if tuple(own) != tuple(other):
        what, got, wanted = "the other network sees other features of the points", ", ".join(own), ", ".join(other)
        raise UsageError(what, where="model.features", got=got or "none", wanted=wanted or "none")


def rescale_input(network: nn.Module, change: Rescaling) -> Note:
    """Makes a network expect intensities as the data have them, by the weights of its first layer, in place.

    Args:
        network: a detector around a LiDAR scanner that sees intensities.
        change: what would bring the data's intensities to the scale of its training.

    Returns:
        That and how it was changed.
    """
    features = Detector.of(network).settings.features
    column = XYZ + width(features[: features.index("intensity")])
    with torch.no_grad():
        _inputs_of(network, column).mul_(change.factor)
    text = "the first layer was changed for intensities of 0 to {scale:g}: it was trained on 0 to {learnt:g}"
    numbers = {name: change.note.numbers[name] for name in ("scale", "learnt")}
    return Note("input-scale-converted", text, "start_from", numbers=numbers)


def _inputs_of(network: nn.Module, column: int) -> Tensor:
    """The weights by which a column of the points enters the network; a view.

    Raises:
        UsageError: it does not begin with a layer that is linear in the points.
    """
    from pointcloud.models.layers.voxel_encoders import PointStack
    from pointcloud.models.pillar_od.layers import PointLayer
    from pointcloud.models.pillar_od.views import STATISTICS
    from vol3d.sparse import SubMConv3d

    for module in network.modules():
        if isinstance(module, PointStack):
            first: Tensor = next(module.linears.parameters())
            return first[:, column]
        if isinstance(module, PointLayer):  # features stand behind what both views know of the place
            return next(module.parameters())[:, 2 * STATISTICS + column - XYZ]
        if isinstance(module, SubMConv3d):  # [kz, ky, kx, c_in, c_out] over the means of voxels
            return module.weight[..., column, :]
    got, wanted = type(network).__name__, "a network that begins with pillars or voxels"
    raise UsageError("the scale of its intensities cannot be converted", where="start_from", got=got, wanted=wanted)


def other_ground(own: SeenRange | None, other: SeenRange | None) -> tuple[Note, ...]:
    """A note if the ground of these scenes is not where it was in the other training."""
    if own is None or other is None:
        return ()
    if other.low - TOLERANCE_M <= own.low and own.high <= other.high + TOLERANCE_M:
        return ()
    here = "the ground of these scenes is at {low:.2f} to {high:.2f} m"
    text = f"{here}, in the other training it was at {{other_low:.2f}} to {{other_high:.2f}} m"
    numbers = {"low": own.low, "high": own.high, "other_low": other.low, "other_high": other.high}
    return (Note("ground-differs", text, "start_from", numbers=numbers),)
