"""Trains variants of UNETR on folds of the hippocampus or the left atrium, with seeds, and writes what they score.

    python -m benchmarks.hippocampus_scores DATA RUNS [KEY=VALUE ...] --variants deep no_stem --folds 0 1 2 3 --seeds 0

`DATA` is `Task04_Hippocampus` with its `folds.json`; for the variants `atrium...` it is the left atrium. Each run lies
in `RUNS/VARIANT/foldF_seedS`; the same command goes on where it stopped, and takes the score of a run that has ended.
The rows go to `benchmarks/results/hippocampus_scores.json` or `left_atrium_scores.json`, beside those that are there;
with other settings, which make a trial, they are only printed. Only the last weights are evaluated: no score is the
best of several. One process, one thread.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts its threads

import numpy as np

from benchmarks.common import RESULTS, one_thread, print_table, processor, save
from vol3d.config import load_task
from vol3d.engine import resume
from vol3d.engine.loop import train
from vol3d.engine.task import Evaluation, TrainingTask
from vol3d.files import make_folder, read_json, write_json

Row = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """A recipe with changes.

    Args:
        words: settings that replace the recipe's.
        share: of the training cases whose labels are used.
        unlabelled: the method that takes the other training cases without their labels, if any. The cases and the
            steps are those of the variant without it; a step has as many unlabelled windows as labelled ones.
    """

    recipe: str
    words: tuple[str, ...] = ()
    share: float = 1.0
    unlabelled: str | None = None


DEEP, SMALL, ATRIUM = "unetr_hippocampus_deep", "unetr_hippocampus_small", "unetr_left_atrium"
RESIDUAL = "model={name: dynunet, residual: true, strides: [[1,1,1],[2,2,2],[2,2,2],[2,2,2]], kernels: "
RESIDUAL += "[[3,3,3],[3,3,3],[3,3,3],[3,3,3]], filters: [16, 32, 64, 128]}"
VARIANTS = {
    "small": Variant(SMALL),
    "deep": Variant(DEEP),
    "no_stem": Variant(DEEP, ("model.stem=null",)),
    "no_supervision": Variant(DEEP, ("model.deep_supervision=null",)),
    "plain": Variant(DEEP, ("model.stem=null", "model.deep_supervision=null")),  # the small recipe, trained as long
    "half": Variant(DEEP, ("train.epochs=32",)),
    "double": Variant(DEEP, ("train.epochs=128",)),
    "residual": Variant(DEEP, (RESIDUAL,)),
    "tenth": Variant(DEEP, share=0.1),
    "tenth_mean_teacher": Variant(DEEP, share=0.1, unlabelled="mean_teacher"),
    "tenth_pseudo_labels": Variant(DEEP, share=0.1, unlabelled="pseudo_labels"),  # of the run of `tenth`
    "atrium": Variant(ATRIUM),
    "atrium_residual": Variant(ATRIUM, (RESIDUAL,)),
    "atrium_tenth": Variant(ATRIUM, share=0.1),
    "atrium_tenth_mean_teacher": Variant(ATRIUM, share=0.1, unlabelled="mean_teacher"),
    "atrium_tenth_pseudo_labels": Variant(ATRIUM, share=0.1, unlabelled="pseudo_labels"),  # of `atrium_tenth`
}


def task_of(variant: Variant, data: Path, fold: int, seed: int, folder: Path, words: list[str]) -> TrainingTask:
    """The training of a variant on a fold, evaluated at its end only."""
    changes = [*variant.words, f"data.root={data}", f"data.fold={fold}", f"train.seed={seed}"]
    if (data / "folds.json").is_file():
        changes.append("data.folds=folds.json")
    task = load_task(variant.recipe, [*changes, *words])
    if variant.share < 1:
        changes += _with_few_labels(task, variant, data, fold, seed, folder)
        task = load_task(variant.recipe, [*changes, *words])
    return load_task(variant.recipe, [*changes, *words, f"train.evaluate_every={task.settings.train.epochs}"])


def _with_few_labels(task: Any, variant: Variant, data: Path, fold: int, seed: int, folder: Path) -> list[str]:
    """Settings with which only a share of the training cases is labelled; which ones depends on the fold and the seed.

    Their windows are drawn as often as those of all would be.
    """
    split = task.split.require()
    names = [case.name for case in split.train]
    count = round(variant.share * (len(names) + len(split.validation)))
    chosen = sorted(np.random.default_rng([fold, seed]).permutation(names)[:count].tolist())
    folds = folder.with_name(f"{folder.name}_cases.json")
    make_folder(folds.parent)
    write_json(folds, [{"train": chosen, "val": [case.name for case in split.validation]}])
    words = [f"data.folds={folds.resolve()}", "data.fold=0", f"crop.per_volume={round(len(names) / count)}"]
    if variant.unlabelled is not None:
        words.append(f"unlabelled={{root: {data}, method: {variant.unlabelled}{_teacher(variant, folder)}}}")
    return words


def _teacher(variant: Variant, folder: Path) -> str:
    """The run of the same fold and seed that only had the labels: the teacher of pseudo labels."""
    if variant.unlabelled != "pseudo_labels":
        return ""
    supervised = folder.parent.with_name(folder.parent.name.removesuffix("_pseudo_labels"))
    return f", teacher: {(supervised / folder.name).resolve()}"


def trained(task: TrainingTask, folder: Path) -> tuple[Evaluation, float | None]:
    """The evaluation of a run, and CPU seconds of its training where all of it was trained here."""
    is_new = not (folder / resume.LAST).is_file()
    began = time.process_time()
    evaluation = train(task, folder, device="cpu")
    return evaluation, time.process_time() - began if is_new else None


def row_of(name: str, fold: int, seed: int, task: Any, evaluation: Evaluation, cpu_s: float | None) -> Row:
    """What a run scored, means over the validation cases of a fold."""
    summary = evaluation.summary
    row: Row = {"variant": name, "fold": fold, "seed": seed, "cases": summary["cases"]}
    row["labelled"] = len(task.split.train)
    row |= {"mean_dice": round(evaluation.score, 4)}
    for label, scores in summary["classes"].items():
        row |= {f"{label.lower()}_dice": round(scores["dice"], 4), f"{label.lower()}_hd95": round(scores["hd95_mm"], 3)}
    train_settings = task.settings.train
    row |= {"epochs": train_settings.epochs, "batch": train_settings.batch}
    return row | {"cpu_s": cpu_s and round(cpu_s), "processor": processor()}


def kept_rows(path: Path, new: list[Row]) -> list[Row]:
    """The rows that are in a file of results, with the new ones in the place of those of the same runs."""
    old: list[Row] = read_json(path)["rows"] if path.is_file() else []
    rows = {(row["variant"], row["fold"], row["seed"]): row for row in old}
    for row in new:
        key = (row["variant"], row["fold"], row["seed"])
        known = {name: rows.get(key, {}).get(name) for name in ("cpu_s", "processor")}
        rows[key] = row | (known if row["cpu_s"] is None and known["cpu_s"] else {})
    return [rows[key] for key in sorted(rows)]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="an MSD task")
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="settings of every run, for a shorter trial")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["deep"])
    parser.add_argument("--folds", type=int, nargs="+", default=[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    one_thread()

    for name in given.variants:
        results = "left_atrium_scores" if VARIANTS[name].recipe == ATRIUM else "hippocampus_scores"
        for fold in given.folds:
            for seed in given.seeds:
                folder = given.runs / name / f"fold{fold}_seed{seed}"
                task = task_of(VARIANTS[name], given.data.resolve(), fold, seed, folder, given.words)
                row = row_of(name, fold, seed, task, *trained(task, folder))
                print_table([row])
                if not given.words:  # trials are no results
                    save(results, kept_rows(RESULTS / f"{results}.json", [row]), ["monai"])


if __name__ == "__main__":
    main()
