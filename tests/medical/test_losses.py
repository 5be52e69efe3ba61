"""Dice and cross-entropy against the equation written out, for classes and for regions."""

import pytest
import torch

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
