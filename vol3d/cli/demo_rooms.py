"""The demo's second part: furniture in rooms that the generator makes and that the model has not seen."""

from __future__ import annotations

from pathlib import Path

from vol3d.cli.console import cell, print_table, progress, say
from vol3d.cli.options import make_folder
from vol3d.errors import Vol3dError

MODEL = "3detr-rooms"
SEED = 2026  # the model was trained on rooms of seed 0


def show_rooms(out: Path, rooms: int) -> None:
    """Makes `rooms` rooms in the raw format of ScanNet, finds their furniture from the meshes, writes the report."""
    import torch

    from pointcloud.datasets.scannet import ScanNetSettings
    from pointcloud.generate.rooms import write_rooms
    from vol3d.checkpoint import load
    from vol3d.cli.predict import predict_all
    from vol3d.engine import results
    from vol3d.files import write_bytes
    from vol3d.view.load import load_view
    from vol3d.view.picture import draw_scene

    raw, cpu = out / "scans", torch.device("cpu")
    with progress("making rooms") as report:
        write_rooms(raw, max(2, rooms), SEED, workers=0, progress=report)
    loaded = load(MODEL, cpu)
    task = loaded.task.on(ScanNetSettings(root=raw), "all")
    say(f"{MODEL}: {rooms} generated rooms as meshes, looking for {', '.join(task.class_names)}")
    meshes = sorted((raw / "scans").glob("*/*_vh_clean_2.ply"))[:rooms]
    boxes = make_folder(out / "boxes")
    with progress("predicting") as report:
        rows = predict_all(task, loaded.models, meshes, boxes, cpu, True, report)
    failed = [row for row in rows if row["status"] == "failed"]
    if failed:
        raise Vol3dError("the demo could not predict its own rooms", where=failed[0]["input"], do=failed[0]["error"])
    with progress("scoring") as report:
        evaluation = task.evaluate(loaded.models[0], cpu, report, pictures=True)
    results.write(out, evaluation, step=0)
    picture, first = out / "room.png", task.result_path(meshes[0], boxes)
    write_bytes(picture, draw_scene(load_view([str(meshes[0]), str(first)])))
    print_table(["room", "found"], [[Path(row["input"]).stem, row["found"]] for row in rows])
    print(f"AP25 {cell(evaluation.score)}, AP50 {cell(evaluation.summary['ap50'])} over {max(2, rooms)} rooms")
    print(f"report    {out / 'report.html'}")
    print(f"picture   {picture}  (to turn it: vol3d view {meshes[0]} {first})")
