"""What the runs of several seeds found: the facts of a study, read from its folder."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.comparison.seeds import SUMMARY, refuse_other_cases, seed_folders, unfinished
from vol3d.config import read as read_yaml
from vol3d.dataset_tools.fault import listed
from vol3d.engine import results
from vol3d.engine.resume import differing
from vol3d.engine.task import Evaluation, Metric
from vol3d.errors import UsageError
from vol3d.report.folder import read_columns
from vol3d.statistics import Suspect, deviation_interval, mean_interval, outlier_test

_OWN = ("train.seed",)
"""Settings in which the seeds of a study differ."""


@dataclass(frozen=True)
class EpochBand:
    """The scores of the finished seeds after one epoch."""

    epoch: int
    seeds: int
    mean: float
    deviation: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class SeedStudy:
    """Finished runs of one recipe that differ in their seeds, and those that have not ended.

    Args:
        folder: with `seed0`, `seed1` ...
        evaluations: name of a run -> its evaluation, by number; each has a score.
        failed: name of each other run -> why it has no score.
        curves: name of a finished run -> epoch -> score then.
        started_from: whose weights they began with; None for random ones.
    """

    folder: Path
    evaluations: Mapping[str, Evaluation]
    failed: Mapping[str, str]
    curves: Mapping[str, Mapping[int, float]]
    started_from: str | None = None

    @cached_property
    def scores(self) -> dict[str, float]:
        """Name of a run -> score of the weights that it kept, the best of its evaluations."""
        return {name: float(one.score) for name, one in self.evaluations.items()}

    @cached_property
    def values(self) -> np.ndarray:
        """The scores (seeds,)."""
        return np.array([*self.scores.values()])

    @property
    def score_name(self) -> str:
        """Key of the score."""
        return next(iter(self.evaluations.values())).score_name

    @property
    def title(self) -> str:
        """What a reader sees for it."""
        metrics: tuple[Metric, ...] = next(iter(self.evaluations.values())).metrics
        known = {metric.key: metric.label for metric in metrics}
        return known.get(self.score_name, self.score_name.replace("_", " "))

    @property
    def mean(self) -> float:
        """Of the scores."""
        return float(self.values.mean())

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the sample (n - 1), None for a single seed."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else None

    @property
    def most_fortunate(self) -> str:
        """The seed with the highest score; of equals the first."""
        return max(self.scores, key=self.scores.__getitem__)

    @property
    def least_fortunate(self) -> str:
        """The seed with the lowest score; of equals the last, so that two seeds of a study are never one."""
        return min(reversed(self.scores), key=self.scores.__getitem__)

    @cached_property
    def suspects(self) -> dict[str, Suspect]:
        """The seeds that lie farthest out, farthest first, and whether they are outliers."""
        names = [*self.scores]
        return {names[one.index]: one for one in outlier_test(self.values)}

    @property
    def outliers(self) -> list[str]:
        """The seeds that are outliers."""
        return [name for name, one in self.suspects.items() if one.is_outlier]

    @cached_property
    def bands(self) -> list[EpochBand]:
        """One for each epoch after which a finished seed was evaluated."""
        epochs = sorted({epoch for curve in self.curves.values() for epoch in curve})
        return [_band(epoch, [one[epoch] for one in self.curves.values() if epoch in one]) for epoch in epochs]

    def to_dict(self) -> dict[str, Any]:
        """The facts, ready for JSON."""
        return {
            "score_name": self.score_name,
            "scores": self.scores,
            "mean": self.mean,
            "mean_interval": list(mean_interval(self.values)),
            "deviation": self.deviation,
            "deviation_interval": list(deviation_interval(self.values)),
            "minimum": float(self.values.min()),
            "maximum": float(self.values.max()),
            "most_fortunate": self.most_fortunate,
            "least_fortunate": self.least_fortunate,
            "outlier_test": [{"seed": name} | _without_index(one) for name, one in self.suspects.items()],
            "epochs": [asdict(band) for band in self.bands],
            "started_from": self.started_from,
            "failed": dict(self.failed),
        }

    def __str__(self) -> str:
        deviation = "" if self.deviation is None else f" ± {self.deviation:.4f}"
        reach = f"({self.values.min():.4f} to {self.values.max():.4f}, {len(self.values)} runs)"
        failed = f"; {len(self.failed)} without a score: {listed([*self.failed])}" if self.failed else ""
        return f"{self.score_name} {self.mean:.4f}{deviation} {reach}{failed}"


def read_study(folder: Path, failed: Mapping[str, str] | None = None) -> SeedStudy:
    """The study in a folder of `vol3d train --seeds`: every seed that was ever begun or asked for there.

    Args:
        failed: why seeds have failed just now; else what `seeds.json` has on them.

    Raises:
        UsageError: no seed has ended with a score; the seeds differ in more than their numbers, or were scored on
            other cases.
        DataError: a damaged evaluation.
    """
    found = {one.name: results.read(one) for one in seed_folders(folder)}
    ended = {name: one for name, one in found.items() if one is not None}
    _refuse_other_recipes(folder, [*ended])
    scored = {name: one for name, one in ended.items() if math.isfinite(one.score)}
    without = _without_score(folder, ended, scored, failed or {})
    if not scored:
        got = "; ".join(f"{name}: {reason}" for name, reason in without.items()) or "no folder of a seed"
        raise UsageError("no seed has ended with a score", where=folder, got=got)
    refuse_other_cases([(folder / name, one) for name, one in scored.items()])
    curves = {name: _curve(folder / name, one.score_name) for name, one in scored.items()}
    return SeedStudy(folder, scored, without, curves, _origin(folder, scored))


def _without_score(
    folder: Path, ended: Mapping[str, Evaluation], scored: Mapping[str, Evaluation], failed: Mapping[str, str]
) -> dict[str, str]:
    """The seeds without a score, in order, and why."""
    unscored = {name: "nothing is annotated, no score" for name in ended if name not in scored}
    still_open = {name: reason for name, reason in (unfinished(folder) | {**failed}).items() if name not in scored}
    return dict(sorted((still_open | unscored).items(), key=_by_number))


def summary_path(folder: Path) -> Path:
    """Where the facts of a study are written."""
    return folder / SUMMARY


def _refuse_other_recipes(folder: Path, names: list[str]) -> None:
    recipes = {name: read_yaml(folder / name / results.CONFIG).values for name in names}
    for name, recipe in recipes.items():
        if found := differing(recipes[names[0]], recipe, _OWN):
            where, do = f"{folder / names[0]} and {folder / name}", "Train these in another folder."
            raise UsageError("the seeds differ in more than their numbers", where=where, got="; ".join(found), do=do)


def _curve(run: Path, score_name: str) -> dict[int, float]:
    """Epoch -> score then, as far as `metrics.csv` has them."""
    columns = read_columns(run / "metrics.csv")
    epochs, scores = columns.get("epoch", []), columns.get(score_name, [])
    return {int(epoch): score for epoch, score in zip(epochs, scores, strict=True) if math.isfinite(score)}


def _origin(folder: Path, runs: Mapping[str, Evaluation]) -> str | None:
    start = read_yaml(folder / next(iter(runs)) / results.CONFIG).values.get("start_from")
    return str(start["checkpoint"]) if isinstance(start, dict) and start.get("checkpoint") else None


def _band(epoch: int, scores: list[float]) -> EpochBand:
    values = np.array(scores)
    deviation = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return EpochBand(epoch, len(values), float(values.mean()), deviation, float(values.min()), float(values.max()))


def _without_index(suspect: Suspect) -> dict[str, Any]:
    return {key: value for key, value in asdict(suspect).items() if key != "index"}


def _by_number(item: tuple[str, str]) -> tuple[int, str]:
    number = re.sub(r"\D", "", item[0])
    return int(number or -1), item[0]
