"""Which cases a report shows first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from vol3d.report.folder import number

if TYPE_CHECKING:
    from vol3d.engine.task import Metric

Row = TypeVar("Row", bound=Mapping[str, Any])


def worst_first(rows: Sequence[Row], metrics: Sequence[Metric]) -> tuple[list[Row], list[Row]]:
    """The rows by the first metric that cases have, the worst first; and those without a number of it, as they come."""
    keys = {key for row in rows for key in row}
    metric = next((one for one in metrics if one.by_case and one.better and one.key in keys), None)
    if metric is None:
        return [], list(rows)
    scored = [row for row in rows if math.isfinite(number(row.get(metric.key)))]
    rest = [row for row in rows if not math.isfinite(number(row.get(metric.key)))]
    return sorted(scored, key=lambda row: number(row[metric.key]), reverse=metric.better == "lower"), rest
