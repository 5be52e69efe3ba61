"""What the parts of the demo have in common: scans that must not fail, scores with a report, one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vol3d.errors import Vol3dError
from vol3d.terminal import progress, tell

if TYPE_CHECKING:
    from vol3d.checkpoint import Loaded
    from vol3d.engine.predict import PredictionRow
    from vol3d.engine.task import Evaluation, ScoringTask
    from vol3d.view.theme import Background


def predict_scans(loaded: Loaded, scans: Sequence[Path], out: Path) -> list[PredictionRow]:
    """Predicts the demo's own scans on the CPU; returns what was found in each.

    Raises:
        Vol3dError: one of them failed.
    """
    import torch

    from vol3d.engine.predict import model_record, predict_files, result_paths

    with progress("predicting") as report:
        device, task = torch.device("cpu"), loaded.task
        results = result_paths(task.find_inputs(scans), task.result_suffix, out)
        record = model_record(task, loaded.info, "demo", device)
        rows = predict_files(task, loaded.models, results, device, record=record, overwrite=True, progress=report)
    failed = [row for row in rows if row.status == "failed"]
    if failed:
        raise Vol3dError("the demo could not predict its own scans", where=failed[0].source.path, do=failed[0].error)
    return rows


def score_scenes(task: ScoringTask, loaded: Loaded, out: Path, background: Background) -> Evaluation:
    """Evaluates on the scenes of `task`, on the CPU, and writes the report, with pictures on this background."""
    import torch

    from vol3d.engine import results

    with progress("scoring") as report:
        evaluation = task.evaluate(loaded.models[0], torch.device("cpu"), report, pictures=background)
    results.write(out, evaluation, step=0)
    return evaluation


def draw_boxes(path: Path, scan: Path, boxes: Path, background: Background) -> None:
    """A picture of a scan and its boxes, and how to turn it."""
    from vol3d.files import write_bytes
    from vol3d.view.draw.picture import draw_scene
    from vol3d.view.load.read import load_view
    from vol3d.view.scene import Opening

    write_bytes(path, draw_scene(load_view([scan, boxes], Opening(background=background))))
    tell(f"picture   {path}  (to turn it: vol3d view {scan} {boxes})")
