"""Distillation: matching and losses against loops, what they must not depend on, and the detectors as pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pointcloud.distill.baselines import feature_loss, pseudo_labels
from pointcloud.distill.methods import SetMethod
from pointcloud.distill.set_loss import (
    DistillSettings,
    combine,
    divergence_cost,
    divergence_loss,
    match_sets,
    set_to_set_loss,
    top_queries,
)
from pointcloud.distill.teacher import Teacher
from pointcloud.models.layers.bev_backbones import FpnSettings
from pointcloud.models.object_dgcnn.head import ObjectDgcnnHead, ObjectDgcnnHeadSettings
from pointcloud.structures.box_code import encode_boxes
from pointcloud.structures.detector import SetDetector
from pointcloud.structures.predicted_set import PredictedSet, softmax_log_odds
from pointcloud.structures.targets import BoxTargets
from tests.pointcloud.models.small import CLASSES, PLAIN, TURNING, scene
from tests.pointcloud.models.small_lidar import MODELS as LIDAR
from tests.reference import distill as twin
from vol3d.errors import DataError, UsageError
from vol3d.scans.results.detections import Detections

PRINTED = DistillSettings()
SOFT = DistillSettings(class_term="divergence", divide_by="pairs")
OPEN = ("class_term", "object_score", "background", "classes", "box")


def a_set(*shape: int, seed: int = 0, velocity: bool = False) -> PredictedSet:
    """A random set (*shape) of three classes."""
    generator = torch.Generator().manual_seed(seed)
    log_odds, box, speed = (torch.randn(*shape, columns, generator=generator) * 2 for columns in (3, 8, 2))
    return PredictedSet(log_odds, box, speed if velocity else None)


def total(student: PredictedSet, teacher: PredictedSet, settings: DistillSettings = PRINTED) -> Tensor:
    """Of samples with one annotated box each."""
    annotated = torch.ones(len(teacher.box), dtype=torch.int64)
    return torch.stack(list(set_to_set_loss(student, teacher, settings, annotated).values())).sum()


def by_query(found: PredictedSet, sample: int) -> list[twin.Prediction]:
    return list(zip(found.probability[sample], found.box[sample], strict=True))


VARIANTS = [
    PRINTED,
    DistillSettings(background="class_only", object_score=0.9),
    DistillSettings(background="left_out", object_score=0.9),
    DistillSettings(object_score=0, divide_by="pairs", classes=1, box=1),
    SOFT,
    DistillSettings(class_term="divergence", background="left_out", object_score=0.9),
]


@pytest.mark.parametrize("settings", VARIANTS, ids=lambda one: f"{one.class_term}-{one.background}-{one.object_score}")
@pytest.mark.parametrize(("students", "teachers"), [(6, 6), (9, 4), (1, 1), (5, 0)])
def test_value_and_gradient_are_those_of_loops(students: int, teachers: int, settings: DistillSettings) -> None:
    student, teacher = a_set(2, students), a_set(2, teachers, seed=1)
    student.log_odds.requires_grad_()
    student.box.requires_grad_()
    leaves, open_ = (student.log_odds, student.box), {name: getattr(settings, name) for name in OPEN}
    pairs = [(by_query(student, i), by_query(teacher, i)) for i in range(2)]
    if settings.background != "left_out":  # pairs that cost nothing may be matched in any way
        found = match_sets(student, teacher, settings).query
        assert found.tolist() == [twin.match(*pair, open_) for pair in pairs]

    wanted = torch.stack([twin.loss(*pair, open_) for pair in pairs]).sum()
    wanted = wanted / (2 if settings.divide_by == "annotated" else max(2 * teachers, 1))
    got = total(student, teacher, settings)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
    if teachers:
        for own, other in zip(torch.autograd.grad(got, leaves), torch.autograd.grad(wanted, leaves), strict=True):
            torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-4)


def test_the_paper_counts_every_pair_in_both_terms() -> None:
    teacher = a_set(1, 3)
    teacher.log_odds[0] = torch.tensor([[6.0, -6, -6], [-6, -6, -6], [-6, -6, 6]])  # the second is background
    student = PredictedSet(torch.zeros(1, 3, 3), teacher.box + 1)
    terms = set_to_set_loss(student, teacher, PRINTED, torch.tensor([2]))
    ln2 = float(np.log(2))
    assert terms["class"].item() == pytest.approx(2.0 * (ln2 + 3 * ln2 + ln2) / 2)  # no object: no to all of 3 classes
    assert terms["box"].item() == pytest.approx(0.25 * 3 * 8 / 2)


def test_no_object_of_a_softmax_is_its_own_probability() -> None:
    logits = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(0))
    model = PredictedSet(softmax_log_odds(logits), torch.zeros(1, 4, 8), None, logits.log_softmax(-1)[..., -1])
    torch.testing.assert_close(model.log_likelihood(), logits.log_softmax(-1))
    assert model.queries(torch.tensor([[2, 0]])).log_likelihood().shape == (1, 2, 5)


def test_without_annotated_boxes_the_sum_is_divided_by_one() -> None:
    student, teacher = a_set(1, 4), a_set(1, 4, seed=1)
    none, one = (set_to_set_loss(student, teacher, PRINTED, torch.tensor([count]))["box"] for count in (0, 1))
    assert none.item() == one.item() > 0


def test_predictions_beyond_the_ground_of_the_student_cost_nothing() -> None:
    student, teacher = a_set(1, 4), a_set(1, 4, seed=1)
    teacher.box[0, :, :2] = torch.tensor([[0.0, 0], [9, 0], [0, -9], [1, 1]])
    ground = (-8.0, -8.0, -5.0, 8.0, 8.0, 3.0)
    near = PredictedSet(teacher.log_odds[:, [0, 3]], teacher.box[:, [0, 3]])
    cut = set_to_set_loss(student, teacher, PRINTED, torch.tensor([1]), ground)
    for name, value in set_to_set_loss(student, near, PRINTED, torch.tensor([1])).items():
        torch.testing.assert_close(cut[name], value)


def test_the_divergence_of_all_pairs_is_that_of_each() -> None:
    student, teacher = a_set(2, 4), a_set(2, 3, seed=1)
    cost = divergence_cost(student.log_odds, teacher.log_odds)
    for i in range(3):
        for j in range(4):
            wanted = divergence_loss(student.log_odds[:, j], teacher.log_odds[:, i])
            torch.testing.assert_close(cost[:, i, j], wanted, atol=1e-5, rtol=1e-4)


def test_a_teacher_that_equals_the_student_has_nothing_to_teach() -> None:
    student = a_set(2, 2, 7, velocity=True)
    terms = set_to_set_loss(student, student, SOFT, torch.ones(2, dtype=torch.int64))
    assert set(terms) == {"class", "box", "velocity"}
    assert [term.item() for term in terms.values()] == pytest.approx([0, 0, 0], abs=1e-6)


@pytest.mark.parametrize("students", [7, 12, 4])
@pytest.mark.parametrize("sure", [False, True])
def test_the_order_of_the_teachers_queries_changes_nothing(students: int, sure: bool) -> None:
    student, teacher, settings = a_set(2, students), a_set(2, 7, seed=1), DistillSettings(sure_boxes=sure)
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    shuffled = PredictedSet(teacher.log_odds[:, order], teacher.box[:, order])
    torch.testing.assert_close(total(student, shuffled, settings), total(student, teacher, settings))


def test_a_student_with_the_teachers_queries_in_another_order_has_learnt_all() -> None:
    teacher, order = a_set(1, 7), torch.tensor([3, 0, 6, 2, 5, 1, 4])
    student = PredictedSet(teacher.log_odds[:, order], teacher.box[:, order])
    assert match_sets(student, teacher, SOFT).query[0].tolist() == order.argsort().tolist()
    assert total(student, teacher, SOFT).item() == pytest.approx(0, abs=1e-6)


def test_the_surest_queries_of_a_larger_teacher_teach() -> None:
    teacher = a_set(1, 5)
    teacher.log_odds[0] = torch.tensor([[-5.0, -5, -5], [4, -5, -5], [-5, -5, -4], [-5, 3, -5], [-5, -5, -6]])
    few = top_queries(teacher, 2)
    assert few.log_odds[0].amax(-1).tolist() == [4, 3]
    assert torch.equal(few.box[0], teacher.box[0, [1, 3]])
    assert total(few, teacher, SOFT).item() == pytest.approx(0, abs=1e-6)
    assert top_queries(teacher, 5) is teacher


def test_the_last_layer_is_taught_or_all_of_them() -> None:
    student, teacher = a_set(3, 2, 6), a_set(2, 2, 6, seed=1)
    ones = torch.ones(2, dtype=torch.int64)
    last = set_to_set_loss(student, teacher, PRINTED, ones)
    assert set(last) == {"class", "box"}
    every = set_to_set_loss(student, teacher, DistillSettings(taught="all"), ones)
    assert set(every) == {f"{name}{layer}" for name in ("class", "box") for layer in ("", "/layer0", "/layer1")}
    torch.testing.assert_close(every["class"], last["class"])
    first = set_to_set_loss(student.layers(0), teacher.layers(-1), PRINTED, ones)
    torch.testing.assert_close(every["box/layer0"], first["box"])


def test_sure_boxes_weigh_more_if_asked() -> None:
    teacher = a_set(1, 2)
    teacher.log_odds[0] = torch.tensor([[20.0, -20, -20], [-20, -20, -20]])
    student = PredictedSet(teacher.log_odds, teacher.box + torch.tensor([1.0, 0])[:, None])
    plain, sure = (
        set_to_set_loss(student, teacher, SOFT.model_copy(update={"sure_boxes": flag}), torch.tensor([1]))["box"].item()
        for flag in (False, True)
    )
    assert plain == pytest.approx(0.25 * 8 / 2)
    assert sure == pytest.approx(2 * plain)


def test_velocities_are_compared_if_both_predict_them() -> None:
    one, student, teacher = torch.tensor([1]), a_set(1, 4, velocity=True), a_set(1, 4, seed=1, velocity=True)
    still = PredictedSet(teacher.log_odds, teacher.box)
    found = set_to_set_loss(student, teacher, PRINTED, one)
    matched = student.queries(match_sets(student, teacher, PRINTED).query)
    assert matched.velocity is not None and teacher.velocity is not None
    torch.testing.assert_close(found["velocity"], 0.05 * (matched.velocity - teacher.velocity).abs().sum())
    for pair in ((student, still), (still, student)):
        assert "velocity" not in set_to_set_loss(*pair, PRINTED, one)


def test_no_gradient_goes_to_the_teacher() -> None:
    student, teacher = a_set(1, 4), a_set(1, 4, seed=1)
    for leaf in (student.log_odds, student.box, teacher.log_odds, teacher.box):
        leaf.requires_grad_()
    total(student, teacher).backward()
    assert student.box.grad is not None and teacher.box.grad is None and teacher.log_odds.grad is None


def test_the_total_is_alpha_times_supervised_and_beta_times_distilled() -> None:
    terms = combine({"class": torch.tensor(3.0)}, {"class": torch.tensor(5.0)}, DistillSettings(alpha=2, beta=0.5))
    assert {name: term.item() for name, term in terms.items()} == {"class": 6.0, "teacher_class": 2.5}


@pytest.mark.parametrize(("student", "teacher"), [((2, 4), (3, 4)), ((2, 3), (2, 4)), ((1, 2, 4), (1, 2, 4))], ids=str)
def test_sets_that_cannot_be_compared_are_refused(student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="sets that cannot be compared"):
        match_sets(a_set(*student), a_set(*teacher), PRINTED)


def test_feature_maps_are_compared_at_the_teachers_size() -> None:
    ramp = torch.linspace(0, 1, 8).expand(1, 2, 4, 8)
    student = [ramp.clone().requires_grad_(), torch.ones(1, 2, 2, 2)]
    assert feature_loss(student, [ramp, torch.ones(1, 2, 6, 6)]).item() == 0
    teacher = [ramp + 1, torch.ones(1, 2, 6, 6).requires_grad_()]
    loss = feature_loss(student, teacher)
    assert loss.item() == pytest.approx(0.5)
    loss.backward()
    torch.testing.assert_close(student[0].grad, torch.full_like(ramp, -1 / ramp.numel()))
    assert teacher[1].grad is None


@pytest.mark.parametrize("student", [[], [torch.zeros(1, 3, 4, 4)], [torch.zeros(1, 2, 4, 4)] * 2])
@pytest.mark.bad_input
def test_feature_maps_that_cannot_be_compared_are_refused(student: list[Tensor]) -> None:
    with pytest.raises(DataError, match="feature maps that cannot be compared"):
        feature_loss(student, [torch.zeros(1, 2, 4, 4)])


def test_pseudo_labels_are_the_surest_detections() -> None:
    boxes = np.arange(28, dtype=np.float32).reshape(4, 7)
    scores = np.array([0.2, 0.9, 0.5, 0.7], np.float32)
    found = Detections(boxes, scores, np.array([0, 1, 2, 0]), CLASSES)
    none = found.select(np.zeros(4, bool))
    labelled, empty = pseudo_labels([found, none], 0.5, 10)
    assert torch.equal(labelled.boxes, torch.from_numpy(boxes[[1, 3, 2]])) and labelled.labels.tolist() == [1, 0, 2]
    assert empty.boxes.shape == (0, 7)
    assert pseudo_labels([found], 0.5, 2)[0].labels.tolist() == [1, 0]


def object_dgcnn(seed: int, **changes: Any) -> ObjectDgcnnHead:
    torch.manual_seed(seed)
    sizes = {"heads": 2, "encoder_layers": 1, "decoder_layers": 2, "ffn": 16, "queries": 8, "neighbour_count": 3}
    settings = ObjectDgcnnHeadSettings(**{**sizes, **changes})
    return ObjectDgcnnHead(settings, CLASSES, FpnSettings(levels=1, width=16), (-8.0, -8.0, 8.0, 8.0))


@pytest.mark.bad_input  # a head stands for a whole detector here
def test_a_student_comes_nearer_to_a_frozen_teacher() -> None:
    maps = [torch.randn(2, 16, 6, 6, generator=torch.Generator().manual_seed(0))]
    teacher, student = Teacher(object_dgcnn(0).train()), object_dgcnn(1, dropout=0.0, queries=10)
    before = {name: tensor.clone() for name, tensor in teacher.model.state_dict().items()}
    optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
    targets = [BoxTargets(torch.rand(2, 9) + 0.5, torch.tensor([0, 2]))] * 2
    losses = []
    for _ in range(15):
        prediction = student(maps)
        distilled = set_to_set_loss(prediction.as_set(), teacher(maps).as_set(), PRINTED, torch.tensor([2, 2]))
        terms = combine(student.loss(prediction, targets), distilled, PRINTED)
        losses.append(sum(term.item() for name, term in terms.items() if name.startswith("teacher_")))
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]
    after = teacher.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def as_set(model: Any, prediction: Any) -> PredictedSet:
    """Of a detector, or of a head alone."""
    return model.as_set(prediction) if isinstance(model, SetDetector) else prediction.as_set()


@pytest.mark.bad_input  # a head stands for a whole detector here
@pytest.mark.parametrize("direction", ["to object dgcnn", "to 3detr"])
def test_3detr_and_object_dgcnn_teach_each_other(direction: str) -> None:
    clouds, _ = zip(*(scene(400, 2, turn=True, seed=seed) for seed in (0, 1)), strict=True)
    torch.manual_seed(0)
    indoor, outdoor = TURNING.build(CLASSES), object_dgcnn(0)
    pair = [(outdoor, [torch.randn(2, 16, 6, 6)]), (indoor, list(clouds))]
    (student, seen), (taught_by, shown) = pair if direction == "to object dgcnn" else pair[::-1]
    teacher = Teacher(taught_by)
    teacher.check_classes(CLASSES)
    total(as_set(student, student(seen)), as_set(taught_by, teacher(shown))).backward()
    last = [name for name, _ in student.named_parameters() if "heads" in name and "heads.0" not in name]
    gradients = {name: student.get_parameter(name).grad for name in last}
    assert gradients and all(g is not None and bool(g.isfinite().all()) for g in gradients.values()), gradients


def test_3detr_says_its_own_probabilities_and_boxes() -> None:
    torch.manual_seed(0)
    model = TURNING.build(CLASSES).eval()
    prediction = model([scene(400, 2)[0]])
    said = model.as_set(prediction)
    torch.testing.assert_close(said.probability, prediction.class_probability, atol=1e-6, rtol=1e-4)
    assert torch.equal(said.box[..., :6], encode_boxes(prediction.boxes)[..., :6])
    sure = replace(prediction, outputs=prediction.outputs._replace(angle_logits=prediction.outputs.angle_logits * 1e4))
    torch.testing.assert_close(model.as_set(sure).box, encode_boxes(prediction.boxes))


@pytest.mark.bad_input  # a head stands for a whole detector here
def test_a_teacher_of_other_classes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"distill\.teacher: the teacher was trained for other classes"):
        Teacher(object_dgcnn(0)).check_classes(("a", "b", "c"))
    with pytest.raises(UsageError, match=r"distill\.teacher: a teacher that finds no objects; got Linear"):
        Teacher.of(torch.nn.Linear(1, 1))
    with pytest.raises(UsageError, match=r"these classes in another order than the student"):
        Teacher(object_dgcnn(0)).check_classes(CLASSES[::-1])


@pytest.mark.bad_input
def test_a_teacher_whose_boxes_do_not_turn_cannot_teach_one_whose_boxes_do() -> None:
    turning, still = TURNING.build(CLASSES), PLAIN.build(CLASSES)
    with pytest.raises(UsageError, match=r"states other things of a box.*got x y z l w h, wanted .*sin"):
        SetMethod(PRINTED, turning, still)
    assert SetMethod(PRINTED, still, still).turns is False
    outdoor = LIDAR["object dgcnn pillars"].build(CLASSES)
    with pytest.raises(UsageError, match=r"Give distill\.velocity=0"):
        SetMethod(PRINTED, turning, outdoor)
    assert SetMethod(DistillSettings(velocity=0), turning, outdoor).ground is None
