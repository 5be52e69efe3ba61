"""`vol3d init`: from a folder of files to a data set that passes its check and a recipe that passes a dry run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medical.planning import network
from tests.medical.synthetic import blobs, ras_affine, write_nifti
from vol3d.cli.main import main
from vol3d.config import load_task

NEXT = "vol3d data check"


def init(*words: str) -> int:
    return main(["init", *words, "--workers", "0", "--device", "cpu"])


def passes(layout: str, root: Path, *words: str) -> None:
    assert main(["data", "check", layout, str(root), *words, "--workers", "0"]) == 0
    assert main(["train", str(root / "recipe.yaml"), "--dry-run", "--device", "cpu"]) == 0


@pytest.fixture(autouse=True)
def _timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "step_seconds", lambda *_: 0.5)


def volumes(root: Path, names: str = "images/{case}.nii.gz", labels: str = "labels", values: int = 3) -> Path:
    for number in range(3):
        image, label = blobs(seed=number, classes=values)
        write_nifti(root / names.format(case=f"c{number}"), image[0], ras_affine())
        write_nifti(root / labels / f"c{number}.nii.gz", label, ras_affine())
    return root


def rooms(root: Path) -> Path:
    rng = np.random.default_rng(0)
    root.mkdir()
    floor = np.c_[rng.uniform(-2, 2, (3000, 2)), rng.normal(0, 0.005, 3000)]
    wall = np.c_[rng.uniform(-2, 2, 1500), np.full(1500, 2.0), rng.uniform(0, 2.5, 1500)]
    chair = rng.uniform(-0.5, 0.5, (1500, 3)) * [0.6, 0.6, 0.9] + [0, 0, 0.45]
    for number in range(3):
        moved = rng.uniform(-0.01, 0.01, 3) * [1, 1, 0]
        np.save(root / f"r{number}.npy", (np.r_[floor, wall, chair] + moved).astype(np.float32))
    return root


def streets(root: Path) -> Path:
    rng = np.random.default_rng(0)
    root.mkdir()
    boxes = [
        {"class": "person", "center": [5, 5, -0.8], "size": [0.7, 0.7, 1.8], "yaw": 0.0},
        {"class": "car", "center": [10, 3, -0.95], "size": [4.5, 1.8, 1.5], "yaw": 0.0},
        {"class": "van", "center": [-9, 3, -0.7], "size": [5.5, 2.0, 2.0], "yaw": 0.0},
    ]
    for number in range(3):
        parts = [rng.uniform(-0.5, 0.5, (300, 3)) * box["size"] + box["center"] for box in boxes]
        ground = np.c_[rng.uniform(-40, 40, (6000, 2)), rng.normal(-1.7, 0.02, 6000)]
        points = np.concatenate([ground, *parts])
        np.c_[points, rng.uniform(0, 1, len(points))].astype(np.float32).tofile(root / f"s{number}.bin")
    document = {"format": 1, "class_names": ["car", "van", "person"], "scenes": {f"s{n}.bin": boxes for n in range(3)}}
    (root / "boxes.json").write_text(json.dumps(document | {"validation": ["s2.bin"]}))
    return root


def test_volumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = volumes(tmp_path / "mine")
    assert init("folder", str(root), "classes=front,back") == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0].strip() == f"{NEXT} folder {root}" and len(said.out.splitlines()) == 3
    assert json.loads((root / "dataset.json").read_text()) == {"classes": ["background", "front", "back"]}
    passes("folder", root)

    before = (root / "recipe.yaml").read_bytes(), (root / "dataset.json").read_bytes()
    assert init("folder", str(root)) == 2
    assert "the recipe exists" in capsys.readouterr().err
    assert init("folder", str(root), "-o", str(tmp_path / "other.yaml")) == 0
    assert "is kept" in capsys.readouterr().err
    assert before == ((root / "recipe.yaml").read_bytes(), (root / "dataset.json").read_bytes())


def test_what_label_maps_do_not_name_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = volumes(tmp_path / "mine", "imagesTr/{case}_0000.nii.gz", "labelsTr")
    assert init("folder", str(root), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["format"] == 2 and any("label maps do not name label 1, label 2" in one for one in said["remarks"])
    assert json.loads((root / "dataset.json").read_text()) == {
        "classes": ["background", "label 1", "label 2"],
        "channels": ["0000"],
        "images": "imagesTr",
        "labels": "labelsTr",
    }
    assert load_task(root / "recipe.yaml").settings.class_names == ("background", "label 1", "label 2")


def test_channels_by_the_names_of_files(tmp_path: Path) -> None:
    for channel in ("T1", "FLAIR"):
        root = volumes(tmp_path / "mine", f"images/{{case}}/{channel}.nii.gz")
    assert init("folder", str(root), "classes=a,b") == 0
    assert json.loads((root / "dataset.json").read_text())["channels"] == ["FLAIR", "T1"]


def test_255_alone_is_for_voxels_that_are_not_annotated(tmp_path: Path) -> None:
    root = volumes(tmp_path / "mine")
    _, label = blobs(seed=0)
    label[0, 0, 0] = 255
    write_nifti(root / "labels" / "c0.nii.gz", label, ras_affine())
    assert init("folder", str(root), "classes=a,b") == 0
    assert json.loads((root / "dataset.json").read_text())["ignore"] == 255


def test_rooms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = rooms(tmp_path / "mine")
    assert init("point_folder", str(root)) == 2
    assert "Add classes=chair,table" in capsys.readouterr().err
    assert init("point_folder", str(root), "classes=chair,table") == 0
    document = json.loads((root / "boxes.json").read_text())
    assert document["class_names"] == ["chair", "table"] and document["validation"] == ["r2.npy"]
    assert document["scenes"] == {f"r{number}.npy": [] for number in range(3)}
    said = capsys.readouterr()
    assert "has no box yet" in said.err and f"{NEXT} point_folder {root} up=z units=m" in said.out

    chair = {"class": "chair", "center": [0, 0, 0.45], "size": [0.6, 0.6, 0.9], "yaw": 0.0}
    (root / "boxes.json").write_text(json.dumps(document | {"scenes": {f"r{n}.npy": [chair] for n in range(3)}}))
    passes("point_folder", root, "up=z", "units=m")
    settings = load_task(root / "recipe.yaml").settings
    assert (settings.data.up, settings.data.units, settings.train.batch, settings.train.epochs) == ("z", "m", 2, 1000)


def test_turned_boxes_keep_their_yaw(tmp_path: Path) -> None:
    root = rooms(tmp_path / "mine")
    chair = {"class": "chair", "center": [0, 0, 0.45], "size": [0.6, 0.6, 0.9], "yaw": 0.5}
    document = {"format": 1, "class_names": ["chair"], "scenes": {f"r{n}.npy": [chair] for n in range(3)}}
    (root / "boxes.json").write_text(json.dumps(document | {"validation": ["r0.npy"]}))
    assert init("point_folder", str(root)) == 0
    assert load_task(root / "recipe.yaml").settings.augment.axis_aligned is False


def test_what_the_points_do_not_show_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    for name in "ab":
        np.save(root / f"{name}.npy", np.random.default_rng(0).normal(0, 1, (2000, 3)).astype(np.float32))
    assert init("point_folder", str(root), "classes=thing") == 2
    said = capsys.readouterr().err
    assert "up: the files do not show which axis points up; got guesses: z in 2. Add up=z" in said
    assert not (root / "recipe.yaml").exists() and not (root / "boxes.json").exists()
    assert init("point_folder", str(root), "classes=thing", "up=y", "units=m") == 0
    assert load_task(root / "recipe.yaml").settings.data.up == "y"

    (root / "b.npy").unlink()
    (root / "boxes.json").unlink()
    words = ("point_folder", str(root), "classes=thing", "up=y", "units=m", "-o", str(tmp_path / "one.yaml"))
    assert init(*words) == 1, "one scene cannot both train and validate"


def test_streets(tmp_path: Path) -> None:
    root = streets(tmp_path / "mine")
    assert init("point_folder", str(root), "up=z", "units=m") == 0
    settings = load_task(root / "recipe.yaml").settings
    assert settings.model.head.tasks == (("person",), ("car", "van")) and settings.model.features == ("intensity",)
    assert settings.data.columns == ("x", "y", "z", "intensity") and not settings.model.head.velocity
    assert "NOT NAMED in the files" in (root / "recipe.yaml").read_text()
    passes("point_folder", root, "up=z", "units=m", "columns=[x, y, z, intensity]")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("scannet", "."), "Own clouds are `point_folder`"),
        (("folder", "absent"), "no such folder"),
        (("folder", "."), "no images with label maps"),
        (("point_folder", "."), "no point file"),
        (("nnunet", "."), "dataset.json"),
        (("fold", "."), "Did you mean 'folder'?"),
    ],
)
def test_refusals(
    words: tuple[str, ...], wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert init(*words) in (1, 2)
    said = capsys.readouterr().err
    assert wanted in said and said.count("\n") == 1 and not [*tmp_path.iterdir()]


def test_classes_must_be_as_many_as_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = volumes(tmp_path / "mine")
    assert init("folder", str(root), "classes=a") == 2
    said = capsys.readouterr().err
    assert "not as many classes as labels" in said and "The label 2 is in " in said and ".nii.gz" in said
    assert not (root / "dataset.json").exists()
    for path in (root / "images").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    assert init("folder", str(root), "classes=a,b") == 1
    assert "no image has the name of a label map" in capsys.readouterr().err
