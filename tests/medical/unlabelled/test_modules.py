"""Mean teacher and pseudo labels: the averages and the losses written out."""

import math

import pytest
import torch
from torch import nn

from medical.datasets.cases import IGNORED
from medical.losses import LossSettings, segmentation_loss
from medical.segmenter import Segmenter
from medical.unlabelled.modules import MeanTeacher, PseudoLabelled, consistency, risen
from medical.unlabelled.settings import UnlabelledSettings

TEACHER = UnlabelledSettings(root="scans", ramp=0, decay=0.9, threshold=0.0)
PSEUDO = UnlabelledSettings(root="scans", method="pseudo_labels", teacher="run", ramp=4, weight=2.0)


def consistency_by_hand(student, teacher, threshold, regions):
    total, batch, size = 0.0, len(student), student.shape[2:]
    for b in range(batch):
        for place in torch.cartesian_prod(*map(torch.arange, size)).tolist():
            one, other = (x[(b, slice(None), *place)] for x in (student, teacher))
            p, q = (one.sigmoid(), other.sigmoid()) if regions else (one.softmax(0), other.softmax(0))
            sure = min(max(float(v), 1 - float(v)) for v in q) if regions else float(q.max())
            total += float(((p - q) ** 2).sum()) if sure >= threshold else 0.0
    return total / student.numel()


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.99])
def test_consistency_is_the_formula(regions, threshold):
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 2, 3, 2, requires_grad=True), torch.randn(2, 3, 2, 3, 2, requires_grad=True)
    value = consistency(student, teacher, threshold, regions)
    expected = consistency_by_hand(student.detach(), teacher.detach(), threshold, regions)
    assert float(value.detach()) == pytest.approx(expected, abs=1e-6)
    value.backward()
    assert torch.isfinite(student.grad).all() and teacher.grad is None


def test_the_weight_rises():
    assert [risen(n, 4) for n in (0, 2, 4, 9)] == [math.exp(-5), math.exp(-5 / 4), 1.0, 1.0]


def inputs(batch=2):
    torch.manual_seed(1)
    return {name: torch.randn(batch, 1, 4, 4, 4) for name in ("labelled", "unlabelled", "other")}


def segmenter():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.Conv3d(4, 3, 1))
    return Segmenter(network, LossSettings(), regions=False)


def test_the_teacher_is_the_average_of_the_student():
    model = segmenter()
    module = MeanTeacher(model, model.network, TEACHER, regions=False).train()
    assert not module.teacher.training and module.model.training
    assert [name for name, p in module.named_parameters() if p.requires_grad and "teacher" in name] == []

    expected = {}
    for batch in range(12):
        weights = {name: p.detach().clone() for name, p in model.network.named_parameters()}
        decay = min(0.9, 1 - 1 / (batch + 1))  # the first teacher is the student
        expected = {n: w if not batch else decay * expected[n] + (1 - decay) * w for n, w in weights.items()}
        module(inputs())
        for name, average in module.teacher.named_parameters():
            torch.testing.assert_close(average, expected[name])
        with torch.no_grad():
            for p in model.network.parameters():
                p += 0.1
    copied = MeanTeacher(segmenter(), segmenter().network, TEACHER, regions=False)
    copied.load_state_dict(module.state_dict())  # what a resumed run does
    assert int(copied.batches) == 12


def test_losses_of_a_mean_teacher():
    model = segmenter()
    module = MeanTeacher(model, model.network, TEACHER.model_copy(update={"weight": 3.0, "temperature": 0.5}), False)
    given, target = inputs(), torch.randint(3, (2, 1, 4, 4, 4))
    prediction = module(given)
    terms = module.loss(prediction, {"labelled": target})
    assert set(terms) == {"dice", "cross_entropy", "consistency"}
    with torch.no_grad():
        seen = module.teacher(given["other"])
    torch.testing.assert_close(
        terms["consistency"], 3.0 * consistency(prediction["unlabelled"], seen / 0.5, 0.0, regions=False)
    )
    torch.stack([*terms.values()]).sum().backward()
    assert all(p.grad is None for p in module.teacher.parameters())


def test_losses_of_pseudo_labels():
    module = PseudoLabelled(segmenter(), PSEUDO)
    target, other = torch.randint(3, (2, 1, 4, 4, 4)), torch.randint(3, (2, 1, 4, 4, 4))
    other[:, :, :2] = IGNORED
    prediction = module({name: x for name, x in inputs().items() if name != "other"})
    terms = module.loss(prediction, {"labelled": target, "other": other})
    for name, term in segmentation_loss(prediction["labelled"], target, LossSettings(), False).items():
        torch.testing.assert_close(terms[name], term)
    for name, term in segmentation_loss(prediction["unlabelled"], other, LossSettings(), False).items():
        torch.testing.assert_close(terms[f"unlabelled_{name}"], term * 2.0 * risen(0, 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "pseudo_labels"}, "pseudo_labels needs a trained run"),
        ({"teacher": "run"}, "mean_teacher has a teacher of its own"),
        ({"method": "vat"}, "mean_teacher"),
        ({"threshold": 1.0}, "less than 1"),
        ({"weight": 0}, "greater than 0"),
    ],
)
def test_settings_refuse(change, message):
    with pytest.raises(ValueError, match=message):
        UnlabelledSettings(root="scans", **change)
