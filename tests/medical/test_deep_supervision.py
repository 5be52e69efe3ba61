"""Deep supervision: the weighted sum written out, and targets that are never mixed."""

import pytest
import torch

from medical.datasets.cases import IGNORED
from medical.deep_supervision import DeepSupervision, coarser
from medical.losses import LossSettings, segmentation_loss
from medical.models.unetr import UnetrSettings
from medical.segmenter import Segmenter

NETWORK = UnetrSettings(patch=8, width=16, depth=2, heads=2, mlp=16, features=2, skips=(1, 2), deep_supervision=2)


@pytest.mark.parametrize("regions", [False, True])
def test_levels_weigh_a_half_each_and_1_together(regions):
    torch.manual_seed(0)
    settings = LossSettings()
    deep = DeepSupervision(Segmenter(NETWORK.build(1, 3, (16, 16, 8)), settings, regions))
    target = torch.randint(2, (2, 3 if regions else 1, 16, 16, 8))
    prediction = deep(torch.randn(2, 1, 16, 16, 8))
    terms = deep.loss(prediction, target)
    for name in ("dice", "cross_entropy"):
        parts = [
            segmentation_loss(
                logits, target[:, :, 2**n // 2 :: 2**n, 2**n // 2 :: 2**n, 2**n // 2 :: 2**n], settings, regions
            )
            for n, logits in enumerate(prediction)
        ]
        expected = sum(part[name] * weight for part, weight in zip(parts, (4 / 7, 2 / 7, 1 / 7), strict=True))
        torch.testing.assert_close(terms[name], expected)


def test_coarser_targets_keep_their_numbers():
    target = torch.tensor([0, IGNORED, 2]).repeat_interleave(4).reshape(1, 1, 12, 1, 1).expand(1, 1, 12, 4, 4)
    small = coarser(target, torch.zeros(1, 3, 6, 2, 2))
    assert small.dtype == target.dtype and small[0, 0, :, 0, 0].tolist() == [0, 0, IGNORED, IGNORED, 2, 2]
    assert coarser(target, torch.zeros(1, 3, 12, 4, 4)) is target
