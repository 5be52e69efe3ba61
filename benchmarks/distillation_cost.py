"""What suppression, matching and a teacher cost: `python -m benchmarks.distillation_cost --data DATA/drives [--full]`.

1. A frame at a time: Object DGCNN and CenterPoint on the same pillars with the same backbone, each with and without
   suppression; milliseconds of the network and of decoding. Weights are random, so that decoding has as many candidates
   as it ever takes.
2. A training step of that Object DGCNN which a voxel network teaches, with the teacher's outputs computed and cached,
   and the share of it that the teacher and each of the two matchings take.

`--full` takes the published sizes, `--device cuda` a GPU. Least CPU time of one thread; on CUDA the time between two
events, in single precision.
"""

from __future__ import annotations

import argparse
import os
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts its threads

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import least_ms, one_thread, print_table, save
from benchmarks.distillation_rows import FULL, NMS_QUERIES, NONE_CENTER, SMALL, Size
from pointcloud.distill.set_loss import match_sets, top_queries
from pointcloud.models.object_dgcnn.loss import encode_targets, matcher
from pointcloud.structures.box_code import BOX
from vol3d.checkpoint import save_best
from vol3d.config import load_distillation, load_task
from vol3d.engine.task import Batch, Evaluation

BATCH = 2
Row = dict[str, Any]


def latency(size: Size, root: str, device: str, repeats: int) -> list[Row]:
    """Milliseconds of a frame."""
    center, queries = size.recipes["centerpoint_pillars"], size.recipes["pillars"]
    rows = []
    for title, recipe, words in (
        ("CenterPoint, NMS", center, size.center_pillars),
        ("CenterPoint", center, (*size.center_pillars, *NONE_CENTER)),
        ("Object DGCNN, NMS", queries, NMS_QUERIES),
        ("Object DGCNN", queries, ()),
    ):
        torch.manual_seed(0)
        task = load_task(recipe, [f"data.root={root}", *words])
        model: Any = task.model().to(device).eval()
        cloud = [_samples(task, 1).inputs[0].to(device)]
        with torch.no_grad():
            prediction: Any = model(cloud)
            works: dict[str, Callable[[], object]] = {
                "network ms": partial(model, cloud),
                "decode ms": partial(model.decode, prediction),
            }
            ms = least_ms(works, repeats, device)
        rows.append({"frame": title, "points": len(cloud[0]), **ms, "ms": sum(ms.values())})
    return rows


def shares(size: Size, root: str, device: str, repeats: int, folder: Path) -> list[Row]:
    """Milliseconds of a training step and of its parts; the teacher and its outputs lie in `folder` meanwhile."""
    words = [f"data.root={root}", "train.amp=off"]
    other = load_task(size.recipes["voxels"], words)
    save_best(folder, other.model(), other, Evaluation(0.0, "nds", {}), 0)
    words = [*words, f"distill.teacher={folder}"]
    task: Any = load_distillation(size.recipes["pillars"], words)
    trainee: Any = task.training_module(task.model()).to(device).train()
    batch = _samples(task, BATCH).to(torch.device(device))
    clouds, targets, settings = batch.inputs, batch.targets, task.settings.distill
    own, teacher = trainee.student(clouds["student"]), trainee.teacher
    said = teacher.model.as_set(teacher(clouds["teacher"])).layers(-1).detach()
    outputs, fields = own.outputs, encode_targets(targets)
    named = {"class_logits": outputs.class_logits.detach(), "box": outputs.code[..., :BOX].detach()}
    student = trainee.student.as_set(own).layers(-1).detach()
    taught_by = top_queries(said, student.log_odds.shape[-2])
    annotated = matcher(trainee.student.settings.head.loss)
    parts: dict[str, Callable[[], object]] = {
        "step": lambda: _backward(trainee, trainee(clouds), targets),
        "step without a teacher": lambda: _backward(trainee.student, trainee.student(clouds["student"]), targets),
        **(
            _cached(size.recipes["pillars"], [*words, f"distill.cache={folder / 'cache'}"], device)
            if size.cached
            else {}
        ),
        "teacher": lambda: trainee.teacher(clouds["teacher"]),
        "matching with annotations": lambda: annotated(named, fields),
        "matching with the teacher": lambda: match_sets(student, taught_by, settings),
    }
    ms = least_ms(parts, repeats, device)
    return [{"part": name, "ms": spent, "share": spent / ms["step"]} for name, spent in ms.items()]


def _cached(recipe: str, words: Sequence[str], device: str) -> dict[str, Callable[[], object]]:
    """A step whose teacher has seen the scenes."""
    task: Any = load_distillation(recipe, words)
    trainee: Any = task.training_module(task.model()).to(device).train()
    trainee(_samples(task, BATCH).to(torch.device(device)).inputs)
    batch = _samples(task, BATCH).to(torch.device(device))
    return {"step, outputs cached": lambda: _backward(trainee, trainee(batch.inputs), batch.targets)}


def _backward(model: Any, prediction: Any, targets: Any) -> None:
    torch.stack([*model.loss(prediction, targets).values()]).sum().backward()
    model.zero_grad(set_to_none=True)


def _samples(task: Any, count: int) -> Batch:
    samples = task.samples()
    return samples.collate([samples.sample(index, np.random.default_rng(index)) for index in range(count)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="ROOT")
    parser.add_argument("--full", action="store_true", help="published sizes")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repeats", type=int, default=10, metavar="N")
    chosen = parser.parse_args()
    one_thread()
    size, root = FULL if chosen.full else SMALL, str(Path(chosen.data).resolve())
    frames = latency(size, root, chosen.device, chosen.repeats)
    print_table(frames)
    with tempfile.TemporaryDirectory() as folder:
        parts = shares(size, root, chosen.device, chosen.repeats, Path(folder))
    print_table(parts)
    name = f"distillation_cost{'_full' if chosen.full else ''}{'_cuda' if chosen.device == 'cuda' else ''}"
    print(save(name, [*frames, *parts], device=chosen.device))


if __name__ == "__main__":
    main()
