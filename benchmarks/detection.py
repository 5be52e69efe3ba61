"""3DETR on one scan, in training and in evaluation: `python -m benchmarks.detection [--data FOLDER] [--device cuda]`.

The peer is a straightforward port of the original's operations (tests/reference/original_ops.py): the same network with
the same weights and the same torch, so what differs is sampling, ball query, rotated overlap, matching and AP. The scan
is a room of the generator, or FOLDER/scannet/scan.ply where it is there.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import least_ms, one_thread, print_table, save
from benchmarks.scenes import room
from pointcloud.inference.postprocess import postprocess
from pointcloud.metrics.average_precision import average_precision
from pointcloud.metrics.matches import match_scene
from pointcloud.models.three_detr.model import ThreeDetrMaskedSettings, ThreeDetrSettings
from pointcloud.structures.class_names import SCANNET_CLASSES
from pointcloud.structures.targets import BoxTargets
from pointcloud.training.samples import to_network
from tests.reference import original_ops
from tests.reference.average_precision import slow_average_precision
from vol3d.geometry import giou_3d
from vol3d.matching import assign_padded
from vol3d.scans.points.read import read_points
from vol3d.scans.results.detections import Detections

POINTS = 40_000
Row = dict[str, object]


@contextmanager
def ported() -> Iterator[None]:
    """Set abstraction with the port's operations."""
    at = "pointcloud.models.layers.set_abstraction"
    with (
        patch(f"{at}.farthest_point_sample", original_ops.farthest_points),
        patch(f"{at}.ball_query", original_ops.ball),
    ):
        yield


def one_scan(scan: Path, settings: ThreeDetrSettings | ThreeDetrMaskedSettings, device: str) -> Row:
    """Read, sample, network, decode and choice of one scan, in parts and as a whole."""
    model = settings.build(SCANNET_CLASSES).eval().to(device)
    cloud = read_points(scan, up="z", units="m")
    points = [to_network(cloud, POINTS, ()).to(device)]

    @torch.no_grad()
    def network() -> object:
        return model(points)

    @torch.no_grad()
    def whole() -> Detections:
        read = to_network(read_points(scan, up="z", units="m"), POINTS, ()).to(device)
        return postprocess(model.proposals(model([read]))[0], SCANNET_CLASSES)

    def port() -> None:
        with ported():
            whole()

    with torch.no_grad():
        prediction = model(points)
    works = {
        "read": lambda: to_network(read_points(scan, up="z", units="m"), POINTS, ()),
        "network": network,
        "decode and choose": lambda: postprocess(model.proposals(prediction)[0], SCANNET_CLASSES),
        "ours": whole,
    }
    ms = least_ms(works | ({"port": port} if device == "cpu" else {}), 3, device)
    return _row(f"one scan, {settings.name}, {POINTS:,} points", ms)


def training_step(settings: ThreeDetrSettings | ThreeDetrMaskedSettings, device: str, batch: int = 2) -> Row:
    """Forward, loss and backward of a batch."""
    model = settings.build(SCANNET_CLASSES).to(device)
    clouds = [torch.from_numpy(room(POINTS, seed)).to(device) for seed in range(batch)]
    targets = [BoxTargets(some_boxes(12, seed).to(device), torch.arange(12, device=device)) for seed in range(batch)]

    def step() -> None:
        model.zero_grad()
        torch.stack(list(model.loss(model(clouds), targets).values())).sum().backward()

    def port() -> None:
        with ported():
            step()

    ms = least_ms({"ours": step} | ({"port": port} if device == "cpu" else {}), 2, device)
    return _row(f"training step, {settings.name}, {batch} x {POINTS:,} points", ms)


def rotated_loss(device: str) -> Row:
    """GIoU of all pairs and the assignment, as SUN RGB-D's loss needs them: 8 layers x 8 scenes x 128 queries."""
    pairs = [(some_boxes(128, seed, turn=True), some_boxes(10, 99 + seed, turn=True)) for seed in range(64)]
    first, second = (torch.stack(side).to(device) for side in zip(*pairs, strict=True))

    def ours() -> Tensor:
        giou = torch.stack([giou_3d(a, b) for a, b in zip(first, second, strict=True)])
        return assign_padded(-giou.transpose(1, 2).contiguous())

    def port() -> None:
        original_ops.match_all([-original_ops.overlap_volumes(a, b) for a, b in pairs])

    ms = least_ms({"ours": ours} | ({"port": port} if device == "cpu" else {}), 2, device)
    return _row("rotated overlap and matching, 64 x (128 x 10)", ms)


def evaluation(scenes: int, peer_scenes: int = 3) -> Row:
    """AP25 and AP50 of synthetic detections; the peer takes `peer_scenes` of the scenes, and so do we for the ratio."""
    made = [some_detections(seed) for seed in range(scenes)]
    few = made[:peer_scenes]

    def ours(some: Sequence[tuple[Detections, Detections]]) -> object:
        return average_precision([match_scene(found, truth) for found, truth in some], len(SCANNET_CLASSES))

    def port() -> None:
        for label in range(len(SCANNET_CLASSES)):
            for threshold in (0.25, 0.5):
                slow_average_precision(few, label, threshold)

    whole = least_ms({"ours": partial(ours, made)}, 2, "cpu")["ours"]
    ms = least_ms({"ours": partial(ours, few), "port": port}, 1, "cpu")
    return _row(f"evaluation of {peer_scenes} scenes", ms) | {f"{scenes} scenes, ours": whole}


def some_boxes(count: int, seed: int, turn: bool = False) -> Tensor:
    """Boxes of furniture in a room of 6 x 6 m, (count, 7)."""
    rng = np.random.default_rng(seed)
    yaw = rng.uniform(-3, 3, count) * turn
    columns = [rng.uniform(-3, 3, (count, 2)), rng.uniform(0, 1.5, (count, 1)), rng.uniform(0.3, 1.5, (count, 3))]
    return torch.from_numpy(np.concatenate([*columns, yaw[:, None]], axis=1).astype(np.float32))


def some_detections(seed: int) -> tuple[Detections, Detections]:
    """Annotated boxes, and 128 detections of each class around them."""
    rng = np.random.default_rng(seed)
    truth, labels = some_boxes(12, seed).numpy(), rng.integers(0, len(SCANNET_CLASSES), 12)
    near = truth[rng.integers(0, 12, 128 * len(SCANNET_CLASSES))]
    near = (near + rng.normal(0, 0.15, near.shape) * [1, 1, 1, 0, 0, 0, 0]).astype(np.float32)
    scores = rng.random(len(near)).astype(np.float32)
    found = Detections(near, scores, np.repeat(np.arange(len(SCANNET_CLASSES)), 128), SCANNET_CLASSES)
    return found, Detections(truth, np.ones(12, np.float32), labels, SCANNET_CLASSES)


def _row(work: str, ms: dict[str, float]) -> Row:
    ratio = {"x port": round(ms["port"] / ms["ours"], 2)} if "port" in ms else {}
    return {"work": work, **{f"{name} ms": round(value, 1) for name, value in ms.items()}, **ratio}


def _scan(data: Path, folder: Path) -> Path:
    given = data / "scannet" / "scan.ply"
    if given.is_file():
        return given
    np.save(folder / "room.npy", room(POINTS))
    return folder / "room.npy"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    one_thread()
    torch.manual_seed(0)
    settings, device = (ThreeDetrSettings(), ThreeDetrMaskedSettings()), arguments.device
    with tempfile.TemporaryDirectory() as folder:
        scan = _scan(arguments.data, Path(folder))
        rows = [one_scan(scan, one, device) for one in settings]
    rows += [training_step(one, device) for one in settings] + [rotated_loss(device), evaluation(300)]
    for row in rows:
        print_table([row])
    save("detection" if device == "cpu" else "detection_cuda", rows, device=device)


if __name__ == "__main__":
    main()
