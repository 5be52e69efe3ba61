"""Today's code against that of an earlier commit: `python -m benchmarks.before_after BEFORE [--only NAME ...]`.

BEFORE is a folder with the earlier sources (`git worktree add BEFORE COMMIT`). A process of either side does each piece
of work, and they take turns: CPU time of one thread, medians of pairs after one unmeasured round, and
the largest difference of what they compute. Frames are real where the sample data are, else generated.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.processes import Worker  # a worker has the earlier packages, which may lack it

Work = Callable[[], Any]
HERE = Path(__file__).resolve()
DATA = Path(os.environ.get("VOL3D_TEST_DATA", HERE.parents[2] / "shared" / "data"))


def sweeps() -> Any:
    """Ten sweeps of nuScenes (N, 5), or as many points in a ball."""
    path = DATA / "nuscenes" / "ten_sweeps.bin"
    if path.is_file():
        return np.fromfile(path, np.float32).reshape(-1, 5)
    rng = np.random.default_rng(0)
    return (rng.normal(size=(270_000, 5)) * [20, 20, 1, 1, 0]).astype(np.float32)


def pillars(widths: tuple[int, ...], size_m: float) -> Work:
    """Points to pillar features in evaluation."""
    import torch

    from pointcloud.models.layers.voxel_encoders import PointStack, PointStackSettings, VoxelSettings, encode_voxels

    torch.manual_seed(0)
    stack = PointStack(5, PointStackSettings(widths=widths)).eval()
    settings = VoxelSettings(voxel_size_m=(size_m, size_m, 8.0), max_voxels=60000)
    cloud = torch.from_numpy(sweeps())

    def work() -> Any:
        with torch.no_grad():
            return encode_voxels([cloud], settings, ("intensity", "time"), stack).features

    return work


def prediction(name: str, columns: str) -> Work:
    """A shipped detector on a sweep in memory, from its points to boxes."""
    import torch

    from vol3d import checkpoint

    loaded = checkpoint.load(name, "cpu")
    task, points = loaded.task.with_options({"columns": columns}), sweeps()[:, : len(columns.split(","))]
    return lambda: np.sort(task.predict(loaded.models, task.scan_of(points, None), torch.device("cpu")).scores)[::-1][
        :20
    ]


def box_file() -> Work:
    """The JSON of 500 boxes."""
    from vol3d.scans.results.detections import Detections
    from vol3d.scans.results.write import write_detections

    rng = np.random.default_rng(0)
    boxes = rng.random((500, 9)).astype(np.float32)
    found = Detections(boxes, boxes[:, 0], np.zeros(500, np.int64), ("car",))
    path = Path(tempfile.mkdtemp()) / "boxes.json"

    def work() -> Any:
        write_detections(path, found)
        return [one["center"] for one in json.loads(path.read_text())["objects"]]

    return work


def room_step() -> Work:
    """A training step of the shipped 3DETR-m in bfloat16, but for data and optimiser: loss and gradients."""
    import torch

    from pointcloud.structures.targets import BoxTargets
    from vol3d import checkpoint

    model = checkpoint.load("3detr-rooms", "cpu").models[0].train()
    rng = np.random.default_rng(0)
    clouds, targets = [], []
    for _ in range(8):
        xyz = rng.choice(scanned_room(), 12288, replace=False)
        clouds.append(torch.from_numpy(np.column_stack([xyz, xyz[:, 2] - xyz[:, 2].min()])))
        turned = np.zeros((12, 1), np.float32)
        table = np.concatenate([rng.choice(xyz, 12), rng.uniform(0.3, 1.5, (12, 3)), turned], axis=1)
        labels = torch.from_numpy(rng.integers(0, len(model.class_names), 12))
        targets.append(BoxTargets(torch.from_numpy(table.astype(np.float32)), labels))

    def work() -> Any:
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = sum(model.loss(model(clouds), targets).values())
        loss.backward()
        return [loss.item(), *(one.grad.norm().item() for one in model.parameters() if one.grad is not None)]

    return work


def weight_gradient() -> Work:
    """The gradient of a sparse convolution's weights, 64 channels, by two threads: the CPU time of both."""
    import torch

    from vol3d.ops import VoxelGrid, assign_voxels
    from vol3d.sparse import SparseTensor, SubMConv3d

    grid = VoxelGrid((0.2, 0.2, 0.2), (-51.2, -51.2, -5, 51.2, 51.2, 3))
    cells = assign_voxels([torch.from_numpy(sweeps()[:, :3].copy())], grid, max_voxels=20_000).coordinates
    torch.manual_seed(0)
    layer = SubMConv3d(64, 64)
    x = SparseTensor(cells, torch.randn(len(cells), 64), grid.shape, 1)
    out = layer(x).features
    weights = torch.randn_like(out)

    def work() -> Any:
        os.environ["VOL3D_NUM_THREADS"] = "2"
        found = torch.autograd.grad(out, layer.weight, weights, retain_graph=True)[0]
        os.environ["VOL3D_NUM_THREADS"] = "1"
        return found

    return work


def box_text() -> Work:
    """The same 500 boxes written and not read."""
    from vol3d.scans.results.detections import Detections
    from vol3d.scans.results.write import write_detections

    boxes = np.random.default_rng(0).random((500, 9)).astype(np.float32)
    found = Detections(boxes, boxes[:, 0], np.zeros(500, np.int64), ("car",))
    path = Path(tempfile.mkdtemp()) / "boxes.json"

    def work() -> Any:
        write_detections(path, found)
        return [path.stat().st_size]

    return work


def kitti_ap() -> Work:
    """KITTI's AP of 3,769 frames with 20 detections each, from overlaps on."""
    from pointcloud.metrics.kitti.rules import compare
    from pointcloud.metrics.kitti.scores import kitti_scores

    rng = np.random.default_rng(0)
    truth = [_objects(rng, int(rng.integers(4, 14)), None) for _ in range(3769)]
    frames = [compare(_objects(rng, 20, one), one) for one in truth]

    def work() -> Any:
        scores = kitti_scores(frames)
        return np.concatenate([scores.precision.ravel(), scores.loose[1:].ravel(), scores.orientation.ravel()])

    return work


def _objects(rng: np.random.Generator, count: int, near: Any) -> Any:
    """Annotated objects, or detections near some."""
    from pointcloud.conventions.kitti_objects import KittiObjects

    if near is None:
        types = rng.choice(["Car", "Pedestrian", "Cyclist", "Van", "DontCare"], count, p=[0.6, 0.15, 0.08, 0.07, 0.1])
        location = rng.uniform((-20, 1, 5), (20, 2, 60), (count, 3))
        hwl, turn, scores = rng.uniform((1.4, 0.6, 0.8), (1.9, 1.8, 4.5), (count, 3)), rng.uniform(-3, 3, count), None
    else:
        own = rng.integers(0, len(near), count)
        types = np.where(np.isin(near.types[own], ["DontCare", "Van"]), "Car", near.types[own])
        location = near.location[own] + rng.normal(0, 0.15, (count, 3))
        hwl, scores = near.dimensions_hwl[own] * rng.uniform(0.95, 1.05, (count, 3)), rng.random(count)
        turn = near.rotation_y[own] + rng.normal(0, 0.05, count)
    scale = 700 / location[:, 2]
    middle, bottom = 600 + scale * location[:, 0], 180 + scale * location[:, 1]
    half, height = scale * hwl[:, 2] / 2, scale * hwl[:, 0]
    return KittiObjects(
        types=types.astype(np.str_),
        truncation=np.zeros(count),
        occlusion=rng.integers(0, 3, count),
        alpha=turn - np.arctan2(location[:, 0], location[:, 2]),
        bbox=np.stack([middle - half, bottom - height, middle + half, bottom], axis=1),
        dimensions_hwl=hwl,
        location=location,
        rotation_y=turn,
        scores=np.ones(count) if scores is None else scores,
    )


def boxes(count: int, side_m: float, seed: int) -> Any:
    """Cars (n, 7) that lie in a square, float64."""
    import torch

    rng = np.random.default_rng(seed)
    place, size = rng.uniform(0, side_m, (count, 2)), rng.uniform((3, 1.4, 1.4), (6, 2.4, 2), (count, 3))
    turn = rng.uniform(-np.pi, np.pi, (count, 1))
    return torch.from_numpy(np.concatenate([place, np.zeros((count, 1)), size, turn], axis=1))


def overlap() -> Work:
    """IoU from above of 500 boxes with 100."""
    from vol3d.geometry import iou_bev

    first, second = boxes(500, 40, 0), boxes(100, 40, 1)
    return lambda: iou_bev(first, second)


def suppression(count: int) -> Work:
    """NMS of so many boxes around as many objects as a street has."""
    import torch

    from vol3d.geometry import nms_rotated

    rng = np.random.default_rng(0)
    objects = boxes(count // 8, 100, 2)[rng.integers(0, count // 8, count)]
    table = objects + torch.from_numpy(rng.normal(0, 0.1, (count, 7)))
    scores = torch.from_numpy(rng.random(count))
    return lambda: nms_rotated(table, scores, 0.2)


def walls() -> Work:
    """The angle of the walls of a scanned room."""
    from pointcloud.inference.align import wall_angle

    xyz = scanned_room()
    return lambda: [wall_angle(xyz)]


def scanned_room() -> np.ndarray:
    """Points (N, 3) of a room of ScanNet, or as many of a box with walls."""
    path = DATA / "scannet" / "scene0000_00.bin"
    if path.is_file():
        return np.fromfile(path, np.float32).reshape(-1, 6)[:, :3].copy()
    rng = np.random.default_rng(0)
    xyz = np.where(rng.random((40_000, 3)) < 0.2, 0, rng.random((40_000, 3))).astype(np.float32) * [4, 5, 2.5]
    return xyz.astype(np.float32)


WORKS: dict[str, Callable[[], Work]] = {
    "pillars 0.4 m, width 32": lambda: pillars((32,), 0.4),
    "pillars 0.2 m, width 64": lambda: pillars((64,), 0.2),
    "pillars 0.2 m, widths 32 64": lambda: pillars((32, 64), 0.2),
    "predict centerpoint-drives": lambda: prediction("centerpoint-drives", "x,y,z,intensity,time"),
    "predict object-dgcnn-drives": lambda: prediction("object-dgcnn-drives", "x,y,z,intensity,time"),
    "predict kitti-cars": lambda: prediction("kitti-cars", "x,y,z,intensity"),
    "training step of 3detr_rooms_small": room_step,
    "weight gradient, 2 threads": weight_gradient,
    "JSON of 500 boxes": box_file,
    "JSON of 500 boxes, written": box_text,
    "KITTI AP, 3,769 frames": kitti_ap,
    "rotated IoU 500 x 100": overlap,
    "NMS of 1,000 boxes": lambda: suppression(1000),
    "NMS of 4,096 boxes": lambda: suppression(4096),
    "wall angle of a room": walls,
}


def worker() -> None:
    """Does the work that each line names; answers with CPU seconds and with what was computed."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    works: dict[str, Work] = {}
    for line in sys.stdin:
        name = line.strip()
        if name not in works:
            works = {name: WORKS[name]()}
        start = time.process_time()
        result = works[name]()
        seconds = time.process_time() - start
        values = np.asarray(result, np.float64).ravel()
        print(json.dumps({"seconds": seconds, "values": values[:: max(1, len(values) // 2000)].tolist()}), flush=True)


def started(tree: Path) -> Worker:
    """A worker that imports the packages from a folder."""
    from benchmarks.processes import start_worker

    environment = {**os.environ, "PYTHONPATH": str(tree), "VOL3D_NUM_THREADS": "1", "VOL3D_TEST_DATA": str(DATA)}
    command = [sys.executable, str(HERE), "--worker"]
    return start_worker(command, environment, tree)


def asked(process: Worker, name: str) -> tuple[float, np.ndarray]:
    """Milliseconds of CPU time, and what was computed."""
    from benchmarks.processes import ask

    answer = ask(process, name)
    return 1e3 * answer["seconds"], np.array(answer["values"])


def compared(name: str, before: Worker, after: Worker, rounds: int, commit: str | None) -> dict[str, object]:
    """Both sides in turns."""
    old, new = asked(before, name)[1], asked(after, name)[1]
    pairs = [(asked(before, name)[0], asked(after, name)[0]) for _ in range(rounds)]
    ratios = [one / other for one, other in pairs]
    return {
        "work": name,
        "before": commit,
        "before ms": median(one for one, _ in pairs),
        "after ms": median(other for _, other in pairs),
        "x": median(ratios),
        "least x": min(ratios),
        "most x": max(ratios),
        "pairs": rounds,
        "largest difference": float(np.nanmax(np.abs(old - new), initial=0)) if old.shape == new.shape else None,
    }


def main() -> int:
    from benchmarks.common import RESULTS, print_table, save
    from vol3d.files import read_json

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="folder with the earlier sources")
    parser.add_argument(
        "--only", nargs="+", choices=WORKS, metavar="NAME", help="these rows; the others stay as they are"
    )
    parser.add_argument("--commit", help="of the earlier sources, which the rows then name")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of runs")
    choice = parser.parse_args()
    path, rows = RESULTS / "before_after.json", {}
    if choice.only and path.is_file():
        rows = {row["work"]: row for row in read_json(path)["rows"]}
    before, after = started(choice.before.resolve()), started(HERE.parents[1])
    for name in choice.only or WORKS:
        rows[name] = compared(name, before, after, choice.rounds, choice.commit)
        print_table([rows[name]])
        save("before_after", [rows[name] for name in WORKS if name in rows])
    for process in (before, after):
        process.communicate()
    print(path)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker()
    else:
        sys.exit(main())
