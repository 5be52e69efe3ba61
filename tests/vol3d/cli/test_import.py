"""Released weights become a folder that predicts and evaluates as they do."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.nets import UNETR
from safetensors.torch import load_file

import vol3d
from pointcloud.datasets.kitti.dataset import KittiSettings
from pointcloud.models.anchors.point_pillars import PointPillarsSettings
from tests.pointcloud.datasets.makers import write_scannet
from tests.vol3d.released.server import Files, serving
from vol3d import checkpoint
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.files import sha256
from vol3d.scans.results.read import read_detections

CPU = torch.device("cpu")


def test_released_weights_predict(oracle_root: Path, tmp_path: Path):
    weights = oracle_root / "3detr" / "A_3detr_scannet" / "weights_fp16.safetensors"
    run = tmp_path / "run"
    assert main(["import", "3detr-scannet", str(weights), "-o", str(run)]) == 0
    (model,), released = checkpoint.load(run, CPU).models, vol3d.load_released("3detr-scannet", weights)
    for name, tensor in released.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    np.save(tmp_path / "scan.npy", np.random.default_rng(0).uniform(0, 4, (3000, 3)).astype(np.float32))
    assert main(["predict", str(run), str(tmp_path / "scan.npy"), "-o", str(tmp_path / "out"), "--score", "0"]) == 0
    assert len(read_detections(tmp_path / "out" / "scan.json").class_names) == 18


def test_no_model_is_overwritten(tmp_path: Path, capsys):
    (tmp_path / "best.safetensors").write_bytes(b"trained")
    assert main(["import", "3detr-scannet", "weights.pth", "-o", str(tmp_path)]) == 2
    assert "the folder already holds a model" in capsys.readouterr().err
    assert (tmp_path / "best.safetensors").read_bytes() == b"trained"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["3detr-scanet", "none.pth"], "Did you mean '3detr-scannet'?"),
        (["unetr", "none.pth"], "none.pth: no such file"),
    ],
)
def test_what_cannot_be_imported_is_told(words: list[str], message: str, tmp_path: Path, capsys):
    assert main(["import", *words, "-o", str(tmp_path / "run")]) in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_damaged_file_leaves_nothing(tmp_path: Path, capsys):
    (tmp_path / "weights.pth").write_bytes(b"no weights")
    assert main(["import", "3detr-scannet", str(tmp_path / "weights.pth"), "-o", str(tmp_path / "run")]) == 1
    assert "weights.pth" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_no_checkpoint_is_not_said_to_be_dangerous(tmp_path: Path, capsys):
    np.save(tmp_path / "four.npy", np.zeros((5, 4), np.float32))
    assert main(["import", "centerpoint-pillar", str(tmp_path / "four.npy"), "-o", str(tmp_path / "run")]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "four.npy: no checkpoint file" in told and "code" not in told and "NUMPY" in told


def test_a_model_of_vol3d_needs_no_import(tmp_path: Path, capsys):
    checkpoint.write_checkpoint(tmp_path / "best.safetensors", {"w": torch.ones(2)}, {"format": 1})
    words = ["import", "3detr-scannet", str(tmp_path / "best.safetensors"), "-o", str(tmp_path / "run")]
    assert main(words) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "a model of vol3d, which needs no import" in told and "Give evaluate and predict its folder" in told


def offers(told: str) -> bool:
    return all(word in told for word in ("source ", "licence ", "size ", "hash ", "trained "))


@pytest.fixture
def mirror(oracle_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """A server with 3DETR's weights under their published name."""
    tensors = load_file(oracle_root / "3detr" / "A_3detr_scannet" / "weights_fp16.safetensors")
    torch.save({"model": tensors}, tmp_path / "a.pth")
    monkeypatch.setenv("VOL3D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Files(content={"/scannet_ep1080.pth": (tmp_path / "a.pth").read_bytes()})) as files:
        yield files


def test_a_name_is_enough(mirror: Files, tmp_path: Path, capsys) -> None:
    words = ["import", "3detr-scannet", "--from", mirror.url, "-o", str(tmp_path / "run")]
    assert main(words) == 2  # no terminal to ask at
    assert "nobody agreed to a download" in capsys.readouterr().err and mirror.asked == []
    assert main([*words, "--yes"]) == 0
    told = capsys.readouterr().err
    assert offers(told) and "3detr-scannet with 18 classes" in told
    (model,) = checkpoint.load(tmp_path / "run", CPU).models
    released = vol3d.load_released("3detr-scannet")  # from the cache
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in released.state_dict().items())
    about = json.loads((tmp_path / "run" / "released.json").read_text())
    assert about["licence"].startswith("Apache-2.0") and about["sha256"] == sha256(tmp_path / "a.pth")
    assert main(["models", str(tmp_path / "run"), "--json"]) == 0
    (card,) = json.loads(capsys.readouterr().out)["models"]
    assert card["licence"] == about["licence"] and card["trained on"] == about["data"]


def test_licence_and_terms_go_where_the_weights_go(mirror: Files, tmp_path: Path, capsys) -> None:
    """Into what predict and evaluate print, and what is exported states."""
    assert main(["import", "3detr-scannet", "--from", mirror.url, "-o", str(tmp_path / "run"), "--yes"]) == 0
    capsys.readouterr()
    model = vol3d.load(tmp_path / "run", "cpu")
    assert model.licence is not None and model.licence.startswith("Apache-2.0")
    assert [note.code for note in model.notes] == ["data-terms"] and "ScanNet v2" in str(model.notes[0])
    root = write_scannet(tmp_path / "scannet")
    main(["predict", str(tmp_path / "run"), "nowhere", "-o", str(tmp_path / "out")])
    predicted = " ".join(capsys.readouterr().err.split())
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(root), "--json"]) == 0
    evaluated = capsys.readouterr()
    for printed in (predicted, " ".join(evaluated.err.split())):
        assert f"licence {model.licence}" in printed and str(model.notes[0]) in printed
    summary = json.loads(evaluated.out)
    assert (summary["licence"], summary["data_terms"]) == (model.licence, model.data_terms)
    folders = [tmp_path / "folds" / f"fold{number}" for number in (0, 1)]
    for folder in folders:
        shutil.copytree(tmp_path / "run", folder)
    assert vol3d.load(tmp_path / "folds", "cpu").licence == model.licence


def test_a_person_is_asked(mirror: Files, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["import", "3detr-scannet", "--from", mirror.url, "-o", str(tmp_path / "run")]
    for answer, code in (("n", 2), ("", 2), ("y", 0)):
        monkeypatch.setattr("sys.stdin", Answering(f"{answer}\n"))
        assert main(words) == code
        told = capsys.readouterr().err
        assert offers(told) and "Download it? [y/N]" in told
        assert (tmp_path / "run").exists() == (code == 0)


class Answering(io.StringIO):
    """A terminal with somebody at it."""

    def isatty(self) -> bool:
        return True


def test_a_failed_download_leaves_no_run(mirror: Files, tmp_path: Path, capsys) -> None:
    mirror.content["/scannet_ep1080.pth"] = b"<html>"
    words = ["import", "3detr-scannet", "--from", mirror.url, "--yes", "-o", str(tmp_path / "run")]
    assert main(words) == 1
    assert "a web page, not a file of weights" in capsys.readouterr().err
    mirror.content.clear()
    assert main(words) == 1
    assert "the server has no such file" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["--yes"], ["--from", "."]])
def test_a_file_is_no_download(words: list[str], tmp_path: Path, capsys) -> None:
    assert main(["import", "3detr-scannet", "a.pth", *words, "-o", str(tmp_path / "run")]) == 2
    assert "belong to a download" in capsys.readouterr().err


def test_weights_for_browsers_say_where_they_are(tmp_path: Path, capsys) -> None:
    assert main(["import", "object-dgcnn-pillar", "-o", str(tmp_path / "run"), "--yes"]) == 2
    assert "Download it with a browser from https://" in capsys.readouterr().err


@pytest.mark.parametrize(("channels", "classes"), [(1, 14), (1, 3), (2, 14)])
def test_a_unetr_segments_with_the_names_of_its_classes(channels: int, classes: int, tmp_path: Path, capsys) -> None:
    torch.manual_seed(0)
    theirs = UNETR(channels, classes, (32, 32, 32), feature_size=4, hidden_size=64, mlp_dim=96, num_heads=1)
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "a.pth")
    code = main(["import", "unetr", str(tmp_path / "a.pth"), "-o", str(tmp_path / "run")])
    if (channels, classes) != (1, 14):
        assert code == 1 and not (tmp_path / "run").exists()
        assert f"got ({classes}, {channels}), wanted (14, 1)" in capsys.readouterr().err
        return
    assert code == 0
    model = vol3d.load(tmp_path / "run", "cpu")
    result = model.predict(np.random.default_rng(0).normal(0, 100, (30, 34, 20)), affine=np.diag([1.5, 1.5, 2, 1]))
    assert result.mask.shape == (30, 34, 20) and model.class_names[6] == "liver" and len(model.class_names) == 14
    network, image = vol3d.load_released("unetr", tmp_path / "a.pth"), torch.randn(1, 1, 32, 32, 32)
    (segmenter,) = checkpoint.load(tmp_path / "run", CPU).models
    torch.testing.assert_close(segmenter(image), network.eval()(image), rtol=0, atol=0)


@pytest.fixture
def own_unetr(tmp_path: Path) -> Path:
    """Weights of somebody's UNETR: windows that are no cube, heads of 32, three classes, two channels."""
    torch.manual_seed(0)
    theirs = UNETR(2, 3, (32, 48, 32), feature_size=4, hidden_size=64, mlp_dim=96, num_heads=2)
    torch.save(theirs.state_dict(), tmp_path / "own.pt")
    return tmp_path / "own.pt"


STATED = [
    "--set",
    "class_names=[background,liver,spleen]",
    "--set",
    "channel_names=[pre,post]",
    "--set",
    "window.size=[32,48,32]",
]
PREPARED = ["--set", "preprocess.spacing_mm=[2,2,2]", "--set", "preprocess.intensity.low=-50"]


def test_ones_own_unetr_predicts_as_what_is_stated_about_it(own_unetr: Path, tmp_path: Path, capsys) -> None:
    words = ["import", "unetr", str(own_unetr), "-o", str(tmp_path / "run"), *STATED, "--set", "model.heads=2"]
    assert main(words) == 2  # the publisher's preprocessing is not that of other classes
    assert "other classes, and nothing about preprocess" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()
    assert main([*words, *PREPARED]) == 0
    model = vol3d.load(tmp_path / "run", "cpu")
    assert model.class_names == ("background", "liver", "spleen")
    settings: Any = model.task.settings
    assert settings.window.size == (32, 48, 32) and settings.preprocess.spacing_mm == (2, 2, 2)
    assert (settings.preprocess.intensity.low, settings.preprocess.intensity.high) == (-50, 250)
    theirs = UNETR(2, 3, (32, 48, 32), feature_size=4, hidden_size=64, mlp_dim=96, num_heads=2).eval()
    theirs.load_state_dict(torch.load(own_unetr, weights_only=True))
    image = torch.randn(1, 2, 32, 48, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.models[0](image), theirs(image), rtol=0, atol=1e-4)
    scan = np.random.default_rng(0).normal(0, 100, (2, 40, 50, 30)).astype(np.float32)
    assert model.predict(scan, affine=np.diag([1.5, 1.5, 2, 1])).mask.shape == (40, 50, 30)  # type: ignore[union-attr]


def test_ones_own_unetr_by_its_recipe(own_unetr: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "own.yaml"
    recipe.write_text(
        "model: {name: unetr, heads: 2, width: 64}\ndata: {name: folder, root: DATA}\nwindow: {size: [32, 48, 32]}\n"
        "class_names: [background, liver, spleen]\nchannel_names: [pre, post]\npreprocess: {spacing_mm: [2, 2, 2]}\n"
    )
    assert main(["import", "unetr", str(own_unetr), "-o", str(tmp_path / "run"), "--recipe", str(recipe)]) == 0
    settings: Any = vol3d.load(tmp_path / "run", "cpu").task.settings
    assert settings.preprocess.intensity.name == "zscore" and settings.channel_names == ("pre", "post")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "12 tokens are no cube"),
        (["--set", "window.size=[32,32,32]"], "window does not fit the position embedding"),
        (["--set", "window.size=[32,48,32]"], "got (3, 2), wanted (14, 1)"),
        (["--set", "no.such=1"], "unknown setting"),
        ([*STATED, *PREPARED, "--set", "model.mlp=100"], "the file itself determines this setting"),
        (["--recipe", "nothing.yaml"], "nothing.yaml"),
    ],
)
def test_what_is_missing_about_ones_own_unetr_is_asked_for(
    words: list[str], message: str, own_unetr: Path, tmp_path: Path, capsys
) -> None:
    assert main(["import", "unetr", str(own_unetr), "-o", str(tmp_path / "run"), *words]) in (1, 2)
    told = " ".join(capsys.readouterr().err.split())
    assert message in told and "load_released" not in told
    assert not (tmp_path / "run").exists()


def test_classes_in_another_order_are_evaluated_in_theirs() -> None:
    """mmdetection3d's networks for KITTI begin with pedestrians."""
    theirs = ("Pedestrian", "Cyclist", "Car")
    with torch.device("meta"):
        model = PointPillarsSettings().build(theirs)
    task = load_task("pointpillars_kitti").for_model(model)
    assert task.class_names == theirs
    assert KittiSettings(root=Path("DATA")).for_evaluation(task.data).class_names == theirs
