"""Deep supervision: the same loss at every stage, of the truth at its resolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from medical.datasets.cases import IGNORED
from medical.deep_supervision import DeepSupervision, nearest, stage_weights
from medical.losses import LossSettings, segmentation_loss
from medical.models.residual_unet import ResidualUnetSettings
from medical.segmenter import Segmenter
from tests.medical.synthetic import write_msd
from vol3d.config import load_task
from vol3d.engine.distributed import processes
from vol3d.engine.learner import Learner

SMALL = ResidualUnetSettings(
    features=(2, 3, 4, 5),
    kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    strides=((1, 1, 1), (2, 2, 1), (2, 2, 2), (2, 2, 1)),
    blocks=(1, 1, 1, 1),
)

SIZES = ("features", "kernels", "strides", "blocks")


def deep(regions: bool = False) -> DeepSupervision:
    torch.manual_seed(0)
    return DeepSupervision(Segmenter(SMALL.build(1, 3, (8, 8, 4)), LossSettings(), regions))


def test_weights_halve_and_add_up_to_one():
    assert stage_weights(1) == [1.0]
    assert np.allclose(stage_weights(3), [4 / 7, 2 / 7, 1 / 7])


def test_nearest_is_the_voxel_under_the_centre():
    target = torch.arange(6 * 4).reshape(1, 1, 6, 4, 1)
    coarse = nearest(target, (3, 2, 1))
    slow = [[target[0, 0, int((i + 0.5) * 2), int((j + 0.5) * 2), 0] for j in range(2)] for i in range(3)]
    assert coarse.dtype == target.dtype and coarse[0, 0, :, :, 0].tolist() == [[int(v) for v in row] for row in slow]
    assert nearest(target, (6, 4, 1)) is target


@pytest.mark.parametrize("regions", [False, True])
def test_the_loss_is_the_weighted_sum_of_its_stages(regions):
    model, image = deep(regions), torch.randn(2, 1, 8, 8, 4)
    target = torch.randint(0, 2, (2, 3, 8, 8, 4)) if regions else torch.randint(0, 3, (2, 1, 8, 8, 4))
    target[:, :, :2] = IGNORED
    logits = model(image)
    assert [tuple(one.shape[2:]) for one in logits] == [(8, 8, 4), (4, 4, 4)]  # the coarsest has no head
    assert torch.equal(logits[0], model.segmenter(image))

    terms = model.loss(logits, target)
    fine = segmentation_loss(logits[0], target, LossSettings(), regions)
    coarse = segmentation_loss(logits[1], target[:, :, 1::2, 1::2], LossSettings(), regions)
    for name in ("dice", "cross_entropy"):
        assert torch.allclose(terms[name], 2 / 3 * fine[name] + 1 / 3 * coarse[name])
    sum(terms.values()).backward()
    assert all(p.grad is not None for p in model.parameters())  # none is unused


def test_a_network_of_one_stage_has_none():
    with pytest.raises(TypeError, match="one stage only"):
        DeepSupervision(Segmenter(nn.Conv3d(1, 2, 1), LossSettings(), False))


def test_the_recipe_decides():
    words = ["data.root=x", "class_names=[background, a, b]", "channel_names=[MR]"]
    task = load_task("residual_unet_hippocampus", words)
    assert isinstance(task.training_module(task.model()), DeepSupervision)
    task = load_task("residual_unet_hippocampus", [*words, "model.deep_supervision=false"])
    model = task.model()
    assert task.training_module(model) is model
    assert len(model.network.decoder.seg_layers) == 1


def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path):
    words = [f"data.root={write_msd(tmp_path)}", "data.folds=2", "window.size=[16, 16, 16]", "train.amp=off"]
    words += [f"model.{name}={value}" for name, value in SMALL.model_dump(mode="json").items() if name in SIZES]
    task = load_task("residual_unet_hippocampus", words)
    samples = task.samples()
    batch = samples.collate([samples.sample(n, np.random.default_rng(n)) for n in range(2)])
    with processes("cpu") as group:
        whole = Learner(task, group)
        before = whole.step([(batch, 1.0)], 0, 2)
        whole.apply(0)
        state = whole.state()
        resumed = Learner(task, group, state["model"])
        resumed.restore(state)
        after, again = (learner.step([(batch, 1.0)], 1, 2) for learner in (whole, resumed))
    assert after == again != before
    assert set(whole.best_weights()) == set(task.model().state_dict())  # a checkpoint holds the network alone
