"""The demo's second part: furniture in rooms that the generator makes and that the model has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vol3d.cli.console import cell, print_table
from vol3d.cli.demo_steps import draw_boxes, predict_scans, score_scenes
from vol3d.files import make_folder
from vol3d.terminal import aside, progress, say, tell

if TYPE_CHECKING:
    from vol3d.view.theme import Background

MODEL = "3detr-rooms"
SEED = 2026  # the model was trained on rooms of seed 0


def show_rooms(out: Path, rooms: int, background: Background) -> None:
    """Makes `rooms` rooms in the raw format of ScanNet, finds their furniture from the meshes, writes the report."""
    from pointcloud.datasets.scannet.dataset import ScanNetSettings
    from pointcloud.generate.rooms.write import write_rooms
    from vol3d.checkpoint import load

    raw = out / "scans"
    with progress("making rooms") as report:
        write_rooms(raw, max(2, rooms), SEED, workers=0, progress=report)
    loaded = load(MODEL, "cpu")
    task = loaded.task.for_dataset(ScanNetSettings(root=raw), "all")
    say(f"{MODEL}: {rooms} synthetic rooms as meshes, detecting {', '.join(task.class_names)}")
    meshes = sorted((raw / "scans").glob("*/*_vh_clean_2.ply"))[:rooms]
    boxes = make_folder(out / "boxes")
    rows = predict_scans(loaded, meshes, boxes)
    evaluation = score_scenes(task, loaded, out, background)
    with aside():
        print_table(["room", "found"], [[row.source.name, row.facts["found"]] for row in rows])
    tell(f"AP25 {cell(evaluation.score)}, AP50 {cell(evaluation.summary['ap50'])} over {max(2, rooms)} rooms")
    tell(f"report    {out / 'report.html'}")
    found = boxes / f"{rows[0].source.name}{loaded.task.result_suffix}"
    draw_boxes(out / "room.png", meshes[0], found, background)
