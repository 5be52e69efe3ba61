"""Object DGCNN's loss: queries matched with annotated boxes one to one, then compared; every layer for itself.

Wang and Solomon, "Object DGCNN: 3D Object Detection using Dynamic Graphs", NeurIPS 2021, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from pointcloud.structures.box_code import BOX, encode_boxes
from pointcloud.structures.targets import BoxTargets
from vol3d.engine.settings import Settings
from vol3d.matching import (
    ClassLoss,
    Cost,
    HungarianMatcher,
    PairLoss,
    SetLoss,
    SetTargets,
    focal_class_cost,
    l1_cost,
    l1_loss,
    sigmoid_focal_loss,
)


class ObjectDgcnnLossSettings(Settings):
    """Weights of the terms, for the losses and, but for the velocity, for the costs of matching."""

    classes: float = Field(2.0, ge=0, description="focal loss of the classes")
    box: float = Field(0.25, ge=0, description="L1 of the box code without the velocity")
    velocity: float = Field(0.05, ge=0, description="L1 of the velocity, where it is known")
    drop_unknown_velocity: bool = Field(
        False, description="as the released code: of a box without a known velocity only the class is learned"
    )


def object_dgcnn_loss(
    class_logits: Float[Tensor, "layers b q classes"],
    code: Float[Tensor, "layers b q d"],
    targets: Sequence[BoxTargets],
    settings: ObjectDgcnnLossSettings,
) -> dict[str, Tensor]:
    """Weighted terms: `class`, `box`, `velocity` of the last layer, `class/layer0` and so on of those before it.

    Args:
        class_logits: before the sigmoid.
        code: of the boxes, see `pointcloud.structures.box_code`; 10 columns with velocities.
        targets: annotated boxes of each sample; a velocity may be NaN or left out: unknown.
        settings: weights and the quirk.

    Raises:
        DataError: more boxes than queries; a cost that is not finite.
    """
    with torch.autocast(code.device.type, enabled=False):
        predictions, fields = _named(class_logits.float(), code.float()), encode_targets(targets)
        matches = matcher(settings)(predictions, fields)
        return _terms(settings, with_velocity=code.shape[-1] > BOX)(predictions, fields, matches)


def encode_targets(targets: Sequence[BoxTargets]) -> SetTargets:
    """Labels, box codes and velocities, NaN where unknown."""
    samples = []
    for target in targets:
        code = encode_boxes(target.boxes.float())
        velocity = code[:, BOX:] if code.shape[1] > BOX else code.new_full((len(code), 2), torch.nan)
        samples.append({"label": target.labels, "box": code[:, :BOX], "velocity": velocity})
    return SetTargets.pad(samples)


def matcher(settings: ObjectDgcnnLossSettings) -> HungarianMatcher:
    """The costs of pairing a query with a box; neither velocity nor overlap is among them."""
    return HungarianMatcher(
        {
            "class": Cost(focal_class_cost, "class_logits", "label", settings.classes),
            "box": Cost(l1_cost, "box", "box", settings.box),
        }
    )


def _terms(settings: ObjectDgcnnLossSettings, with_velocity: bool) -> SetLoss:
    drop = with_velocity and settings.drop_unknown_velocity
    box = PairLoss(_l1_if_known, ("box",), ("box", "velocity") if drop else ("box",), settings.box)
    velocity = PairLoss(l1_loss, ("velocity",), ("velocity",), settings.velocity if with_velocity else 0)
    classes = ClassLoss(sigmoid_focal_loss, "class_logits", "label", divide_by="boxes", weight=settings.classes)
    return SetLoss({"class": classes, "box": box, "velocity": velocity})


def _l1_if_known(prediction: Tensor, target: Tensor, *_must_be_finite: Tensor) -> Tensor:
    return l1_loss(prediction, target)


def _named(class_logits: Tensor, code: Tensor) -> dict[str, Tensor]:
    return {"class_logits": class_logits, "box": code[..., :BOX], "velocity": code[..., BOX:]}
