"""A file of weights without a name: by its SHA-256, its name, its tensors; what fits several models is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vol3d.cli.main import main
from vol3d.errors import CheckpointError, UsageError
from vol3d.released import recognise as recognition
from vol3d.released.recognise import recognise, right_name
from vol3d.shipped import about


@pytest.fixture
def weights(oracle_root: Path, tmp_path: Path) -> Path:
    """3DETR's, under a name that says nothing."""
    tensors = load_file(oracle_root / "3detr" / "A_3detr_scannet" / "weights_fp16.safetensors")
    torch.save({"model": tensors}, tmp_path / "a.pth")
    return tmp_path / "a.pth"


def test_a_published_file_is_known_by_its_hash(oracle_root: Path, tmp_path: Path, capsys) -> None:
    (path,) = (oracle_root / "votenet").glob("*.pth")
    (tmp_path / "anything").write_bytes(path.read_bytes())
    assert main(["import", str(tmp_path / "anything"), "-o", str(tmp_path / "run")]) == 0
    assert "is votenet-sunrgbd as mmdetection3d published it, by its SHA-256" in capsys.readouterr().err
    known = about(tmp_path / "run")
    assert known.licence is not None and known.licence.startswith("Apache-2.0")
    assert known.data_terms is not None and known.data_terms.startswith("SUN RGB-D")


def test_a_file_is_known_by_its_tensors(weights: Path, tmp_path: Path, capsys) -> None:
    assert main(["import", str(weights), "-o", str(tmp_path / "run")]) == 0
    assert "taken for 3detr-scannet, by its tensors" in capsys.readouterr().err
    fault = right_name(weights, "3detr-m-scannet")
    assert "not weights of 3detr-m-scannet; got those of 3detr-scannet. Import it by that name." in str(fault)
    assert right_name(weights, "3detr-scannet") is None


def test_a_file_that_fits_several_is_known_by_its_name_only(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    fits = {"3detr-scannet", "3detr-m-scannet"}
    monkeypatch.setattr(recognition, "_fault", lambda name, path: None if name in fits else CheckpointError("other"))
    with pytest.raises(UsageError, match="fit several released models; got 3detr-scannet, 3detr-m-scannet"):
        recognise(weights)
    assert recognise(weights.rename(weights.with_name("scannet_masked_ep1080.pth"))) == "3detr-m-scannet"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello world", "no checkpoint file"),
        (b"", "no checkpoint file"),
        (b"<!DOCTYPE html>", "a web page, and no checkpoint file"),
        (b"PK\x03\x04 cut", "damaged or no file of weights"),
    ],
)
def test_no_weights(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        recognise(tmp_path / "a.pth")
    assert right_name(tmp_path / "a.pth", "unetr") is None


def test_weights_of_no_released_model(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a.weight": torch.ones(2)}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="weights of no released model that is known"):
        recognise(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("none.pth", "none.pth: no such file"),
        (".", "a folder, and one file"),
        ("a=b", "no released model called 'a=b'"),
    ],
)
def test_words_that_are_no_file(word: str, message: str, tmp_path: Path, capsys) -> None:
    assert main(["import", word, "-o", str(tmp_path / "run")]) in (1, 2)
    assert message in " ".join(capsys.readouterr().err.split())


def test_what_a_file_does_not_say_is_stated_on_the_command_line(oracle_root: Path, tmp_path: Path, capsys) -> None:
    (path,) = (oracle_root / "votenet").glob("*.pth")
    torch.save(torch.load(path, weights_only=True)["state_dict"], tmp_path / "bare.pth")
    words = ["import", str(tmp_path / "bare.pth"), "-o"]
    assert main([*words, str(tmp_path / "assumed")]) == 0
    assert "override with `vol3d import NAME FILE angles=clockwise`" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "stated"), "angles=clockwise"]) == 0
    assert main([*words, str(tmp_path / "wrong"), "angles=left"]) == 1
    assumed, stated = (load_file(tmp_path / run / "best.safetensors") for run in ("assumed", "stated"))
    different = {name for name in assumed if not torch.equal(assumed[name], stated[name])}
    assert different and all(name.startswith("head.") for name in different)
