"""Object DGCNN's tables: `python -m benchmarks.distillation --data DATA/drives [--out runs/tables] [KEY=VALUE ...]`.

Trains every row of `distillation_rows` with several seeds, seed by seed, and writes `table.json` and `table.md` after
each run: mAP, NDS and the five errors, mean and deviation over the seeds, and differences between rows, taken seed by
seed. A row that others begin with or are taught by is trained once per seed. The same command goes on where it was
stopped; started twice with the same folder, two processes share the work.

`--full` takes the recipes of the papers on nuScenes, `--list` prints the commands and trains nothing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts its threads

import torch

from benchmarks.common import spread, spread_text
from benchmarks.distillation_rows import COMPARED, FULL, ROWS, SMALL, TABLES, Size, run_folder, words_of
from vol3d import files
from vol3d.checkpoint import load
from vol3d.config import load_distillation, load_task
from vol3d.engine import results
from vol3d.engine.device import pick_device
from vol3d.engine.loop import train
from vol3d.engine.task import Task
from vol3d.errors import UsageError, Vol3dError
from vol3d.lock import FolderBusyError, lock

NUMBERS = {
    "map": "mAP",
    "nds": "NDS",
    "mate_m": "mATE",
    "mase": "mASE",
    "maoe_rad": "mAOE",
    "mave_m_s": "mAVE",
    "maae": "mAAE",
}
PAUSE_S = 10.0
Run = tuple[str, int]


def task_of(name: str, seed: int, size: Size, out: Path, further: Sequence[str] = ()) -> Task:
    """The task of a row's training."""
    row = ROWS[name]
    load = load_distillation if row.teacher else load_task
    return load(size.recipes[row.recipe], words_of(name, seed, size, out, further))


def command(name: str, seed: int, size: Size, out: Path, further: Sequence[str] = ()) -> str:
    """What makes the row by hand."""
    row = ROWS[name]
    if row.again:
        changes = [word for change in row.changes for word in ("--set", change)]
        return shlex.join(["vol3d", "evaluate", str(run_folder(out, row.again, seed)), "--data", "ROOT", *changes])
    verb = "distill" if row.teacher else "train"
    words = [verb, size.recipes[row.recipe], *words_of(name, seed, size, out, further)]
    return shlex.join(["vol3d", *words, "-o", str(run_folder(out, name, seed))])


def with_needs(names: Iterable[str]) -> list[str]:
    """The rows and those that they need, in the order of the tables.

    Raises:
        UsageError: no such row.
    """
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in ROWS:
            raise UsageError(f"no row called '{name}'", where="--only", do=f"Known: {', '.join(ROWS)}.")
        if name not in wanted:
            wanted.add(name)
            waiting += ROWS[name].needs
    return [name for name in ROWS if name in wanted]


def score_again(name: str, seed: int, out: Path) -> None:
    """Another look at the weights of a run, with the row's changes; writes what `train` writes."""
    row, folder = ROWS[name], run_folder(out, name, seed)
    source = run_folder(out, str(row.again), seed)
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder):
        device = pick_device(None)
        loaded = load(source, device, row.changes)
        evaluation = loaded.task.evaluate(loaded.models[0], device, lambda done, total, name: None)
        results.write(folder, evaluation, loaded.info[0]["step"])


def work(names: Sequence[str], seeds: int, size: Size, out: Path, further: Sequence[str]) -> None:
    """Makes all runs that nobody else is making, in order; returns when all are there and the tables are written.

    Raises:
        UsageError: the folder has the runs of another size or of other settings.
    """
    _check_same(out, size, further)
    write_tables(out, seeds)
    waiting: list[Run] = [(name, seed) for seed in range(seeds) for name in names]
    while waiting := [run for run in waiting if not _is_done(run, out)]:
        if not any(_make(run, size, out, further) for run in waiting if _can_begin(run, out)):
            time.sleep(PAUSE_S)  # another process makes what is missing
        write_tables(out, seeds)


def _check_same(out: Path, size: Size, further: Sequence[str]) -> None:
    """The data may have moved, all else is as it was."""
    path, words = out / "settings.json", sorted(word for word in further if not word.startswith("data.root="))
    about = {"recipes": size.recipes, "settings": words}
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        files.write_json(path, about)
    elif (known := files.read_json(path)) != about:
        what = "the folder has the runs of other recipes or settings"
        raise UsageError(what, where=path, got=about, wanted=known, do="Choose another folder with --out.")


def _is_done(run: Run, out: Path) -> bool:
    return results.read(run_folder(out, *run)) is not None


def _can_begin(run: Run, out: Path) -> bool:
    name, seed = run
    return not _is_done(run, out) and all(_is_done((need, seed), out) for need in ROWS[name].needs)


def _make(run: Run, size: Size, out: Path, further: Sequence[str]) -> bool:
    """Whether it was made; not if another process is at it."""
    name, seed = run
    try:
        if ROWS[name].again:
            score_again(name, seed, out)
        else:
            train(task_of(name, seed, size, out, further), run_folder(out, name, seed))
    except FolderBusyError:
        return False
    print(f"{name} seed {seed} is done", file=sys.stderr, flush=True)
    return True


def write_tables(out: Path, seeds: int) -> None:
    """`table.json` and `table.md` from the runs that have ended."""
    scores = {name: _scores(out, name, seeds) for name in ROWS}
    rows = {name: _spread(one) for name, one in scores.items() if one}
    differences = [_difference(scores, *pair) for pair in COMPARED if scores[pair[0]] and scores[pair[1]]]
    files.write_json(out / "table.json", {"rows": rows, "differences": differences})
    files.write_text(out / "table.md", _markdown(rows, differences))


def _scores(out: Path, name: str, seeds: int) -> dict[int, dict[str, float]]:
    """Seed -> the numbers of a row's run, of those that have ended."""
    found = {seed: results.read(run_folder(out, name, seed)) for seed in range(seeds)}
    return {seed: {key: one.summary[key] for key in NUMBERS} for seed, one in found.items() if one is not None}


def _spread(of_seeds: dict[int, dict[str, float]]) -> dict[str, Any]:
    return {"seeds": [*of_seeds], **{key: spread([one[key] for one in of_seeds.values()]) for key in NUMBERS}}


def _difference(scores: dict[str, dict[int, dict[str, float]]], one: str, other: str) -> dict[str, Any]:
    """One row less another, seed by seed."""
    both = [seed for seed in scores[one] if seed in scores[other]]
    told: dict[str, Any] = {"row": one, "less": other, "seeds": both}
    for key in ("map", "nds") if both else ():
        told[key] = spread([scores[one][seed][key] - scores[other][seed][key] for seed in both])
    return told


def _markdown(rows: dict[str, dict[str, Any]], differences: list[dict[str, Any]]) -> str:
    lines: list[str] = []
    for title, names in TABLES.items():
        lines += [f"## {title}", "", f"| row | {' | '.join(NUMBERS.values())} | seeds | published mAP / NDS |"]
        lines += ["|" + " --- |" * (len(NUMBERS) + 3)]
        lines += [_line(name, rows.get(name)) for name in names]
        lines.append("")
    lines += ["## Differences", "", "| row | less | mAP | NDS | seeds |", "| --- | --- | --- | --- | --- |"]
    for one in differences:
        if one["seeds"]:
            told = " | ".join(spread_text(one[key], sign="+") for key in ("map", "nds"))
            lines.append(f"| {one['row']} | {one['less']} | {told} | {len(one['seeds'])} |")
    lines += ["", "Published: the tables of the paper with these numbers; percent, validation set of nuScenes."]
    return "\n".join([*lines, ""])


def _line(name: str, row: dict[str, Any] | None) -> str:
    published = ROWS[name].paper
    known = f"{published[0]} / {published[1]}" if published else "not in the paper"
    numbers = [spread_text(row[key]) if row else "" for key in NUMBERS]
    return f"| {ROWS[name].title} | {' | '.join(numbers)} | {len(row['seeds']) if row else 0} | {known} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="settings of every row, train.epochs=1")
    parser.add_argument("--data", metavar="ROOT", help="the drives, or nuScenes")
    parser.add_argument("--out", type=Path, help="default: runs/tables, with --full runs/tables_full")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--only", nargs="+", default=[*ROWS], metavar="ROW", help="with those that they need")
    parser.add_argument("--full", action="store_true", help="the papers' recipes")
    parser.add_argument("--list", action="store_true", help="print the commands")
    chosen = parser.parse_intermixed_args()
    size, names = FULL if chosen.full else SMALL, with_needs(chosen.only)
    out = chosen.out or Path("runs/tables_full" if chosen.full else "runs/tables")
    further = [*([f"data.root={chosen.data}"] if chosen.data else []), *chosen.words]
    if chosen.list:
        print(*(command(name, 0, size, out, further) for name in names), sep="\n")
        return
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    work(names, chosen.seeds, size, out, further)
    print((out / "table.md").read_text("utf-8"))


if __name__ == "__main__":
    try:
        main()
    except Vol3dError as error:
        sys.exit(f"error: {error}")
