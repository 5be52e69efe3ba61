"""Which annotated boxes a detector can learn."""

from __future__ import annotations

from collections.abc import Sequence

from pointcloud.datasets.scenes import BoxTargets
from vol3d.errors import DataError
from vol3d.geometry import check_boxes


def check_targets(targets: Sequence[BoxTargets], classes: int, angle_bins: int) -> None:
    """Refuse targets that the model cannot learn.

    Raises:
        DataError: no boxes, a class that the model does not have, boxes that turn though the model's do not.
    """
    for index, target in enumerate(targets):
        where, labels = f"targets[{index}]", target.labels
        check_boxes(target.boxes, where)
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            got = f"{int(labels.min())} to {int(labels.max())}"
            raise DataError("a class that the model does not have", where=where, got=got, wanted=f"0 to {classes - 1}")
        if angle_bins == 1 and len(labels) and bool((target.boxes[:, 6] != 0).any()):
            do = "Set the model's angle_bins to 12, or make the boxes axis-aligned."
            raise DataError("boxes turn, those of the model do not", where=where, got="a yaw other than 0", do=do)
