"""The released VoteNet on SUN RGB-D, and what each quirk is worth: `python -m benchmarks.released_votenet FILE ROOT`.

FILE is mmdetection3d's checkpoint, ROOT the data set in any layout that `vol3d evaluate` takes. Each row changes one
thing in which the original differs from a plain reading of paper or file. An object counts as found if a box of its
class has a score above 0.3 and a centre within 0.5 m. Means of AP are over the classes that are annotated.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.common import one_thread, print_table, save
from pointcloud.datasets.scenes import SceneReader
from pointcloud.datasets.sun_rgbd.dataset import SunRgbdSettings
from pointcloud.models.layers.set_abstraction import FeaturePropagation
from pointcloud.models.released.vote_net import load
from pointcloud.models.vote_net.model import VoteNet
from pointcloud.tasks.rooms import DetectionTask
from vol3d.config import load_task

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Variant:
    """One reading of the weights.

    Args:
        name: of the row.
        settings: for the reader of the file.
        power: of the interpolation.
        floor_percent: where heights begin.
        swapped: the backbone's two steps up in the order of the file's numbers.
    """

    name: str
    settings: dict[str, Any]
    power: int = 1
    floor_percent: float = 0.99
    swapped: bool = False


VARIANTS = (
    Variant("as imported", {}),
    Variant("yaw clockwise", {"angles": "clockwise"}),
    Variant("proposals at the farthest votes", {"proposals_at": "votes"}),
    Variant("interpolation by 1 / distance^2", {}, power=2),
    Variant("heights from the 99th percentile", {}, floor_percent=99.0),
    Variant("steps up in the order of the file", {}, swapped=True),
)


def read(variant: Variant, file: Path, root: Path) -> tuple[DetectionTask, VoteNet]:
    """The model, and the task with its settings."""
    model = load("votenet-sunrgbd", file, variant.settings)
    for step in model.modules():
        if isinstance(step, FeaturePropagation):
            step.power = variant.power
    if variant.swapped:
        steps = model.get_submodule("encoder.up")
        assert isinstance(steps, nn.ModuleList)
        steps[0], steps[1] = steps[1], steps[0]
    model.settings = model.settings.model_copy(update={"floor_percent": variant.floor_percent})
    task = load_task("votenet_sun_rgbd")
    assert isinstance(task, DetectionTask)
    own = task.for_model(model).for_dataset(SunRgbdSettings(root=root))
    assert isinstance(own, DetectionTask)
    return own, model


def found(task: DetectionTask, model: VoteNet, reader: SceneReader) -> np.ndarray:
    """Whether each object of a scene is found."""
    scene = reader.read()
    boxes = task.predict([model], task.scan_of(scene.cloud, None), CPU).detections
    away = np.linalg.norm(scene.truth.boxes[:, None, :3] - boxes.boxes[None, :, :3], axis=2)  # (objects, boxes)
    return ((away < 0.5) & (scene.truth.labels[:, None] == boxes.labels) & (boxes.scores > 0.3)).any(axis=1)


def row(variant: Variant, file: Path, root: Path) -> dict[str, object]:
    """Found objects of both parts; AP of the validation frames."""
    task, model = read(variant, file, root)
    train, validation = (
        np.concatenate([found(task, model, one) for one in part]) for part in (task.split.train, task.split.validation)
    )
    summary = task.evaluate(model, CPU, lambda done, total, name: None).summary
    classes = {name: one for name, one in summary["classes"].items() if one["ground_truths"]}
    scores = {kind: float(np.mean([one[kind] for one in classes.values()])) for kind in ("ap25", "ap50")}
    each = {f"{name} {kind}": one[kind] for name, one in classes.items() for kind in ("ap25", "ap50")}
    return {
        "variant": variant.name,
        "found, training": f"{train.sum()} of {len(train)}",
        "found, validation": f"{validation.sum()} of {len(validation)}",
        "scenes, validation": summary["scenes"],
        **scores,
        "ap25 over all 10 classes": summary["ap25"],
        **each,
    }


def main() -> None:
    """Measures, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("root", type=Path)
    options = parser.parse_args()
    one_thread()
    rows: list[dict[str, object]] = []
    for variant in VARIANTS:
        rows.append(row(variant, options.file, options.root))
        save("released_votenet", rows)
    print_table(rows)


if __name__ == "__main__":
    main()
