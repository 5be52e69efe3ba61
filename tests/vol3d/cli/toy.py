"""A task for the command line's tests: the engine's toy, that also predicts text files by counting their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.vol3d.engine.toy import CONFIG, ToyTask
from tests.vol3d.untrained import save_untrained
from vol3d import catalog
from vol3d.config import make_task, read
from vol3d.engine.task import CompleteTask, Evaluation, Metric, Windows
from vol3d.errors import CheckpointError, DataError, UsageError
from vol3d.files import sha256, write_text
from vol3d.notes import Note
from vol3d.prediction import Prediction, Unfinished
from vol3d.scans import parse_objects, write_detections
from vol3d.scans.results.record import write_record
from vol3d.scans.source import ScanSource


@dataclass(frozen=True)
class WordCount(Prediction):
    words: int
    models: int

    @property
    def notes(self) -> tuple[Note, ...]:
        fit = Note("words-fit", "{words} words fit a page", numbers={"words": self.words})
        return fit, Note("language-assumed", "one language was assumed", assumed=True)

    def write(self, path: Path) -> tuple[Note, ...]:
        if path.suffix == ".json":
            write_detections(path, parse_objects([], ("in",), "none"), record=self.record)
            return ()
        write_text(path, f"{self.words} words by {self.models}\n")
        write_record(path, {"format": 1}, replace(self.record, files={path.name: sha256(path)}))
        return ()

    def facts(self) -> dict[str, Any]:
        return {"words": self.words, "volumes_ml": {"in": 1.25}}

    def to_dict(self) -> dict[str, Any]:
        return self.facts()

    def default_name(self) -> str:
        return "text.txt"

    def on_disk(self, folder: Path) -> tuple[Path, Prediction]:
        raise NotImplementedError


class WordTask(ToyTask, CompleteTask[str]):
    """A file that says `bad` cannot be read, one that says `bug` finds a bug; the rest are counted."""

    name = "words"
    result_suffix = ".txt"

    def for_dataset(self, data: Any, part: str = "validation") -> WordTask:
        if not data.root.is_dir():
            raise DataError("no such folder", where=data.root)
        if (data.root / "other_classes").exists():
            raise CheckpointError("the model was trained for other classes", where=data.root)
        shift = {"validation": 0, "train": 10, "all": 20}[part]
        return WordTask(self.settings.model_copy(update={"data": data.model_copy(update={"fold": data.fold + shift})}))

    def evaluate(self, model, device, progress, pictures=False):
        progress(1, 1, "case")
        dice = 0.5 + self.settings.data.fold / 100
        models = len(model) if isinstance(model, nn.ModuleList) else 1
        classes = {
            "in": {"dice": dice, "hd95_mm": 1.5, "missed": 0},
            "out": {"dice": dice, "hd95_mm": float("nan"), "missed": 1},
        }
        summary = {"mean_dice": dice, "mean_dice_interval": [0.4, 0.6], "ensemble": models, "classes": classes}
        rows = [{"case": "a", "class": name, "dice": dice, "hd95_mm": 1.5} for name in classes]
        return Evaluation(dice, "mean_dice", summary, rows, {}, (Metric("mean_dice", "mean Dice"),))

    def find_inputs(self, paths: Sequence[Path]) -> list[ScanSource]:
        files = [file for path in paths for file in (sorted(path.glob("*.txt")) if path.is_dir() else [path])]
        return [ScanSource(file, file.stem) for file in files]

    def read(self, source: ScanSource) -> str:
        text = source.path.read_text()
        if "bad" in text:
            raise DataError("cut file", where=source.path, do="Copy it again.")
        if "bug" in text:
            raise ZeroDivisionError("division by zero")
        return text

    def scan_of(self, array: np.ndarray, affine: np.ndarray | None) -> str:
        return " ".join(map(str, array))

    def with_submission(self, path: Path) -> WordTask:
        raise UsageError("no benchmark", where="--submission")

    def predict(
        self,
        models: Sequence[nn.Module],
        scan: str,
        device: torch.device,
        progress: Windows | None = None,
        unfinished: Unfinished | None = None,
    ) -> WordCount:
        return WordCount(len(scan.split()), len(models))


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `toy.yaml` and a trained run `run`, its task known to the catalogue of this process."""
    monkeypatch.setitem(catalog.TASKS, "words", "tests.vol3d.cli.toy:WordTask")
    entry = catalog.Entry("tests.vol3d.engine.toy:ToyModelSettings", "words", "a toy")
    monkeypatch.setitem(catalog.MODELS, "toy", entry)
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    (tmp_path / "toy.yaml").write_text(CONFIG)
    save_run(tmp_path / "run")
    return tmp_path


def save_run(folder: Path, fold: int | None = None) -> None:
    """A checkpoint of the toy, untrained."""
    config = (
        next(place for place in (folder.parent, folder.parent.parent) if (place / "toy.yaml").exists()) / "toy.yaml"
    )
    task = make_task(read(config, [] if fold is None else [f"data.fold={fold}"]))
    save_untrained(folder, task)
