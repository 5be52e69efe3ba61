"""What an evaluation measured, and how a reader is to see its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Metric:
    """One kind of number in an evaluation, and how a reader is to see it.

        >>> Metric("hd95_mm", "HD95", unit="mm", better="lower").label
        'HD95 (mm)'

    Args:
        key: what the summary, its tables and the rows call it, `hd95_mm`.
        title: what the reader sees, without the unit.
        unit: `mm`, or None for a share or a count.
        better: which values are the better ones, None where neither is.
        interval: key of its 95 % confidence interval [low, high], which stands beside it.
        headline: whether a report shows it next to the score.
        by_case: whether a report draws its distribution over the cases.
    """

    key: str
    title: str
    unit: str | None = None
    better: Literal["higher", "lower"] | None = None
    interval: str | None = None
    headline: bool = False
    by_case: bool = False

    @property
    def label(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True)
class Evaluation:
    """What a model scored on a data set.

    Args:
        score: the one number that ranks checkpoints, higher is better.
        score_name: what it is, `mean_dice`; empty where nothing is scored.
        summary: JSON-ready totals, printed by `vol3d evaluate --json`.
        rows: one JSON-ready dict per case and class, written as CSV.
        pictures: title -> PNG bytes for the report (best, median, worst case ...).
        metrics: what keys of the summary and the rows mean; a key without one is shown as it is.
    """

    score: float
    score_name: str
    summary: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()

    def _repr_html_(self) -> str:
        """In a notebook: the score, and the table of the classes."""
        from vol3d.report.inline import evaluation_html

        return evaluation_html(self)
