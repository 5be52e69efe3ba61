"""`last.pt`, the point from which a run goes on: written whole with its own SHA-256, read without trust."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vol3d import files
from vol3d.checkpoint import read_weights
from vol3d.errors import CheckpointError, UsageError

LAST = "last.pt"
FORMAT = 1
# What may change between a stop and its resume: it decides where and how fast the run works, not what it learns.
HARMLESS = {
    *("train.workers", "train.save_every_s", "train.evaluate_every", "train.channels_last", "train.loggers"),
    "train.background",
    "data.root",
    # A teacher's fingerprint shows whether it is the same.
    *("unlabelled.root", "unlabelled.teacher", "distill.teacher", "distill.cache"),
    "start_from.sha256",  # the resume point has the weights
}
PREDICTION = "predict."
"""Settings that begin so say how files are predicted, and nothing about what a run learns."""
UNKNOWN = ("distill.sha256", None)  # a teacher that is gone: a run that still needs it fails
_MARK = b"\nvol3d-sha256:"
_TRAILER = len(_MARK) + 64


@dataclass
class ResumePoint:
    """Where a run stands.

    Args:
        step: optimiser steps done.
        evaluated: the step of the last evaluation, -1 before the first.
        best: highest score so far, None before the first evaluation.
        best_step: the step that reached it.
        sums: numbers of the log row under way, added up.
        state: weights, optimiser, averages and scaler.
        about: the file's own description; `about["run"]` must not change between a stop and its resume.
    """

    step: int = 0
    evaluated: int = -1
    best: float | None = None
    best_step: int = -1
    sums: dict[str, float] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)


def save(folder: Path, point: ResumePoint) -> None:
    """Writes `last.pt`: a torch archive, and its SHA-256 in a trailer that torch does not see."""
    path = folder / LAST
    with files.atomic(path) as temporary:
        with temporary.open("wb") as file:
            # To an open file, since torch hides a full disk when it opens the file itself.
            torch.save({"resume_format": FORMAT, **vars(point)}, file)
        digest = files.sha256(temporary)
        with temporary.open("ab") as file:
            file.write(_MARK + digest.encode())


def read(folder: Path) -> ResumePoint | None:
    """The point in `folder`, or None where no run has saved yet.

    Raises:
        CheckpointError: damaged, or of another release.
    """
    path = folder / LAST
    if not path.exists():
        return None
    do = "Move it away to start again from the first step, or put back a copy."
    if not _is_whole(path):
        raise CheckpointError("damaged: the SHA-256 at its end is missing or differs", where=path, do=do)
    content = read_weights(path)
    if not isinstance(content, dict) or content.pop("resume_format", None) != FORMAT:
        raise CheckpointError("saved by another release", where=path, do=do)
    return ResumePoint(**content)


def _is_whole(path: Path) -> bool:
    size = path.stat().st_size - _TRAILER
    if size < 0:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size:
            piece = file.read(min(size, 1 << 20))
            if not piece:
                return False
            digest.update(piece)
            size -= len(piece)
        return file.read() == _MARK + digest.hexdigest().encode()


def check_same_run(stored: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Refuses to go on with other settings.

    Raises:
        UsageError: names every key that differs, with both values.
    """
    if found := differing(stored, now):
        do = "Give the old settings to go on, or another folder for a new run."
        raise UsageError(f"the run in it has other settings ({'; '.join(found)})", where=folder, do=do)


def differing(stored: dict[str, Any], now: dict[str, Any], but: Collection[str] = ()) -> list[str]:
    """Settings that differ and decide what a run learns, `key: one -> other`; those in `but` may differ."""
    before, after = _flat(stored), _flat(now)
    return [
        f"{key}: {before.get(key, 'not set')} -> {after.get(key, 'not set')}"
        for key in dict.fromkeys([*before, *after])
        if not (_alike(before, after, key) or _is_harmless(key) or key in but) and (key, after.get(key)) != UNKNOWN
    ]


def _is_harmless(key: str) -> bool:
    return key in HARMLESS or key.startswith(PREDICTION)


def _alike(before: dict[str, Any], after: dict[str, Any], key: str) -> bool:
    """Whether a setting is the same; one that an earlier release did not have is the same as an empty one."""
    if key in before and key in after:
        return before[key] == after[key]
    return (before | after)[key] in (None, [], {})


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {k: v for key, item in value.items() for k, v in _flat(item, f"{prefix}{key}.").items()}
    return {prefix.removesuffix("."): value}
