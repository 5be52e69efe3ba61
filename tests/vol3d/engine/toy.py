"""A task that trains in a second: points in a plane, two classes, dropout and augmentation so that randomness shows.

Run as a program it trains in a folder: `python -m tests.vol3d.engine.toy OUT train.epochs=3 data.fault=nan`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from vol3d import catalog
from vol3d.config import load_task
from vol3d.engine.settings import RunSettings, Settings
from vol3d.engine.task import Batch, Evaluation, Samples, TrainingTask
from vol3d.errors import DataError, Vol3dError
from vol3d.files import write_text
from vol3d.terminal import Progress

CONFIG = """
model: {name: toy}
data: {root: nowhere}
optim: {lr: 1e-2, weight_decay: 0.05}
train: {epochs: 4, batch: 3, ema: 0.9, evaluate_every: 2}
"""


class ToyModelSettings(Settings):
    name: Literal["toy"]
    width: int = Field(8, ge=1)


class ToyDataSettings(Settings):
    root: Path
    fold: int = 0
    samples: int = 14
    classes: tuple[str, ...] = ("in", "out")
    fault: Literal["none", "nan", "raise", "data_error", "kill_worker"] = "none"
    fault_at: int = 5
    seconds: float = 0.0


class ToySettings(RunSettings):
    model: ToyModelSettings
    data: ToyDataSettings


class ToyModel(nn.Module):
    """Two layers with dropout, and a convolution for the memory format."""

    def __init__(self, settings: ToyModelSettings, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, settings.width), nn.Linear(settings.width, settings.width)])
        self.position = nn.Parameter(torch.zeros(1, settings.width))
        self.conv = nn.Conv3d(1, 2, 1)
        self.head = nn.Linear(settings.width, classes)

    def forward(self, points: Tensor) -> Tensor:
        hidden = self.layers[0](points) + self.position
        hidden = nn.functional.dropout(torch.relu(hidden), 0.2, self.training)
        hidden = torch.relu(self.layers[1](hidden))
        volume = self.conv(hidden[:, None, :, None, None]).mean(dim=(1, 3, 4))
        return self.head(volume)

    def loss(self, prediction: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {
            "cross_entropy": nn.functional.cross_entropy(prediction, targets),
            "size": prediction.square().mean() / 100,
        }


class ToySamples(Samples):
    def __init__(self, data: ToyDataSettings) -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.samples

    def name(self, index: int) -> str:
        return f"case_{index:02d}"

    def sample(self, index: int, rng: np.random.Generator) -> Any:
        point, label = _point(index)
        if index == self.data.fault_at:
            point = self._fault(point)
        return self.name(index), point + rng.normal(0, 0.05, 2), label

    def _fault(self, point: np.ndarray) -> np.ndarray:
        match self.data.fault:
            case "nan":
                return point * np.nan
            case "raise":
                raise ValueError("bad voxel")
            case "data_error":
                raise DataError("cut file", where=self.name(self.data.fault_at), do="Copy it again.")
            case "kill_worker" if torch.utils.data.get_worker_info():
                os.kill(os.getpid(), signal.SIGKILL)
        return point

    def collate(self, samples: Sequence[Any]) -> Batch:
        time.sleep(self.data.seconds)
        names, points, labels = zip(*samples, strict=True)
        return Batch(torch.tensor(np.array(points), dtype=torch.float32), torch.tensor(labels), names)


def _point(index: int) -> tuple[np.ndarray, int]:
    rng = np.random.default_rng([7, index])
    point = rng.uniform(-1, 1, 2)
    return point, int(np.hypot(*point) > 0.75)


class ToyTask(TrainingTask):
    name: ClassVar[str] = "toy"
    settings_type: ClassVar[type[RunSettings]] = ToySettings

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.settings.data.classes

    def model(self) -> nn.Module:
        return ToyModel(self.settings.model, len(self.class_names))

    def other_outputs(self, model: nn.Module, other: Any) -> tuple[str, ...]:
        return () if self.class_names == other.class_names else ("head",)

    def samples(self, progress: Progress | None = None, device: torch.device | None = None) -> Samples:
        return ToySamples(self.settings.data)

    def evaluate(
        self, model: nn.Module, device: torch.device, progress: Progress, pictures: bool = False
    ) -> Evaluation:
        rows = []
        for i in range(100 + 20 * self.settings.data.fold, 120 + 20 * self.settings.data.fold):
            point, label = _point(i)
            with torch.no_grad():
                margin = (
                    model(torch.tensor(point[None], dtype=torch.float32, device=device))[0].softmax(0)[label].item()
                )
            rows.append({"case": f"case_{i}", "class": self.class_names[label], "margin": margin})
            progress(len(rows), 20, f"case_{i}")
        score = float(np.mean([row["margin"] for row in rows]))
        shown = {"Worst case_100": b"\x89PNG\r\n\x1a\n"} if pictures else {}
        return Evaluation(score, "mean_margin", {"mean_margin": score}, rows, shown)

    def overfit(self, n: int) -> TrainingTask:
        data = self.settings.data.model_copy(update={"samples": n})
        return ToyTask(self.settings.model_copy(update={"data": data}))

    def folds(self) -> int:
        return 3


def register() -> None:
    """Puts the toy into the catalogue of this process."""
    catalog.TASKS["toy"] = "tests.vol3d.engine.toy:ToyTask"
    catalog.MODELS["toy"] = catalog.Entry("tests.vol3d.engine.toy:ToyModelSettings", "toy", "a toy")


def toy(folder: Path, *overrides: str) -> TrainingTask:
    """The toy task, from a configuration file in `folder`."""
    register()
    path = folder / "toy.yaml"
    write_text(path, CONFIG)  # whole at once: two processes of one run may do so together
    return load_task(path, overrides)


def main(out: str, *overrides: str) -> int:
    """Trains in `out`; returns the exit code that the command line would."""
    from vol3d.engine.loop import train

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    try:
        evaluation = train(toy(folder, *overrides), folder, device="cpu")
        print(f"score {evaluation.score!r}")
    except Vol3dError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
