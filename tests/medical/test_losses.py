"""Dice and cross-entropy against the equation written out, for classes and for regions."""

import pytest
import torch

from medical.datasets.cases import IGNORED
from medical.losses import LossSettings, segmentation_loss


def dice_by_hand(p, g, settings, axes):
    top = 2 * (p * g).sum(axes) + settings.smooth
    square = 2 if settings.squared else 1
    return (1 - top / ((p**square).sum(axes) + (g**square).sum(axes) + settings.smooth)).mean()


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("over", ["window", "batch"])
def test_classes(squared, background, over):
    torch.manual_seed(0)
    settings = LossSettings(dice=0.7, cross_entropy=2.0, squared=squared, background=background, over=over)
    logits = torch.randn(2, 3, 3, 4, 5)
    target = torch.randint(0, 3, (2, 1, 3, 4, 5))
    terms = segmentation_loss(logits, target, settings, regions=False)
    p, g = logits.softmax(1), torch.nn.functional.one_hot(target[:, 0], 3).movedim(-1, 1).float()
    first = 0 if background else 1
    axes = (0, 2, 3, 4) if over == "batch" else (2, 3, 4)
    torch.testing.assert_close(terms["dice"], 0.7 * dice_by_hand(p[:, first:], g[:, first:], settings, axes))
    torch.testing.assert_close(terms["cross_entropy"], -2.0 * (g * p.log()).sum(1).mean())


def test_regions():
    torch.manual_seed(0)
    settings = LossSettings()
    logits, target = torch.randn(2, 3, 3, 4, 5), torch.randint(0, 2, (2, 3, 3, 4, 5))
    terms = segmentation_loss(logits, target, settings, regions=True)
    p, g = logits.sigmoid(), target.float()
    torch.testing.assert_close(terms["dice"], dice_by_hand(p, g, settings, (2, 3, 4)))
    torch.testing.assert_close(terms["cross_entropy"], -(g * p.log() + (1 - g) * (1 - p).log()).mean())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(dtype):
    logits = torch.zeros(1, 2, 64, 64, 64, dtype=dtype)  # sums of 2^18 overflow float16
    target = torch.zeros(1, 1, 64, 64, 64, dtype=torch.long)
    terms = segmentation_loss(logits, target, LossSettings(), regions=False)
    assert all(term.dtype == torch.float32 and torch.isfinite(term) for term in terms.values())


def test_absent_classes_have_finite_loss_and_gradient():
    logits = torch.randn(1, 4, 4, 4, 4, requires_grad=True)
    sum(
        segmentation_loss(logits, torch.zeros(1, 1, 4, 4, 4, dtype=torch.long), LossSettings(), False).values()
    ).backward()
    assert torch.isfinite(logits.grad).all()


def counted_by_hand(logits, target, settings, regions):
    """Both terms over the voxels that count, one window and output after the other."""
    dices, entropies = [], []
    for one, truth in zip(logits, target, strict=True):
        keep = truth[0] != IGNORED
        p = (one.sigmoid() if regions else one.softmax(0))[:, keep]
        g = truth[:, keep].float() if regions else torch.stack([truth[0, keep] == c for c in range(len(one))]).float()
        first = 0 if regions or settings.background else 1
        top, bottom = 2 * (p * g)[first:].sum(1), (p + g)[first:].sum(1)
        dices.append(1 - (top + settings.smooth) / (bottom + settings.smooth))
        entropies.append(-(g * p.log() + (1 - g) * (1 - p).log()).flatten() if regions else -(g * p.log()).sum(0))
    return {"dice": torch.stack(dices).mean(), "cross_entropy": torch.cat(entropies).mean()}


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_ignored_voxels_have_no_value_and_no_gradient(regions, background):
    torch.manual_seed(0)
    settings = LossSettings(background=background)
    logits = torch.randn(2, 3, 3, 4, 5, dtype=torch.float64).float().requires_grad_()
    target = torch.randint(0, 2, (2, 3, 3, 4, 5)) if regions else torch.randint(0, 3, (2, 1, 3, 4, 5))
    ignored = torch.rand(2, 1, 3, 4, 5) < 0.4
    target = target.masked_fill(ignored, IGNORED)
    terms = segmentation_loss(logits, target, settings, regions)
    sum(terms.values()).backward()
    gradient = logits.grad.clone()
    assert (gradient[ignored.expand_as(gradient)] == 0).all() and gradient.abs().sum() > 0

    logits.grad = None
    twin = counted_by_hand(logits, target, settings, regions)
    sum(twin.values()).backward()
    for name, term in terms.items():
        torch.testing.assert_close(term, twin[name])
    torch.testing.assert_close(gradient, logits.grad)


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("smooth", [0.0, 1e-5])
def test_nothing_but_ignored_voxels(regions, smooth):
    logits = torch.randn(1, 3, 4, 4, 4, requires_grad=True)
    target = torch.full((1, 3 if regions else 1, 4, 4, 4), IGNORED)
    terms = segmentation_loss(logits, target, LossSettings(smooth=smooth), regions)
    sum(terms.values()).backward()
    assert all(torch.isfinite(term) for term in terms.values()) and (logits.grad == 0).all()


@pytest.mark.parametrize("regions", [False, True])
def test_without_ignored_voxels_not_a_bit_changes(regions):
    from monai.losses import DiceLoss

    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 3, 4, 5), torch.randint(0, 2, (2, 3 if regions else 1, 3, 4, 5))
    terms = segmentation_loss(logits, target.to(torch.uint8) if regions else target, LossSettings(), regions)
    dice = DiceLoss(sigmoid=regions, softmax=not regions, to_onehot_y=not regions, smooth_nr=1e-5, smooth_dr=1e-5)
    functional = torch.nn.functional
    if regions:
        entropy = functional.binary_cross_entropy_with_logits(logits, target.float())
    else:
        entropy = functional.cross_entropy(logits, target[:, 0])
    assert terms["dice"] == dice(logits, target.bool() if regions else target) and terms["cross_entropy"] == entropy
