"""Ten cases, one class: a trained model fine-tuned beside the same recipe from scratch.

    python -m benchmarks.fine_tuning DATA/Task04_Hippocampus START OUT

START is a run of RECIPE on the other folds. The cases are those of fold 0: ten train, the other 42 validate, and only
`Anterior` is labelled. Both runs have the same cases, recipe, seed and number of epochs; the same command resumes. The
result is `benchmarks/results/fine_tuning.json`.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import nibabel
import numpy as np

import vol3d
from benchmarks.common import one_thread, print_table, save
from vol3d.files import make_folder, read_json, write_json

RECIPE, CLASS = "unetr_hippocampus_small", "Anterior"
TRAINING = 10


def one_class(root: Path, out: Path) -> Path:
    """The cases of fold 0 with one class, in MSD's layout: the last 42 validate."""
    document, names = read_json(root / "dataset.json"), sorted(read_json(root / "folds.json")[0])
    (label,) = (int(key) for key, name in document["labels"].items() if name == CLASS)
    for name in names:
        for folder in ("imagesTr", "labelsTr"):
            make_folder(out / folder)
        shutil.copyfile(root / "imagesTr" / f"{name}.nii.gz", out / "imagesTr" / f"{name}.nii.gz")
        mask = nibabel.load(root / "labelsTr" / f"{name}.nii.gz")
        alone = (np.asarray(mask.dataobj) == label).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(alone, mask.affine), out / "labelsTr" / f"{name}.nii.gz")
    training = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names]
    labels = {"labels": {"0": "background", "1": CLASS}, "training": training, "numTraining": len(training)}
    write_json(out / "dataset.json", document | labels | {"test": []})
    write_json(out / "folds.json", [names[TRAINING:]])
    return out


def measured(start: Path | None, data: Path, out: Path, epochs: int) -> dict[str, object]:
    """One run; without `start` from scratch."""
    settings = {"data.fold": 0, "data.folds": "folds.json", "train.evaluate_every": epochs // 4}
    settings |= {} if start is None else {"start_from.checkpoint": str(start)}
    run = vol3d.train(RECIPE, out, data=data, epochs=epochs, settings=settings, verbose=True)
    by_step = [(int(row[0]), float(row[1])) for row in _scores(out / "metrics.csv")]
    return {
        "start": "from scratch" if start is None else f"from {RECIPE}",
        "training cases": TRAINING,
        "epochs": epochs,
        "mean Dice of 42": run.evaluation.score,
        **{f"Dice after step {step}": score for step, score in by_step},
    }


def _scores(path: Path) -> list[tuple[str, str]]:
    """Step and score of each evaluation in a run's log."""
    head, *rows = (line.split(",") for line in path.read_text().splitlines())
    step, score = head.index("step"), head.index("mean_dice")
    return [(row[step], row[score]) for row in rows if len(row) > score and row[score]]


def main() -> None:
    """Trains both, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="Task04_Hippocampus with folds.json")
    parser.add_argument("start", type=Path, help=f"run of {RECIPE} on the other folds")
    parser.add_argument("out", type=Path, help="for the cases and both runs")
    parser.add_argument("--epochs", type=int, default=80)
    words = parser.parse_args()
    one_thread()
    data = words.out / "data"
    if not (data / "folds.json").is_file():
        one_class(words.root, data)
    starts = {"scratch": None, "trained": words.start}
    rows = [measured(start, data, words.out / name, words.epochs) for name, start in starts.items()]
    print_table(rows)
    print(save("fine_tuning", rows))


if __name__ == "__main__":
    main()
