"""The demo's third part: traffic around a car, in drives that the generator makes and that the models have not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vol3d.cli.console import print_table
from vol3d.cli.demo_steps import draw_boxes, predict_scans, score_scenes
from vol3d.files import make_folder
from vol3d.terminal import aside, progress, say, tell

if TYPE_CHECKING:
    from pointcloud.datasets.scenes import Scene
    from pointcloud.tasks.lidar import LidarTask
    from vol3d.scans.points.cloud import PointCloud
    from vol3d.view.theme import Background

MODELS = ("centerpoint-drives", "object-dgcnn-drives")  # the first one is drawn, too
SEED = 2031  # drives with all ten classes; the models were trained on drives of seed 0
DRIVES, SECONDS = 2, 2.0
COLUMNS = ("intensity", "time")  # of the points, besides their place


def show_drive(out: Path, cases: int, background: Background) -> None:
    """Makes two short drives in nuScenes' format, finds what is around the car, writes the report.

    Args:
        cases: of the other parts; there are always two drives.
        background: of the pictures.
    """
    from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
    from pointcloud.generate.drives.write import write_drives
    from vol3d.checkpoint import load

    root = out / "drives"
    with progress("making drives") as report:
        write_drives(root, DRIVES, SEED, workers=0, progress=report, seconds=SECONDS)
    loaded = {name: load(name, "cpu") for name in MODELS}
    tasks = {
        name: cast("LidarTask", one.task.for_dataset(NuScenesSettings(root=root), "all"))
        for name, one in loaded.items()
    }
    task = tasks[MODELS[0]]
    samples = task.split.validation
    say(f"{len(samples)} frames of {DRIVES} synthetic drives, detecting {', '.join(task.class_names)}")
    reports = {name: out / Path(name).name for name in MODELS}
    scores = {
        name: score_scenes(tasks[name], loaded[name], make_folder(folder), background).summary
        for name, folder in reports.items()
    }
    frame = samples[len(samples) // 4].read()  # in the middle of the first drive
    scan, boxes = make_folder(out / "scans") / "drive.npy", make_folder(out / "boxes")
    write_points(scan, frame.cloud)
    rows = predict_scans(loaded[MODELS[0]], [scan], boxes)
    with aside():
        print_table(["frame", "found"], [[row.source.name, row.facts["found"]] for row in rows])
    with aside():
        print_table(["model", "NDS", "mAP", "car AP"], [[name, *_scores(one)] for name, one in scores.items()])
    for folder in reports.values():
        tell(f"report    {folder / 'report.html'}")
    result = boxes / f"{rows[0].source.name}{task.result_suffix}"
    above = draw_from_above(out / "from_above.png", frame, result, background)
    tell(f"picture   {above}  (annotated and found)")
    draw_boxes(out / "drive.png", scan, result, background)
    tell("next      vol3d predict street-objects YOUR_SWEEP.bin -o out  (docs/lidar.md)")


def _scores(summary: dict[str, Any]) -> tuple[float, float, float]:
    return summary["nds"], summary["map"], summary["classes"]["car"]["ap"]


def write_points(path: Path, cloud: PointCloud) -> None:
    """A table whose columns have names: x y z intensity time, the seconds since each point was seen."""
    from vol3d.files import write_array

    columns = {**dict(zip("xyz", cloud.xyz.T, strict=True)), **{name: cloud.columns[name] for name in COLUMNS}}
    table = np.empty(len(cloud), [(name, "<f4") for name in columns])
    for name, values in columns.items():
        table[name] = values
    write_array(path, table)


def draw_from_above(path: Path, frame: Scene, result: Path, background: Background) -> Path:
    """A picture of what is annotated and what was found around the car."""
    from vol3d.files import write_bytes
    from vol3d.scans.results.read import read_detections
    from vol3d.view.draw.top_view import STREET, draw_top_view

    found = read_detections(result)
    write_bytes(path, draw_top_view(frame.cloud, frame.truth, found, "a synthetic drive", STREET, background))
    return path
