"""The loss of UNETR, equation 6: soft Dice plus cross-entropy, for classes (softmax) or regions (sigmoid)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float, Integer
from pydantic import Field
from torch import Tensor

from vol3d.engine.settings import Settings


class LossSettings(Settings):
    """Dice and cross-entropy. The defaults are the paper's equation; the authors' code sets `squared`.

    `background` counts class 0 in the Dice term (the paper and MONAI do, nnU-Net does not); `over` sums the Dice ratio
    over each window or over the whole batch (nnU-Net's "batch dice").
    """

    dice: float = Field(1.0, ge=0, description="weight of the Dice term")
    cross_entropy: float = Field(1.0, ge=0, description="weight of the cross-entropy term")
    squared: bool = Field(False, description="squares in the Dice denominator (V-Net)")
    background: bool = True
    over: Literal["window", "batch"] = "window"
    smooth: float = Field(1e-5, ge=0, description="added to numerator and denominator")


def segmentation_loss(
    logits: Float[Tensor, "b o i j k"],
    target: Integer[Tensor, "b t i j k"],
    settings: LossSettings,
    regions: bool,
) -> dict[str, Tensor]:
    """Named terms of the loss, each a scalar in float32; their sum is minimised.

    Args:
        logits: outputs of the network.
        target: class indices with t = 1, or with `regions` a 0/1 map for each output (t = o).
        settings: weights and variants.
        regions: outputs are overlapping regions (sigmoid, binary cross-entropy) rather than classes (softmax).
    """
    from monai.losses import DiceLoss  # with all of MONAI, which prediction does without

    logits = logits.float()  # half precision overflows in the sums of a 96^3 window
    dice = DiceLoss(
        include_background=regions or settings.background,
        sigmoid=regions,
        softmax=not regions,
        to_onehot_y=not regions,
        squared_pred=settings.squared,
        smooth_nr=settings.smooth,
        smooth_dr=settings.smooth,
        batch=settings.over == "batch",
    )
    if regions:
        entropy = F.binary_cross_entropy_with_logits(logits, target.float())
    else:
        entropy = F.cross_entropy(logits, target[:, 0].long())
    return {"dice": settings.dice * dice(logits, target), "cross_entropy": settings.cross_entropy * entropy}
