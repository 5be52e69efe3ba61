"""Checkpoints: found by name, whole or refused, loaded strictly, never trusted."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.vol3d.engine.toy import ToyTask, toy
from vol3d import catalog, checkpoint
from vol3d.engine.task import Evaluation
from vol3d.errors import CheckpointError, UsageError


def saved(folder: Path, *words: str, score: float = 0.5) -> Path:
    """A run's folder with the weights of an untrained toy."""
    folder.mkdir(parents=True, exist_ok=True)
    task = toy(folder, *words)
    torch.manual_seed(int(score * 10))
    checkpoint.save_best(folder, task.model(), task, Evaluation(score, "dice", {}), step=3)
    return folder


def test_saved_and_loaded(tmp_path: Path) -> None:
    saved(tmp_path)
    for where in (tmp_path, str(tmp_path), tmp_path / "best.safetensors"):
        loaded = checkpoint.load(where)
        assert loaded.task.class_names == ("in", "out") and not loaded.models[0].training
    info = loaded.info[0]
    assert (info["format"], info["task"], info["score"], info["step"]) == (1, "toy", 0.5, 3)
    assert info["settings"]["train"]["batch"] == 3 and "torch" in info["versions"]
    assert json.loads((tmp_path / "config.json").read_text()) == info
    torch.manual_seed(5)
    for name, value in toy(tmp_path).model().state_dict().items():
        assert torch.equal(loaded.models[0].state_dict()[name], value)


def test_settings_can_be_changed_but_not_the_sizes_of_the_weights(tmp_path: Path) -> None:
    saved(tmp_path)
    assert checkpoint.load(tmp_path, changes=["train.batch=7"]).task.settings.train.batch == 7
    with pytest.raises(UsageError, match=r"did you mean 'train\.batch'"):
        checkpoint.load(tmp_path, changes=["train.bach=7"])
    with pytest.raises(CheckpointError, match=r"shape|size"):
        checkpoint.load(tmp_path, changes=["model.width=9"])


def test_a_score_that_is_no_number_is_null(tmp_path: Path) -> None:
    task = toy(tmp_path)
    checkpoint.save_best(tmp_path, task.model(), task, Evaluation(float("nan"), "dice", {}), step=3)
    assert checkpoint.load(tmp_path).info[0]["score"] is None


def test_a_folder_of_folds_is_an_ensemble(tmp_path: Path) -> None:
    for fold in range(3):
        saved(tmp_path / f"fold{fold}", score=fold / 10)
    assert [info["score"] for info in checkpoint.load(tmp_path).info] == [0.0, 0.1, 0.2]
    saved(tmp_path / "fold3", "data.classes=[a, b]")
    with pytest.raises(CheckpointError, match=r"fold3.*other classes"):
        checkpoint.load(tmp_path)
    (tmp_path / "fold3").rename(tmp_path / "fold2_old")
    assert len(checkpoint.load(tmp_path).info) == 3, "a copy that was put aside is no fold"


def test_the_models_of_an_ensemble_share_what_they_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for fold, width in enumerate((4, 5)):
        saved(tmp_path / f"fold{fold}", f"model.width={width}")
    assert len(checkpoint.load(tmp_path).models) == 2
    monkeypatch.setattr(ToyTask, "shared", frozenset({"model"}))
    with pytest.raises(CheckpointError, match=r"fold1.*another 'model'; got .*5.*wanted .*4.*Train all folds with one"):
        checkpoint.load(tmp_path)


def test_of_a_folder_of_seeds_one_run_is_proposed(tmp_path: Path) -> None:
    for seed in range(2):
        saved(tmp_path / f"seed{seed}")
    with pytest.raises(UsageError, match=r"runs of several seeds\. Give one of them, .*seed0 for example"):
        checkpoint.resolve(tmp_path)


def test_what_cannot_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "shipped", lambda: {"unetr-hippocampus": saved(tmp_path / "m")})
    assert checkpoint.load("unetr-hippocampus").info[0]["step"] == 3
    with pytest.raises(UsageError, match="Did you mean the shipped model 'unetr-hippocampus'"):
        checkpoint.resolve("unetr-hipocampus")
    with pytest.raises(UsageError, match="Shipped models: unetr-hippocampus"):
        checkpoint.resolve("xyz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty: the folder has no best"):
        checkpoint.resolve(tmp_path / "empty")


def test_a_resume_point_is_no_model_and_the_error_says_what_is(tmp_path: Path) -> None:
    run = saved(tmp_path / "run")
    (run / "config.yaml").touch()
    (run / "last.pt").write_bytes(b"whatever")
    with pytest.raises(CheckpointError, match=r"last\.pt: the point from which a run goes on.*wanted .*run\. Give the"):
        checkpoint.load(run / "last.pt")
    torch.save({"w": torch.ones(1)}, tmp_path / "theirs.pth")
    with pytest.raises(CheckpointError, match="vol3d import"):
        checkpoint.resolve(tmp_path / "theirs.pth")


def test_cut_at_every_4_kb_and_a_flipped_bit_anywhere(tmp_path: Path) -> None:
    path = saved(tmp_path, "model.width=64") / "best.safetensors"
    content = path.read_bytes()
    for length in [*range(0, len(content), 4096), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"best\.safetensors"):
            checkpoint.load(path)
    for position in range(0, len(content), 101):
        path.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        with pytest.raises(CheckpointError, match=r"best\.safetensors"):
            checkpoint.load(path)


def test_other_weights_name_keys_and_shapes(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    weights = {"0.weight": torch.zeros(2, 4), "0.bias": torch.zeros(2), "2.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load_strictly(model, weights, "a.pt")
    assert str(caught.value) == (
        "a.pt: weights of another model; 2 missing: 1.weight, 1.bias; 1 unexpected: 2.weight; "
        "1 other shape: 0.weight (2, 4) for (2, 3)"
    )
    with pytest.raises(CheckpointError, match=r"12 unexpected: .* and 4 more"):
        checkpoint.load_strictly(nn.Identity(), {str(i): torch.zeros(1) for i in range(12)}, "a.pt")


def test_a_later_format_and_a_file_without_info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", 99)
        saved(tmp_path)
    with pytest.raises(CheckpointError, match="format of another release; got 99, wanted 1"):
        checkpoint.load(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(CheckpointError, match=r"bare\.safetensors: not a vol3d checkpoint.*load_released"):
        checkpoint.load(tmp_path / "bare.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors", metadata={"vol3d": "[" * 100_000})
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(tmp_path / "odd.safetensors")


def test_settings_of_another_release(tmp_path: Path) -> None:
    tensors, info = checkpoint.read_checkpoint(saved(tmp_path) / "best.safetensors")
    info.pop("sha256")
    info["settings"]["train"]["new_setting"] = 1
    checkpoint.write_checkpoint(tmp_path / "best.safetensors", tensors, info)
    with pytest.raises(CheckpointError, match="do not fit this release"):
        checkpoint.load(tmp_path)
    checkpoint.write_checkpoint(tmp_path / "best.safetensors", tensors, info | {"task": "later"})
    with pytest.raises(CheckpointError, match="unknown task; got later"):
        checkpoint.load(tmp_path)


def test_a_header_of_a_terabyte_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "big.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    began = time.monotonic()
    for read in (checkpoint.read_weights, checkpoint.read_checkpoint):
        with pytest.raises(CheckpointError, match="damaged"):
            read(tmp_path / "big.safetensors")
    assert time.monotonic() - began < 1


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("hacked",)


@pytest.mark.parametrize("save", ["torch", "legacy", "pickle"])
def test_a_pickle_with_code_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pt"
    if save == "pickle":
        path.write_bytes(pickle.dumps({"w": Evil()}))
    else:
        torch.save({"w": Evil()}, path, _use_new_zipfile_serialization=save == "torch")
    with pytest.raises(CheckpointError, match=r"evil\.pt: refused"):
        checkpoint.read_weights(path)
    with pytest.raises(CheckpointError, match=r"evil\.pt"):
        checkpoint.load(path)
    assert not (tmp_path / "hacked").exists()


def test_weights_of_others(tmp_path: Path) -> None:
    state = {"a.weight": torch.arange(4.0)}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "a.pth")
    assert torch.equal(checkpoint.read_weights(tmp_path / "a.pth")["state_dict"]["a.weight"], state["a.weight"])
    save_file(state, tmp_path / "a.safetensors")
    assert torch.equal(checkpoint.read_weights(tmp_path / "a.safetensors")["a.weight"], state["a.weight"])
    torch.save({"args": argparse.Namespace(lr=1), "model": state}, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match="refused"):
        checkpoint.read_weights(tmp_path / "b.pt")
    assert checkpoint.read_weights(tmp_path / "b.pt", allow=[argparse.Namespace])["args"].lr == 1


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_weights_file(tmp_path: Path, content: bytes) -> None:
    for name in ("a.pt", "a.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=name):
            checkpoint.read_weights(tmp_path / name)
    with pytest.raises(CheckpointError, match="no such file"):
        checkpoint.read_weights(tmp_path / "missing.pt")


@pytest.mark.parametrize("core", ["_core", "core"])  # as NumPy 2 writes them, and as the releases before it did
def test_numbers_of_numpy_beside_weights_are_plain_values(tmp_path: Path, core: str) -> None:
    metrics = {"mAP": np.float64(0.5), "hits": np.int64(3), "AR": np.float32(0.25), "best": np.bool_(True)}
    torch.save({"model": {"w": torch.ones(2)}, "metrics": metrics}, tmp_path / "new.pth")
    with zipfile.ZipFile(tmp_path / "new.pth") as whole, zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        for name in whole.namelist():
            pickled = whole.read(name).replace(b"numpy._core.multiarray", f"numpy.{core}.multiarray".encode())
            archive.writestr(name, pickled)
    assert checkpoint.read_weights(tmp_path / "a.pth")["metrics"] == metrics


@pytest.mark.parametrize("old", [False, True])
def test_a_name_without_end_is_refused_at_once(tmp_path: Path, old: bool) -> None:
    """Torch's message for it would be searched for minutes (found by the fuzz run: old.pth, mutant 949)."""
    named = type("N" * 300_000, (), {})
    globals()[named.__qualname__] = named
    torch.save({"a": torch.ones(1), "b": named}, tmp_path / "a.pth", _use_new_zipfile_serialization=not old)
    del globals()[named.__qualname__]
    with pytest.raises(CheckpointError, match="a word of 300000 letters"):
        checkpoint.read_weights(tmp_path / "a.pth")


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    torch.save({"metrics": np.array([object()])}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="refused"):
        checkpoint.read_weights(tmp_path / "a.pth")
