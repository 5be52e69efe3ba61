"""The demo's first part: hippocampi in real MR scans that come with the package and that the model has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vol3d.cli.console import cell, print_table
from vol3d.cli.demo_steps import predict_scans
from vol3d.errors import Vol3dError
from vol3d.files import make_folder
from vol3d.terminal import aside, say, tell

if TYPE_CHECKING:
    from medical.datasets.cases import Case
    from vol3d.engine.task import Evaluation
    from vol3d.view.theme import Background

MODEL = "unetr-hippocampus"
SAMPLES = Path(__file__).resolve().parent / "samples" / "Task04_Hippocampus"


def show_hippocampus(out: Path, cases: int, background: Background) -> None:
    """Predicts `cases` scans, scores the masks as they lie on the disk, writes the report."""
    from medical.datasets.msd import MsdSettings
    from vol3d.checkpoint import load
    from vol3d.engine import results
    from vol3d.examples import samples

    split = MsdSettings(root=samples()).split()
    chosen = sorted(split.labelled, key=lambda case: case.name)[:cases]
    loaded = load(MODEL, "cpu")
    names = ", ".join(loaded.task.class_names[1:])
    say(f"{MODEL}: {len(chosen)} real MR scans (Medical Segmentation Decathlon, CC-BY-SA 4.0), segmenting {names}")
    masks = make_folder(out / "masks")
    predict_scans(loaded, [case.images[0] for case in chosen], masks)
    evaluation = _score(loaded.task, chosen, masks, background)
    results.write(out, evaluation, step=0)
    columns = [name for name in evaluation.rows[0] if name in ("case", "class", "dice", "hd95_mm", "volume_ml")]
    with aside():
        print_table(columns, [[row[name] for name in columns] for row in evaluation.rows])
    tell(f"mean Dice {cell(evaluation.score)} over {len(chosen)} scans")
    tell(f"report    {out / 'report.html'}")
    tell(f"masks     {masks}  (each on the grid of its scan in {SAMPLES / 'imagesTr'})")


def _score(task: Any, cases: Sequence[Case], masks: Path, background: Background) -> Evaluation:
    """Scores the masks as they lie on the disk."""
    from medical.evaluate import ScoredCase, evaluate_cases
    from vol3d.scans.paths import scan_stem
    from vol3d.scans.read import read_labels, read_volume
    from vol3d.scans.volumes.volume import Segmentation

    def scored(case: Case) -> ScoredCase:
        image, mask = (
            read_volume(case.images[0]),
            read_labels(masks / f"{scan_stem(case.images[0])}{task.result_suffix}"),
        )
        prediction = Segmentation(mask.array[0], mask.grid, task.class_names, case.images[0])
        return ScoredCase(case.name, image, read_labels(_label(case)), prediction)

    conditions = {"data": "sample cases of MSD Task04 Hippocampus", "checkpoint": MODEL}
    return evaluate_cases(map(scored, cases), task.classes, conditions, pictures=background)


def _label(case: Case) -> Path:
    if case.label is None:
        raise Vol3dError("a sample case has no label", where=case.name, do="Install vol3d again.")
    return case.label
