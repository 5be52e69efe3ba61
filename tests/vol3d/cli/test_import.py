"""Released weights become a folder that predicts and evaluates as they do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import vol3d
from vol3d import checkpoint
from vol3d.cli.main import main
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
        (["unetr", "none.pth"], "load_released"),
    ],
)
def test_what_cannot_be_imported_is_told(words: list[str], message: str, tmp_path: Path, capsys):
    assert main(["import", *words, "-o", str(tmp_path / "run")]) == 2
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
