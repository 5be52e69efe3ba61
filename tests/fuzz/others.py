"""Checkpoints, resume points, recipes and what lies in a run's folder."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from tests.vol3d.engine.toy import toy
from vol3d import catalog, checkpoint
from vol3d.config import load_task, recipes
from vol3d.engine import results, resume
from vol3d.engine.metrics import Metrics
from vol3d.engine.task import Evaluation, Metric
from vol3d.errors import DataError
from vol3d.files import write_text
from vol3d.report import write_report

_METRICS = (Metric("dice", "Dice", better="higher", headline=True, by_case=True),)
_EVALUATION = Evaluation(0.5, "dice", {"dice": 0.5, "classes": {"a": {"dice": 0.5}}}, [{"case": "a"}], metrics=_METRICS)


def _model(path: Path) -> None:
    task = toy(path.parent)
    torch.manual_seed(0)
    checkpoint.save_best(path.parent, task.model(), task, _EVALUATION, 3)
    (path.parent / checkpoint.WEIGHTS).rename(path)


def _folder(path: Path) -> None:
    path.mkdir()
    _model(path / checkpoint.WEIGHTS)


def _point(path: Path) -> None:
    task = toy(path.parent)
    resume.save(path.parent, resume.ResumePoint(step=3, state={"model": task.model().state_dict()}, about={"a": [1]}))


def _weights(path: Path) -> None:
    torch.save({"state_dict": {"a.weight": torch.zeros(2, 3)}, "epoch": 3}, path)


def _old_weights(path: Path) -> None:
    torch.save({"a.weight": torch.zeros(2, 3)}, path, _use_new_zipfile_serialization=False)


def _recipe(path: Path) -> None:
    write_text(path, recipes()["unetr_hippocampus_small"].read_text("utf-8"))


def _table(path: Path) -> None:
    table = Metrics(path, 0)
    for step in range(1, 20):
        table.append(step, 1, {"lr": 0.1, "loss": 1 / step})


def _run(path: Path) -> None:
    path.mkdir()
    _table(path / "metrics.csv")
    results.write(path, _EVALUATION, 3)
    write_text(path / "config.json", '{"task": "toy", "class_names": ["a", "b"]}')
    write_text(path / "config.yaml", "model: {name: toy}\n")


def _read_point(path: Path) -> None:
    resume.read(path.parent)


def _read_table(path: Path) -> None:
    table = Metrics(path, 10)
    table.append(11, 1, {"loss": 1.0})
    if table.damaged is not None:  # a run goes on all the same, with this note
        raise DataError(str(table.damaged), where=path)


def _read_evaluation(path: Path) -> None:
    results.read(path)
    write_report(path)


def _load(path: Path) -> None:
    catalog.TASKS.setdefault("toy", "tests.vol3d.engine.toy:ToyTask")
    checkpoint.load(path)


def _read_weights(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint.read_weights(path)


READERS = {
    "model.safetensors": (checkpoint.read_checkpoint, _model),
    "weights.safetensors": (_read_weights, _model),
    "run": (_load, _folder),
    "last.pt": (_read_point, _point),
    "weights.pt": (_read_weights, _weights),
    "old.pth": (_read_weights, _old_weights),
    "recipe.yaml": (load_task, _recipe),
    "metrics.csv": (_read_table, _table),
    "ended": (_read_evaluation, _run),
}
