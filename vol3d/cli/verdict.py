"""What a dry run means for a person: how long, how much memory, what will be written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vol3d.terminal import counted, rough

_TERMS = 6  # of a loss that are listed one by one


def rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """The table of a dry run, each row with its unit; of a loss with many terms their sum and number."""
    terms = summary["loss"]
    loss = [[f"loss: {name}", f"{value:.4f}"] for name, value in terms.items()]
    if len(loss) > _TERMS:
        loss = [["loss", f"{sum(terms.values()):.4f}, the sum of {len(terms)} terms (--json lists them)"]]
    return [
        ["training samples", f"{summary['training_samples']:,}"],
        ["parameters", f"{summary['parameters']:,}"],
        *loss,
        ["time to read the samples of a step", duration(summary["seconds_data_per_step"])],
        ["time for a step", duration(summary["seconds_per_step"]) + _of_fewer(summary, ", in proportion to{}")],
        ["time to evaluate a case", duration(summary["seconds_per_evaluated_case"]) + _of_a_part(summary)],
        ["evaluated cases", f"{summary['evaluated_cases']:,}"],
        ["weights, gradients and optimiser", size(summary["mb_weights_gradients_optimiser"])],
    ]


def verdict(summary: Mapping[str, Any], out: Path) -> list[str]:
    """Sentences with numbers: time, memory, and what the run writes into `out`."""
    steps, epoch = summary["steps"], summary["steps_per_epoch"]
    written_mb = summary["mb_checkpoint"] + summary["mb_resume_point"]
    parent = next(folder for folder in (out, *out.resolve().parents) if folder.is_dir())
    free_mb = shutil.disk_usage(parent).free / 1e6
    files = (
        f"best.safetensors ({size(summary['mb_checkpoint'])}), last.pt ({size(summary['mb_resume_point'])}), "
        "metrics, pictures and a report"
    )
    fits = f"{size(free_mb)} are free" if written_mb < free_mb else f"NOT ENOUGH ROOM: {size(free_mb)} are free"
    peak = f"memory: {size(summary['mb_peak'])} at the peak" if summary["mb_peak"] else "memory: not measured here"
    peak += _of_fewer(summary, ", with{}: a whole step takes more")
    return [
        f"time: about {duration(summary['hours_estimated'] * 3600)} for {counted(steps, 'step')} "
        f"({rough(steps / epoch)} epochs of {epoch:,}) and the evaluations{_over_time(summary)}",
        f"{peak}; loader processes (train.workers) come on top",
        f"writes: about {size(written_mb)} into {out}: {files}; {fits}",
    ]


def _of_fewer(summary: Mapping[str, Any], text: str) -> str:
    """That a slow step was tried with some of its cases only."""
    tried, whole = summary["cases_tried"], summary["cases_per_step"]
    return text.format(f" {tried} of its {counted(whole, 'case')}") if tried < whole else ""


def _of_a_part(summary: Mapping[str, Any]) -> str:
    """That a slow case was evaluated in part only."""
    share = summary["share_of_case_tried"]
    return f", in proportion to {share:.0%} of its windows" if share < 1 else ""


def _over_time(summary: Mapping[str, Any]) -> str:
    """That `train.hours` is too short, where an evaluation and a step take longer."""
    asked, needed = summary["hours_asked"], summary["hours_estimated"]
    if asked is None or needed <= 1.1 * asked:
        return ""
    evaluation = duration(summary["seconds_per_evaluated_case"] * summary["evaluated_cases"])
    return f"; LONGER than the {duration(asked * 3600)} asked for: an evaluation alone takes {evaluation}"


def duration(seconds: float) -> str:
    """A time as a person says it.

    >>> [duration(s) for s in (0.0123, 7.25, 160, 5400, 200000)]
    ['12 ms', '7.2 s', '2 min 40 s', '1 h 30 min', '2 d 7 h']
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def size(megabytes: float) -> str:
    """A number of 10^6 bytes as a person says it.

    >>> [size(mb) for mb in (0.25, 12.3, 4321)]
    ['250 kB', '12 MB', '4.3 GB']
    """
    if megabytes < 1:
        return f"{megabytes * 1000:.0f} kB"
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
