"""Two trainings with several seeds each: do they differ by more than seeds do?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from vol3d.class_names import respelled, spelled_as
from vol3d.comparison.cases import refuse_others
from vol3d.comparison.result import SIGNIFICANT, Comparison, Difference, SpreadChange, corrected
from vol3d.comparison.scores import Better, Scores, scores_of
from vol3d.comparison.totals import Key, classes_of, described, evaluation_respelled, numbers
from vol3d.dataset_tools.fault import listed
from vol3d.engine import results
from vol3d.engine.task import Evaluation
from vol3d.errors import DataError, UsageError
from vol3d.files import read_json
from vol3d.statistics import paired_t, pairs_needed, spread_p

Runs = Mapping[str, Evaluation]
"""Name of each seed that has ended -> its evaluation."""
SUMMARY = "seeds.json"
"""What `vol3d train --seeds` writes beside the runs; `failed` says why seeds have no score."""


def seed_folders(path: Path) -> list[Path]:
    """The runs in a folder of `vol3d train --seeds`, by number; [] if it is none."""
    if not path.is_dir() or (path / results.EVALUATION).is_file():
        return []
    found = [one for one in path.glob("seed*") if one.is_dir() and one.name[4:].isdecimal()]
    return sorted(found, key=lambda one: int(one.name[4:]))


def unfinished(path: Path) -> dict[str, str]:
    """The seeds in a folder that have not ended, and those that were to be trained and failed -> why.

    Raises:
        DataError: damaged files.
    """
    summary = path / SUMMARY
    content = read_json(summary) if summary.is_file() else {}
    failed = content.get("failed", {}) if isinstance(content, dict) else {}
    reasons = {str(name): str(reason) for name, reason in failed.items()} if isinstance(failed, dict) else {}
    begun = {one.name: "it has not ended" for one in seed_folders(path)}
    return {name: why for name, why in (begun | reasons).items() if not (path / name / results.EVALUATION).is_file()}


def compare_seeds(a: Path, b: Path) -> Comparison:
    """Per number of the evaluations: mean difference B - A over the seeds that both have, t interval, paired t-test.

    The score that ranks checkpoints stands first; its spreads over the seeds are compared too. Each difference also has
    the number of seeds from which on the test would find one of its size with a probability of 80 %.

    Raises:
        UsageError: fewer than two seeds that both have, another score, or runs that were scored on other cases.
        DataError: a damaged evaluation.
    """
    mine = _finished(a)
    theirs, matched = _as_spelled(mine, _finished(b), f"{a} and {b}")
    runs = mine, theirs
    seeds = [name for name in runs[0] if name in runs[1]]
    _refuse_few(a, b, runs, seeds)
    refuse_other_cases([(path / seed, one[seed]) for path, one in zip((a, b), runs, strict=True) for seed in seeds])
    rows = _differences([runs[0][seed] for seed in seeds], [runs[1][seed] for seed in seeds])
    score = runs[0][seeds[0]].score_name
    if not rows or rows[0].metric != score:
        raise UsageError(f"not every run has the score {score}", where=f"{a} and {b}", do="Look at the single runs.")
    notes = [f"{len(seeds)} seeds were paired: {listed(seeds, 10)}", *_left_out((a, b), runs), *matched]
    spread = _spread(runs)
    notes += [_spread_note(spread)] if math.isfinite(spread.p) else []
    notes.append(_answer(rows[0]))
    return Comparison("seeds", str(a), str(b), len(seeds), corrected(rows), tuple(notes), spread)


def _as_spelled(a: Runs, b: Runs, where: str) -> tuple[Runs, list[str]]:
    """B with A's spelling of the classes, and what a reader must know of the names of both."""
    mine, theirs = (tuple(dict.fromkeys(name for run in side.values() for name in classes_of(run))) for side in (a, b))
    spelling = spelled_as(theirs, mine, where)
    notes = [f"{other} of B is {one} of A" for other, one in spelling.items()]
    if {*mine} != {*respelled(theirs, spelling)}:
        notes.append(f"A has the classes {listed(mine)}, B {listed(theirs)}: a mean over all is over other ones")
    return {seed: evaluation_respelled(run, spelling) for seed, run in b.items()}, notes


def _refuse_few(a: Path, b: Path, runs: tuple[Runs, Runs], seeds: list[str]) -> None:
    if len(seeds) < 2:
        got = " and ".join(listed(one) or "none" for one in runs)
        do = "Train both with the same seeds: `vol3d train ... --seeds N`."
        raise UsageError("fewer than two finished seeds can be paired", where=f"{a} and {b}", got=got, do=do)
    names = [one[seeds[0]].score_name for one in runs]
    if names[0] != names[1]:
        raise UsageError("the runs have other scores", where=f"{a} and {b}", got=" and ".join(names))


def _differences(ours: list[Evaluation], theirs: list[Evaluation]) -> list[Difference]:
    """Of every number that all runs have; the two lists are paired."""
    before, after = ([numbers(one) for one in side] for side in (ours, theirs))
    return [
        _difference(key, described, *(np.array([table[key] for table in side]) for side in (before, after)))
        for key, described in described(ours[0]).items()
        if all(key in table for table in (*before, *after))
    ]


def _finished(path: Path) -> Runs:
    found = {one.name: results.read(one) for one in seed_folders(path)}
    return {name: evaluation for name, evaluation in found.items() if evaluation is not None}


def _left_out(paths: tuple[Path, Path], runs: tuple[Runs, Runs]) -> list[str]:
    notes = []
    for path, mine, other in zip(paths, runs, runs[::-1], strict=True):
        open_runs = [f"{name} ({reason})" for name, reason in unfinished(path).items()]
        alone = [name for name in mine if name not in other]
        notes += [f"seeds of {path} without an end, left out: {listed(open_runs)}"] if open_runs else []
        notes += [f"seeds that only {path} has, left out: {listed(alone)}"] if alone else []
    return notes


def refuse_other_cases(runs: list[tuple[Path, Evaluation]]) -> None:
    """Raises UsageError unless all runs have rows of the same cases, where they have rows of cases."""
    tables: list[Scores] = []
    for path, evaluation in runs:
        with suppress(DataError):  # rows of classes only, or none
            tables.append(scores_of(evaluation, path))
    for other in tables[1:]:
        refuse_others(tables[0], other)


def _difference(key: Key, described: tuple[str, Better], before: np.ndarray, after: np.ndarray) -> Difference:
    """Of the numbers (seeds,) of A and of B."""
    differences = after - before
    mean = float(differences.mean())
    interval, p = paired_t(differences)
    return Difference(
        metric=key[0],
        title=described[0],
        name=key[1],
        pairs=len(differences),
        a=float(before.mean()),
        b=float(after.mean()),
        difference=mean,
        interval=interval,
        p=p,
        better=described[1],
        needed=pairs_needed(mean, float(differences.std(ddof=1))),
    )


def _spread(runs: tuple[Runs, Runs]) -> SpreadChange:
    """Of the scores of all seeds, paired or not."""
    a, b = (np.array([one.score for one in side.values() if math.isfinite(one.score)]) for side in runs)
    return SpreadChange(float(a.std(ddof=1)), float(b.std(ddof=1)), (len(a), len(b)), spread_p(a, b))


def _spread_note(spread: SpreadChange) -> str:
    """Whether the seeds of one side spread more than those of the other, in a sentence."""
    shown = "differ" if spread.p < SIGNIFICANT else "are not shown to differ"
    measured = f"deviation over the seeds: A {spread.a:.4f}, B {spread.b:.4f}"
    return f"{measured}; the spreads {shown} (Brown and Forsythe's test, p = {spread.p:.3g})"


def _answer(score: Difference) -> str:
    """Whether the score differs by more than seeds do, in a sentence."""
    low, high = score.interval
    measured = (
        f"{score.title}: B - A = {score.difference:+.4f} (95 % interval {low:+.4f} to {high:+.4f},"
        f" {score.pairs} seeds, p = {score.p:.3g})"
    )
    if score.p < SIGNIFICANT:
        return f"{measured}: they differ by more than seeds do"
    if score.needed is None:
        return f"{measured}: no difference beyond that of seeds is shown, and no number of seeds could"
    needed = f"about {score.needed} seeds could tell one of this size"
    return f"{measured}: no difference beyond that of seeds is shown; {needed}"
