"""A teacher's outputs on disk: each scene once, of the scene as it lies, moved as training moves it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pointcloud.distill.task import DistillWrapper
from pointcloud.generate.drives.write import write_drives
from pointcloud.structures.box_code import decode_boxes, encode_boxes
from tests.pointcloud.distill.small import CPU, SHAKE, columns, draws, taught
from tests.pointcloud.synthetic import write_rooms
from tests.pointcloud.tasks.test_rooms import RECIPE as ROOMS
from tests.vol3d.engine.test_resume import assert_same
from vol3d import checkpoint
from vol3d.config import load_task
from vol3d.engine.loop import train
from vol3d.errors import CheckpointError, UsageError

pytestmark = pytest.mark.usefixtures("blank_pictures")


def test_answers_are_kept_once(recipe: Path, teacher: str, tmp_path: Path) -> None:
    task = taught(recipe, teacher, f"distill.cache={tmp_path}", "distill.taught=all")
    trainee = task.training_module(task.model())
    assert isinstance(trainee, DistillWrapper)
    samples = task.samples()
    inputs = samples.collate([samples.sample(i, draws()) for i in range(2)]).inputs
    first = trainee(inputs)[1]
    files = sorted(tmp_path.rglob("*.safetensors"))
    assert len(files) == 2
    trainee.teacher.model.to("meta")  # it could not answer again
    assert_same(trainee(inputs)[1], first)
    assert sorted(tmp_path.rglob("*.safetensors")) == files


def test_answers_about_other_scenes_or_another_range_are_not_taken(recipe: Path, teacher: str, tmp_path: Path) -> None:
    write_drives(tmp_path / "other", 2, seed=4, workers=0, seconds=1)
    folders = set()
    for words in ([], [f"data.root={tmp_path / 'other'}"], ["model.voxels.point_range_m=[-8, -8, -5, 8, 8, 3]"]):
        task = taught(recipe, teacher, f"distill.cache={tmp_path / 'answers'}", *words)
        folders.add(task.training_module(task.model()).kept.folder)
    assert len(folders) == 3


@pytest.mark.parametrize("method", ["set", "pseudo_labels"])
def test_cached_boxes_follow_the_scene(recipe: Path, teacher: str, tmp_path: Path, method: str) -> None:
    words = [f"distill.method={method}", "augment={flip_x: 1, rotate_deg: 20, scale: [0.9, 0.9], shift_m: 0.5}"]
    words += ["distill.pseudo_labels={least_score: 0, most: 9}"] if method == "pseudo_labels" else []
    task = taught(recipe, teacher, f"distill.cache={tmp_path}", *words)
    trainee, samples = task.training_module(task.model()), task.samples()
    sample = samples.sample(0, draws())
    motion = sample[0].motion
    (found,) = trainee(samples.collate([sample]).inputs)[1]
    (kept,) = trainee.kept.read([samples.name(0)])
    code = kept["box"] if method == "set" else encode_boxes(kept["boxes"])
    wanted = torch.from_numpy(motion.boxes(decode_boxes(code[:, :8]).numpy()))
    if method == "set":
        moved = encode_boxes(decode_boxes(found["box"]))  # with a direction of length 1
        torch.testing.assert_close(moved, encode_boxes(wanted), atol=1e-4, rtol=1e-4)
        speed = kept["velocity"] @ torch.from_numpy(motion.matrix[:2, :2]).float().T
        torch.testing.assert_close(found["velocity"], speed)
        assert torch.equal(found["log_odds"], kept["log_odds"])
    else:
        stays = (wanted[:, :2].abs() <= 16).all(dim=1)
        torch.testing.assert_close(found["boxes"][:, :7], wanted[stays], atol=1e-4, rtol=1e-4)
        assert torch.equal(found["labels"], kept["labels"][stays])


def test_a_cached_output_is_of_the_scene_as_it_lies(recipe: Path, teacher: str, tmp_path: Path) -> None:
    kept = []
    for number, shake in enumerate(([], [SHAKE])):
        task = taught(recipe, teacher, f"distill.cache={tmp_path / str(number)}", *shake)
        trainee, samples = task.training_module(task.model()), task.samples()
        trainee(samples.collate([samples.sample(0, np.random.default_rng(number))]).inputs)
        kept += trainee.kept.read([samples.name(0)])
        assert samples.sample(0, draws())[1] is None  # it is known: the teacher is shown nothing
    assert_same(*kept)


def test_a_damaged_answer_can_be_deleted(recipe: Path, teacher: str, tmp_path: Path) -> None:
    task = taught(recipe, teacher, f"distill.cache={tmp_path}")
    trainee, samples = task.training_module(task.model()), task.samples()
    inputs = samples.collate([samples.sample(0, draws())]).inputs
    trainee(inputs)
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=rf"{file.name}: a damaged file of distill\.cache.*Delete it"):
        trainee(inputs)
    file.unlink()
    assert trainee(inputs)[1]


@pytest.mark.parametrize("cached", [False, True])
def test_one_3detr_teaches_another(tmp_path: Path, cached: bool) -> None:
    root = write_rooms(tmp_path / "data")
    path = tmp_path / "rooms.yaml"
    path.write_text(ROOMS.replace("ROOT", str(root)))
    train(load_task(path, ["train.epochs=1"]), tmp_path / "teacher", device=CPU)
    cache = [f"distill.cache={tmp_path / 'kept'}"] if cached else []  # the recipe mirrors: boxes follow
    task = taught(path, str(tmp_path / "teacher"), "train.epochs=1", "model.queries=20", *cache)
    evaluation = train(task, tmp_path / "run", device=CPU)
    assert evaluation.score_name == "ap25"
    assert {"teacher_class", "teacher_box"} <= set(columns(tmp_path / "run"))
    assert checkpoint.load(tmp_path / "run").task.name == "detection"
    assert len([*tmp_path.glob("kept/*/*.safetensors")]) == (len(task.dense.split.train) if cached else 0)
    cut = taught(path, str(tmp_path / "teacher"), "augment.cuboid.when=first", f"distill.cache={tmp_path / 'kept'}")
    with pytest.raises(UsageError, match=r"cannot follow.*Give augment\.cuboid\.when=off"):
        cut.samples()
