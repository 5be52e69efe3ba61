"""What a run's folder holds, read without trust: a part that is missing or damaged is noted and left out."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vol3d.errors import Vol3dError
from vol3d.files import read_json
from vol3d.report.examples import EXAMPLES

if TYPE_CHECKING:
    from vol3d.engine.task import Metric

MAX_PICTURES = 24
MAX_PICTURE_BYTES = 8 << 20
_PNG = b"\x89PNG\r\n\x1a\n"
T = TypeVar("T")


@dataclass(frozen=True)
class RunFolder:
    """The parts of a run that a report shows.

    Args:
        name: the folder's name.
        metrics: column of `metrics.csv` -> its values in the file's order, NaN where there is none.
        evaluation: the summary in `evaluation.json`, with `score` and `score_name`.
        measured: how the evaluation describes its numbers.
        cases: rows of `cases.csv` as text.
        pictures: caption -> PNG, the worst, median and best first.
        config: `config.yaml` as text.
        checkpoint: `config.json`, the description of the weights.
        faults: what could not be read, one sentence each.
    """

    name: str
    metrics: dict[str, list[float]] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    measured: tuple[Metric, ...] = ()
    cases: list[dict[str, str]] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    config: str = ""
    checkpoint: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @cached_property
    def titles(self) -> dict[str, str]:
        """Key -> what a reader sees instead, for all that was measured."""
        intervals = {one.interval: f"{one.title} interval" for one in self.measured if one.interval}
        return {"lr": "learning rate"} | intervals | {one.key: one.label for one in self.measured}

    def title(self, key: str) -> str:
        """The title of a key; one that nothing is known of keeps its words: `ground_truths` -> `ground truths`."""
        return self.titles.get(key, key.replace("_", " "))


def read_folder(folder: Path) -> RunFolder:
    """Reads whatever of a finished or running run is there."""
    faults: list[str] = []
    scored: dict[str, Any] = _try(_mapping, folder / "evaluation.json", {}, faults)
    return RunFolder(
        name=folder.resolve().name,
        metrics=_try(read_columns, folder / "metrics.csv", {}, faults),
        evaluation=_evaluation(scored),
        measured=_measured(scored.get("metrics", []), faults),
        cases=_try(_rows, folder / "cases.csv", [], faults),
        pictures=_pictures(folder / "pictures", scored.get("captions"), faults),
        config=_try(lambda path: path.read_text("utf-8"), folder / "config.yaml", "", faults),
        checkpoint=_try(_mapping, folder / "config.json", {}, faults),
        faults=faults,
    )


def read_columns(path: Path) -> dict[str, list[float]]:
    """Column of a table such as `metrics.csv` -> its values, NaN where there is none; {} without a file."""
    rows = _rows(path) if path.is_file() else []
    return {name: [number(row.get(name)) for row in rows] for name in (rows[0] if rows else ())}


def number(value: Any) -> float:
    """A float, NaN for whatever is none (text, empty, null, truth values)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _try(read: Callable[[Path], T], path: Path, default: T, faults: list[str]) -> T:
    if not path.is_file():
        return default
    try:
        return read(path)
    except (Vol3dError, OSError, ValueError, csv.Error) as error:
        faults.append(f"{path.name} could not be read: {str(error).removeprefix(f'{path}: ')}")
        return default


def _mapping(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"expected an object, got {type(content).__name__}")
    return content


def _evaluation(content: dict[str, Any]) -> dict[str, Any]:
    summary = content.get("summary")
    scores: dict[str, Any] = {key: content[key] for key in ("score", "score_name") if key in content}
    return {**summary, **scores} if isinstance(summary, dict) else content


def _measured(listed: Any, faults: list[str]) -> tuple[Metric, ...]:
    from vol3d.engine.results import read_metrics  # with torch, which a list of versions must not wait for

    try:
        return read_metrics(listed)
    except ValueError:
        faults.append("the metrics of evaluation.json could not be read, so numbers go by their keys")
        return ()


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, restkey="", restval="")
        return [{key: value for key, value in row.items() if key and isinstance(value, str)} for row in reader]


def _pictures(folder: Path, captions: Any, faults: list[str]) -> dict[str, bytes]:
    """Caption -> PNG; a picture that the evaluation does not caption goes by its name."""
    titles = captions if isinstance(captions, dict) else {}
    files = sorted(folder.glob("*.png"), key=lambda path: (_rank(path.stem), path.name))
    pictures = {}
    for path in files[:MAX_PICTURES]:
        content = _try(lambda path: path.read_bytes()[: MAX_PICTURE_BYTES + 1], path, b"", faults)
        if content.startswith(_PNG) and len(content) <= MAX_PICTURE_BYTES:
            pictures[str(titles.get(path.name, path.stem))] = content
        elif content:
            faults.append(f"{path.name} is not a PNG of at most {MAX_PICTURE_BYTES >> 20} MB")
    if len(files) > MAX_PICTURES:
        faults.append(f"{len(files) - MAX_PICTURES} more pictures are in the folder {folder.name}")
    return pictures


def _rank(stem: str) -> int:
    return next((rank for rank, word in enumerate(reversed(EXAMPLES)) if word in stem.lower()), len(EXAMPLES))
