"""Distillation from a recipe to a student's checkpoint: tiny detectors on short drives and small rooms."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pointcloud.distill.task import DistillTask
from tests.pointcloud.distill.small import CPU, SHAKE, columns, draws, taught
from tests.pointcloud.synthetic import write_rooms
from tests.pointcloud.tasks.test_rooms import RECIPE as ROOMS
from tests.vol3d.engine.test_distributed import codes, launch
from tests.vol3d.engine.test_resume import assert_equal, assert_same
from vol3d import checkpoint
from vol3d.config import load_distillation, load_task
from vol3d.engine import loop, resume
from vol3d.engine.distributed import Processes
from vol3d.engine.learner import Learner
from vol3d.engine.loop import train
from vol3d.engine.order import Loader, Plan
from vol3d.engine.start_from import derives_from
from vol3d.engine.stop import Stopped, StopRequest
from vol3d.errors import CheckpointError, UsageError

pytestmark = pytest.mark.usefixtures("blank_pictures")


def losses(task: Any, steps: int) -> list[dict[str, float]]:
    """Terms of some steps."""
    samples = task.samples()
    learner = Learner(task, Processes(0, 1, CPU))
    loader = Loader(samples, Plan(len(samples), 2, 1, 1, 0), 0, 0, steps, workers=0)
    terms = []
    for step in range(steps):
        terms.append(learner.step(loader.step(step), step, steps).terms)
        learner.apply(step)
    return terms


@pytest.mark.parametrize("method", ["set", "features", "pseudo_labels"])
def test_the_loss_against_the_teacher_falls(recipe: Path, teacher: str, method: str) -> None:
    words = [f"distill.method={method}", "distill.alpha=0", "train.ema=null"]
    words += ["optim={lr: 5e-3, schedule: constant, warmup: 0}"]
    words += ["distill.pseudo_labels={least_score: 0, most: 10}"] if method == "pseudo_labels" else []
    told = losses(taught(recipe, teacher, *words), 24)
    methods = [sum(value for name, value in terms.items() if name.startswith("teacher_")) for terms in told]
    assert sum(methods[-3:]) < 0.8 * sum(methods[:3])
    assert all(value == 0 for name, value in told[0].items() if not name.startswith("teacher_"))


def test_without_beta_it_is_plain_training_to_the_bit(recipe: Path, teacher: str, tmp_path: Path) -> None:
    train(load_task(recipe, [SHAKE]), tmp_path / "plain", device=CPU)
    train(taught(recipe, teacher, SHAKE, "distill.beta=0"), tmp_path / "taught", device=CPU)
    assert_same(*(checkpoint.read_checkpoint(tmp_path / run / "best.safetensors")[0] for run in ("plain", "taught")))


def test_a_student_derives_from_a_licensed_teacher(recipe: Path, teacher: str, tmp_path: Path) -> None:
    folder = shutil.copytree(teacher, tmp_path / "teacher")
    (folder / "LICENSE.md").write_text("creativecommons.org/licenses/by-nc-sa/3.0/")
    assert [(one["how"], one["model"], one["licence"]) for one in derives_from(taught(recipe, str(folder)))] == [
        ("teacher", "teacher", "CC-BY-NC-SA 3.0")
    ]


def test_a_run_tells_its_teacher_and_its_checkpoint_needs_none(recipe: Path, teacher: str, student: Path) -> None:
    assert {"teacher_class", "teacher_box", "teacher_velocity", "class", "box"} <= set(columns(student))
    again = load_distillation(student / "config.yaml")
    assert again.settings.distill.sha256 == checkpoint.load(teacher).info[0]["sha256"]
    loaded = checkpoint.load(student)
    assert not isinstance(loaded.task, DistillTask)
    assert loaded.task.settings.model_dump(mode="json") == load_task(recipe).resolved().model_dump(mode="json")
    assert loaded.info[0]["task"] == "lidar" and "distill" not in loaded.info[0]["settings"]
    scans = loaded.info[0]["trained_on"]["scans"]
    assert set(scans) == {"training", "teacher"} and sorted(scans["training"]) == scans["teacher"]


@pytest.mark.parametrize(
    "words",
    [["train.evaluate_every=1"], ["distill.method=features", "model.neck.width=12", "model.head.heads=2"], ["CACHE"]],
)
def test_a_run_that_was_stopped_ends_as_one_that_never_was(
    recipe: Path, teacher: str, tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def task(run: str) -> Any:
        cache = f"distill.cache={tmp_path / run / 'answers'}"
        return taught(recipe, teacher, *(cache if word == "CACHE" else word for word in words))

    train(task("whole"), tmp_path / "whole", device=CPU)
    with monkeypatch.context() as stopping, pytest.raises(Stopped):
        stopping.setattr(loop, "StopRequest", StopsAfter)
        train(task("cut"), tmp_path / "cut", device=CPU)
    train(task("cut"), tmp_path / "cut", device=CPU)
    assert_equal(tmp_path / "cut", tmp_path / "whole")


class StopsAfter(StopRequest):
    """As if SIGTERM came in the third step."""

    left = 2

    def __getattribute__(self, name: str) -> Any:
        if name == "asked":
            self.left -= 1
            return signal.SIGTERM if self.left < 0 else None
        return super().__getattribute__(name)


def test_further_weights_are_resumed_and_never_shipped(recipe: Path, teacher: str, tmp_path: Path) -> None:
    words = ["distill.method=features", "model.neck.width=12", "train.epochs=1"]
    train(taught(recipe, teacher, *words), tmp_path, device=CPU)
    point = resume.read(tmp_path)
    assert point is not None
    state = point.state["model"]
    assert state["method.bridges.0.weight"].shape == (16, 12, 1, 1)
    shipped = checkpoint.read_checkpoint(tmp_path / "best.safetensors")[0]
    assert {f"student.{name}" for name in shipped} == {name for name in state if not name.startswith("method.")}


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork and gloo")
@pytest.mark.parametrize("method", ["set", "features", "pseudo_labels"])
def test_two_processes_are_taught_together(recipe: Path, teacher: str, tmp_path: Path, method: str) -> None:
    task = taught(recipe, teacher, f"distill.method={method}", "train.batch=1")
    assert codes(launch(lambda rank: train(task, tmp_path / "run", device="cpu"), tmp_path / "log")) == [0, 0]
    assert checkpoint.load(tmp_path / "run").info[0]["score"] is not None


def test_another_teacher_cannot_go_on(recipe: Path, student: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"distill\.sha256: "):
        train(taught(recipe, str(student)), student, device=CPU)
    with pytest.raises(CheckpointError, match="not the teacher that the run began with"):
        task = load_distillation(student / "config.yaml", [f"distill.teacher={student}"])
        train(task, tmp_path / "again", device=CPU)


def test_a_run_that_has_ended_needs_no_teacher(recipe: Path, teacher: str, tmp_path: Path) -> None:
    shutil.copytree(teacher, tmp_path / "teacher")
    task = taught(recipe, str(tmp_path / "teacher"), "train.epochs=1")
    ended = train(task, tmp_path / "run", device=CPU)
    with pytest.raises(Stopped), pytest.MonkeyPatch.context() as stopping:
        stopping.setattr(loop, "StopRequest", StopsAfter)
        train(taught(recipe, str(tmp_path / "teacher")), tmp_path / "cut", device=CPU)
    shutil.rmtree(tmp_path / "teacher")
    again = taught(recipe, str(tmp_path / "teacher"), "train.epochs=1")
    assert train(again, tmp_path / "run", device=CPU).score == ended.score
    for run in ("cut", "new"):
        with pytest.raises(UsageError, match="no such checkpoint"):
            train(taught(recipe, str(tmp_path / "teacher")), tmp_path / run, device=CPU)


def test_a_teacher_sees_more_sweeps_and_beams(recipe: Path, teacher: str) -> None:
    words = ["data.sweeps=1", "data.every_beam=4", "distill.teacher_sees={sweeps: 2, every_beam: 2}", SHAKE]
    task = taught(recipe, teacher, *words)
    samples = task.samples()
    inputs = samples.collate([samples.sample(0, draws())]).inputs
    student, seen = inputs["student"][0], inputs["teacher"][0]
    assert student.shape[1] == seen.shape[1] == 5  # the ring is shown to nobody
    assert (student[:, 4] == 0).all() and seen[:, 4].unique().numel() == 2
    assert 0 < len(student) < len(seen) / 3
    plain = load_task(recipe, ["data.sweeps=1", "data.every_beam=4", SHAKE]).samples()
    alone = plain.sample(0, draws()).cloud
    assert torch.equal(sorted_rows(alone), sorted_rows(student))  # its own data would show it the same
    assert {tuple(row) for row in student.tolist()} <= {tuple(row) for row in seen.tolist()}
    assert task.student.settings.data.sweeps == 1  # evaluated on what it sees
    assert all(value == value for value in losses(task, 1)[0].values())


def sorted_rows(cloud: torch.Tensor) -> torch.Tensor:
    return torch.tensor(sorted(cloud.tolist()))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["distill.teacher_sees.sweeps=1"], "see less than the student"),
        (["data.every_beam=2", "distill.teacher_sees.every_beam=3"], "see less than the student"),
        ([SHAKE, "distill.cache=answers", "distill.method=features"], r"cannot follow.*Give augment=\{\}"),
        (
            [SHAKE, "distill.cache=answers", "paste={counts: {car: 5}}"],
            r"cannot follow.*Give paste=null, or",
        ),
        (["data.sweeps=1", "distill.teacher_sees.sweeps=2", "paste={counts: {car: 5}}"], "sweeps of pasted objects"),
        (["distill.method=features", "model.neck.levels=3"], "feature pyramids"),
        (["model.head.velocity=false"], r"other things of a box.*cos vx vy.*Give distill\.velocity=0"),
        (["distill.class_term=divergence", "distill.object_score=0.5"], "object_score means nothing"),
        (["distill.method=features", "distill.background=left_out"], "background means nothing to the method features"),
        (["distill.alpha=0", "distill.beta=0"], "would learn nothing"),
        (["distill.method=features", "distill.taught=all"], "taught means nothing to the method features"),
        (["distill.pseudo_labels.most=9"], "pseudo_labels means nothing to the method set"),
        (["distill.method=features", "model.voxels.point_range_m=[-8, -8, -5, 8, 8, 3]"], "of different ground"),
    ],
)
def test_what_cannot_be_taught_is_told_before_the_first_step(
    recipe: Path, teacher: str, tmp_path: Path, words: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(taught(recipe, teacher, *words), tmp_path, device=CPU)


def test_a_missing_teacher_and_a_damaged_one(recipe: Path, teacher: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such checkpoint"):
        train(taught(recipe, "nobody"), tmp_path / "run", device=CPU)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((Path(teacher) / "best.safetensors").read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        train(taught(recipe, str(cut)), tmp_path / "run", device=CPU)
    with pytest.raises(UsageError, match=r"distill: no teacher. Give distill\.teacher=CHECKPOINT"):
        load_distillation(recipe)
    with pytest.raises(UsageError, match=r"with a teacher. Use `vol3d distill`"):
        load_task(recipe, [f"distill.teacher={teacher}"])


def test_a_detector_without_a_set_can_only_teach_boxes(recipe: Path, detector: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the teacher predicts no set"):
        losses(taught(recipe, detector), 1)
    with pytest.raises(UsageError, match="no feature pyramid"):
        losses(taught(recipe, detector, "distill.method=features"), 1)
    words = ["distill.method=pseudo_labels", "distill.pseudo_labels={least_score: 0, most: 5}"]
    assert losses(taught(recipe, detector, *words), 1)[0]["teacher_class"] > 0


def test_more_pseudo_labels_than_queries_are_left_out(recipe: Path, teacher: str) -> None:
    words = ["distill.method=pseudo_labels", "distill.pseudo_labels={least_score: 0, most: 30}"]
    assert losses(taught(recipe, teacher, *words, "model.head.queries=24"), 1)[0]["teacher_class"] > 0


def test_features_of_another_width_are_compared_in_mixed_precision(recipe: Path, teacher: str) -> None:
    words = ["distill.method=features", "model.neck.width=12", "model.head.heads=2", "train.amp=bf16"]
    assert losses(taught(recipe, teacher, *words), 1)[0]["teacher_features"] > 0


def test_the_student_is_trained_in_the_precision_of_the_device(recipe: Path, teacher: str) -> None:
    task = taught(recipe, teacher, "train.amp=auto").on(CPU)
    amp = task.settings.train.amp
    assert amp == task.student.settings.train.amp == task.recipe().train.amp != "auto"


def test_other_classes_are_refused(recipe: Path, tmp_path: Path) -> None:
    root = write_rooms(tmp_path / "data")
    path = tmp_path / "rooms.yaml"
    path.write_text(ROOMS.replace("ROOT", str(root)))
    train(load_task(path, ["train.epochs=1"]), tmp_path / "teacher", device=CPU)
    with pytest.raises(UsageError, match="other classes"):
        train(taught(recipe, str(tmp_path / "teacher")), tmp_path / "run", device=CPU)


def test_overfit_shows_few_scenes_and_no_distortion(recipe: Path, teacher: str) -> None:
    task = taught(recipe, teacher, SHAKE).overfit(1)
    assert len(task.samples()) == 1 == len(task.student.split.validation)
    assert task.dense.settings.augment.rotate_deg == 0


def test_a_wrong_setting_of_the_teacher_is_named_with_its_line(recipe: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(recipe.read_text() + "distill:\n  teacher: runs/a\n  methd: set\n  teacher_sees: {sweeps: 0}\n")
    lines = len(path.read_text().splitlines())
    with pytest.raises(UsageError) as caught:
        load_distillation(path)
    assert f"{path}:{lines - 1}: unknown setting 'distill.methd'; did you mean 'distill.method'?" in str(caught.value)
    assert f"{path}:{lines}: 'distill.teacher_sees.sweeps' should be greater" in str(caught.value)
