"""A run's folder with a network that has learnt nothing."""

from __future__ import annotations

from pathlib import Path

from vol3d.checkpoint import save_best
from vol3d.engine.task import Evaluation, ModelTask


def save_untrained(folder: Path, task: ModelTask) -> str:
    """The checkpoint of a fresh model of the task, as a word of the command line."""
    folder.mkdir(parents=True)
    save_best(folder, task.model(), task, Evaluation(0.5, "a_score", {}), 1)
    return str(folder)
