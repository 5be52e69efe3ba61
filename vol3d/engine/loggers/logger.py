"""What a logger is: a place, beside `metrics.csv`, that the numbers of a run go to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from vol3d import files
from vol3d.engine.results import CASES, CONFIG, EVALUATION, REPORT
from vol3d.engine.task import Evaluation
from vol3d.errors import DataError

PROJECT = "vol3d"
"""What runs are filed under where the environment names nothing else."""
State = Literal["finished", "stopped", "failed"]
"""How a run leaves: at its end, saved so that it can be resumed, or with an error."""
_IDS = "loggers.json"


@dataclass(frozen=True)
class LoggedRun:
    """What a logger needs to know about a run when it opens.

    Args:
        folder: of the run.
        step: steps done before; a run that begins has 0.
        settings: all of them, nested, as JSON has them.
        say: prints one line.
    """

    folder: Path
    step: int
    settings: Mapping[str, Any]
    say: Callable[[str], None]

    @property
    def name(self) -> str:
        """The last two parts of the folder, `runs/first` or `cv/fold0`."""
        return "/".join(self.folder.resolve().parts[-2:])

    def known_id(self, logger: str) -> str | None:
        """The id under which a logger filed this run before, None if it did not."""
        return self._ids().get(logger)

    def keep_id(self, logger: str, value: str) -> None:
        """Remembers the id in the run's folder, so that a resumed run goes on where it was."""
        if self.known_id(logger) != value:
            files.write_json(self.folder / _IDS, {**self._ids(), logger: value})

    def _ids(self) -> dict[str, str]:
        with suppress(DataError):  # missing or damaged: the run is filed anew
            found = files.read_json(self.folder / _IDS)
            return {name: value for name, value in found.items() if isinstance(value, str)}
        return {}


class Logger(Protocol):
    """Where numbers go. Any method may raise; `Guarded` sees to it that the training goes on."""

    def scalars(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """The numbers of a step, all finite."""

    def ended(self, step: int, evaluation: Evaluation) -> None:
        """The final scores, of the weights of `step`; the `results` lie in the run's folder."""

    def close(self, state: State) -> None:
        """The run leaves; what was logged is complete."""


def results(folder: Path) -> list[Path]:
    """The files of a finished run that are worth keeping with its numbers."""
    return [path for name in (CONFIG, EVALUATION, CASES, REPORT) if (path := folder / name).is_file()]


def final_numbers(evaluation: Evaluation) -> dict[str, float]:
    """The score and every number of the summary, as `final/classes/car/ap`."""
    numbers = {f"final/{evaluation.score_name}": evaluation.score, **flat_numbers(evaluation.summary, "final/")}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def flat_numbers(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers in a nested dictionary.

    >>> flat_numbers({"dice": 0.9, "classes": {"liver": {"dice": 1, "name": "x"}}}, "final/")
    {'final/dice': 0.9, 'final/classes/liver/dice': 1.0}
    """
    return {name: float(value) for name, value in _leaves(tree, prefix, "/") if _is_number(value)}


def flat_settings(tree: Mapping[str, Any]) -> dict[str, str]:
    """Settings by their full names, as text.

    >>> flat_settings({"train": {"epochs": 3, "amp": "off"}, "start_from": None})
    {'train.epochs': '3', 'train.amp': 'off', 'start_from': 'None'}
    """
    return {name: str(value) for name, value in _leaves(tree, "", ".")}


def _leaves(tree: Mapping[str, Any], prefix: str, between: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}{between}", between)
        else:
            yield f"{prefix}{key}", value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
