"""Detectors that begin with the weights of others: class layers, features, the scale of intensities, teachers."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pointcloud.generate.kitti.write import write_kitti
from pointcloud.inference.ground import TOLERANCE_M
from pointcloud.inference.intensity import rescaling
from pointcloud.models.anchors.anchors import AnchorSettings
from pointcloud.models.anchors.point_pillars import PointPillars
from pointcloud.models.pillar_od.head import PriorSettings
from pointcloud.structures.detector import Detector
from pointcloud.tasks.start_from import other_ground, rescale_input, takes_input
from tests.pointcloud.models import small, small_lidar
from tests.pointcloud.models.small_lidar import CLASSES, drive
from tests.pointcloud.tasks.test_seen import RECIPE
from vol3d import checkpoint, terminal
from vol3d.config import load_distillation, load_task
from vol3d.engine.distributed import processes
from vol3d.engine.learner import Learner
from vol3d.engine.loop import train
from vol3d.engine.seen import SeenRange
from vol3d.engine.settings import StartSettings
from vol3d.engine.start_from import initial_model, take_over
from vol3d.errors import UsageError

OTHERS = ("van", "tram", "cow", "kiosk")
ALL: dict[str, Any] = {**small.MODELS, **small_lidar.MODELS}
CHANGE = rescaling(255.0, SeenRange(low=0.9, high=1.0))


def for_classes(settings: Any, names: tuple[str, ...]) -> Any:
    """Settings whose head is for other classes."""
    anchors = {name: AnchorSettings(size_m=(4, 2, 2), z_m=-0.9) for name in names}
    if "anchors" in type(settings).model_fields:
        return settings.model_copy(update={"anchors": anchors})
    head = getattr(settings, "head", None)
    if head is not None and "anchors" in type(head).model_fields:
        changes: dict[str, Any] = {"anchors": anchors}
        if "groups" in type(head).model_fields:
            parts = zip(head.groups, (names[:2], names[2:]), strict=True)
            changes["groups"] = tuple(group.model_copy(update={"classes": part}) for group, part in parts)
        return settings.model_copy(update={"head": head.model_copy(update=changes)})
    if head is not None and "priors" in type(head).model_fields:
        priors = {name: PriorSettings(size_m=(4, 2, 2)) for name in names}
        return settings.model_copy(update={"head": head.model_copy(update={"priors": priors})})
    if head is not None and getattr(head, "tasks", None):
        return settings.model_copy(update={"head": head.model_copy(update={"tasks": (names[:2], names[2:])})})
    return settings


@pytest.mark.parametrize("name", sorted(ALL))
def test_only_layers_of_classes_depend_on_the_classes(name: str) -> None:
    """Every other tensor of every detector keeps its size, and is taken over by a detector of other classes."""
    classes = CLASSES if name in small_lidar.MODELS else small.CLASSES
    theirs = ALL[name].build(classes)
    mine = for_classes(ALL[name], OTHERS).build(OTHERS)
    layers = Detector.of(mine).class_layers
    found = take_over(mine, theirs, StartSettings(checkpoint="x"), layers)
    assert found.anew and all(any(fnmatchcase(one, f"{layer}.*") for layer in layers) for one in found.anew)
    assert all(torch.equal(parameter, theirs.get_parameter(one)) for one, parameter in found.taken.items())
    assert {layer for layer in layers if not any(fnmatchcase(one, f"{layer}.*") for one in found.anew)} == set()


def test_a_sparse_encoder_goes_from_second_into_centerpoint() -> None:
    theirs, mine = (small_lidar.MODELS[name].build(CLASSES) for name in ("second", "centerpoint voxels"))
    start = StartSettings(checkpoint="x", parts={"middle": "encoder.middle"})
    found = take_over(mine, theirs, start)
    assert {name.rpartition(".middle.")[0] for name in found.taken} == {"encoder"}
    pairs = zip(mine.encoder.middle.state_dict().items(), theirs.middle.state_dict().values(), strict=True)
    assert all(torch.equal(tensor, other) for (_, tensor), other in pairs)
    assert takes_input(theirs, start)  # so that intensities are converted


def test_the_part_that_sees_the_points_is_the_first_with_weights() -> None:
    second, pillars = (small_lidar.MODELS[name].build(CLASSES) for name in ("second", "pointpillars"))
    for network, parts, seen in (
        (second, ("middle",), True),
        (second, ("backbone", "neck"), False),
        (pillars, ("points",), True),
        (pillars, ("backbone",), False),
    ):
        assert takes_input(network, StartSettings(checkpoint="x", parts=parts)) is seen
    assert takes_input(second, None) and takes_input(second, StartSettings(checkpoint="x"))


@pytest.mark.parametrize("name", [name for name, one in small_lidar.MODELS.items() if "intensity" in one.features])
@pytest.mark.parametrize("training", [False, True])
def test_a_network_on_another_scale_finds_the_same(name: str, training: bool) -> None:
    torch.manual_seed(0)
    model, (cloud, _) = small_lidar.MODELS[name].build(CLASSES).train(training), drive(4)
    bright = torch.cat([cloud[:, :3], 255 * cloud[:, 3:]], dim=1)
    with torch.no_grad():
        before = model([cloud])
        assert CHANGE is not None
        rescale_input(model, CHANGE)
        after = model([bright])
    maps = [getattr(one, "bev", None) if hasattr(one, "bev") else one.maps[0] for one in (before, after)]
    torch.testing.assert_close(maps[0], maps[1], rtol=1e-4, atol=1e-5)


def test_another_ground_is_noted() -> None:
    own, near, far = (SeenRange(low=z - 0.05, high=z + 0.05) for z in (-1.7, -1.7 - TOLERANCE_M / 2, -2.5))
    assert other_ground(own, near) == () == other_ground(None, far) == other_ground(own, None)
    (note,) = other_ground(own, far)
    assert note.code == "ground-differs" and "in the other training it was at -2.55 to -2.45 m" in str(note)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames like KITTI's, whose intensities are shares of 1."""
    root = tmp_path_factory.mktemp("frames") / "shares"
    write_kitti(root, 2, seed=1, workers=0)
    return root


@pytest.fixture(scope="module")
def recipe(frames: Path) -> Path:
    path = frames.parent / "recipe.yaml"
    path.write_text(RECIPE.replace("ROOT", str(frames)))
    return path


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    train(load_task(recipe), recipe.parent / "run", device="cpu")
    return recipe.parent / "run"


@pytest.fixture(scope="module")
def bytes_(frames: Path) -> Path:
    """The same frames with intensities up to 255."""
    root = frames.parent / "bytes"
    for path in (path for path in frames.rglob("*") if path.is_file()):
        copy = root / path.relative_to(frames)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        if path.suffix == ".bin":
            points = np.fromfile(path, "<f4").reshape(-1, 4)
            points[:, 3] *= 255
            points.tofile(copy)
    return root


def test_intensities_on_another_scale_are_converted(
    run: Path, recipe: Path, bytes_: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = load_task(recipe, [f"data.root={bytes_}", f"start_from={run}"])
    with terminal.speaking(True):
        model = initial_model(task)
    theirs = checkpoint.load(run).models[0]
    assert isinstance(model, PointPillars) and isinstance(theirs, PointPillars)
    mine, other = (one.points.linears[0].weight for one in (model, theirs))
    torch.testing.assert_close(mine[:, 3] * 255, other[:, 3])
    assert torch.equal(mine[:, :3], other[:, :3]) and torch.equal(mine[:, 4:], other[:, 4:])
    assert "changed for intensities of 0 to 255: it was trained on 0 to 1" in capsys.readouterr().err


def test_intensities_on_the_same_scale_stay(run: Path, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.speaking(True):
        model = initial_model(load_task(recipe, [f"start_from={run}"]))
    assert all(map(torch.equal, model.parameters(), checkpoint.load(run).models[0].parameters()))
    assert "changed for intensities" not in capsys.readouterr().err


def test_a_teacher_on_another_scale_is_converted_once(run: Path, recipe: Path, bytes_: Path) -> None:
    task = load_distillation(recipe, [f"data.root={bytes_}", f"distill.teacher={run}", "distill.method=pseudo_labels"])
    for _ in range(2):
        teacher = task.training_module(task.model()).teacher.model  # type: ignore[union-attr]
        weights = teacher.points.linears[0].weight  # type: ignore[union-attr, index]
        torch.testing.assert_close(weights[:, 3] * 255, checkpoint.load(run).models[0].points.linears[0].weight[:, 3])  # type: ignore[union-attr, index]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.features=[]"], "model.features: the other network sees other features .* got none, wanted intensity"),
        (["start_from=unetr-hippocampus"], "another task; got unetr-hippocampus, a model for segmentation, wanted"),
        (["freeze=[encoder]"], "no such part; got encoder, wanted points, backbone, neck, head"),
    ],
)
def test_what_does_not_fit_is_refused(run: Path, recipe: Path, words: list[str], message: str) -> None:
    with processes("cpu") as group, pytest.raises(UsageError, match=message):
        Learner(load_task(recipe, [f"start_from={run}", *words]), group)


def test_features_do_not_matter_to_a_backbone(run: Path, recipe: Path) -> None:
    words = [f"start_from={{checkpoint: {run}, parts: [backbone]}}", "model.features=[]"]
    mine, other = initial_model(load_task(recipe, words)), checkpoint.load(run).models[0]
    pairs = zip(mine.get_submodule("backbone").parameters(), other.get_submodule("backbone").parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
