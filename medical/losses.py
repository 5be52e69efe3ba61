"""The loss of UNETR, equation 6: soft Dice plus cross-entropy, for classes (softmax) or regions (sigmoid)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float, Integer
from pydantic import Field
from torch import Tensor

from medical.datasets.cases import IGNORED
from vol3d.engine.settings import Settings

_TINY = 1e-12  # where no voxel of a window counts and nothing is smoothed, Dice is 0 / this


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

    Voxels whose target is `IGNORED` take no part: neither in the sums of Dice nor in the mean of the cross-entropy. A
    batch of nothing else has a gradient of 0.

    Args:
        logits: outputs of the network.
        target: class indices with t = 1, or with `regions` a 0/1 map for each output (t = o).
        settings: weights and variants.
        regions: outputs are overlapping regions (sigmoid, binary cross-entropy) rather than classes (softmax).
    """
    logits = logits.float()  # half precision overflows in the sums of a 96^3 window
    ignored = target == IGNORED
    if not ignored.any():
        dice, entropy = _dice(logits, target, settings, regions), _entropy(logits, target, regions, "mean")
    else:
        counted, known = ~ignored, target.masked_fill(ignored, 0)
        dice = _masked_dice(logits, known, counted[:, :1], settings, regions)
        terms = _entropy(logits, known, regions, "none").masked_fill(ignored if regions else ignored[:, 0], 0)
        entropy = terms.sum() / counted.sum().clamp(min=1)
    return {"dice": settings.dice * dice, "cross_entropy": settings.cross_entropy * entropy}


def _dice(logits: Tensor, target: Tensor, settings: LossSettings, regions: bool) -> Tensor:
    from monai.losses import DiceLoss  # with all of MONAI, which prediction does without

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
    return dice(logits, target)


def _masked_dice(logits: Tensor, target: Tensor, counted: Tensor, settings: LossSettings, regions: bool) -> Tensor:
    """Dice over the voxels of `counted` (b, 1, i, j, k).

    MONAI's `MaskedDiceLoss` masks the logits, which softmax and sigmoid make 1 / outputs of; here probabilities are.
    """
    from monai.losses import DiceLoss

    truth = target if regions else F.one_hot(target[:, 0].long(), logits.shape[1]).movedim(-1, 1)
    probabilities = logits.sigmoid() if regions else logits.softmax(dim=1)
    dice = DiceLoss(
        include_background=regions or settings.background,
        squared_pred=settings.squared,
        smooth_nr=settings.smooth,
        smooth_dr=max(settings.smooth, _TINY),
        batch=settings.over == "batch",
    )
    return dice(probabilities * counted, truth * counted)


def _entropy(logits: Tensor, target: Tensor, regions: bool, reduction: Literal["mean", "none"]) -> Tensor:
    """Cross-entropy of each voxel (b, i, j, k), or of each region's (b, o, i, j, k); or its mean."""
    if regions:
        return F.binary_cross_entropy_with_logits(logits, target.float(), reduction=reduction)
    return F.cross_entropy(logits, target[:, 0].long(), reduction=reduction)
