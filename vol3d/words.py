"""Words that a person types -> the settings that they stand for: short ones, and those of other toolboxes as hints."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vol3d.errors import UsageError

SHORT = {
    "data": "data.root",
    "fold": "data.fold",
    "epochs": "train.epochs",
    "time": "train.hours",
    "batch": "train.batch",
    "workers": "train.workers",
    "seed": "train.seed",
    "lr": "optim.lr",
}
"""Short words of a training, and the settings that they stand for."""

ELSEWHERE = {
    "learning_rate": "optim.lr",
    "lr0": "optim.lr",
    "base_lr": "optim.lr",
    "batch_size": "train.batch",
    "samples_per_gpu": "train.batch",
    "batch_size_per_gpu": "train.batch",
    "num_epochs": "train.epochs",
    "max_epochs": "train.epochs",
    "n_epochs": "train.epochs",
    "num_workers": "train.workers",
    "workers_per_gpu": "train.workers",
    "val_interval": "train.evaluate_every",
    "optimizer": "optim.name",
    "max_norm": "optim.clip",
    "grad_clip": "optim.clip",
    "mixed_precision": "train.amp",
    "fp16": "train.amp",
    "random_seed": "train.seed",
    "data_root": "data.root",
    "dataroot": "data.root",
    "dataset": "data.name",
    "pretrained": "start_from",
    "load_from": "start_from",
    "weights": "start_from",
    "roi_size": "window.size",
    "patch_size": "window.size",
}
"""Names of settings in other toolboxes, and what they are called here."""

_SETTING = re.compile(r"[A-Za-z_]\w*(\.\w+)*\s*=.*", re.DOTALL)
_TIME = re.compile(r"(\d+\.?\d*|\.\d+)\s*(h|min|s|)")
_IN_HOURS = {"": 1.0, "h": 1.0, "min": 1 / 60, "s": 1 / 3600}


def is_setting(word: str) -> bool:
    """Whether a word of the command line has the form `key.path=value`."""
    return _SETTING.fullmatch(word) is not None


def spelled_out(words: Sequence[str]) -> list[str]:
    """The words with full names: `lr=1e-3` is `optim.lr=1e-3`, and `time=6min` is `train.hours=0.1`.

    `data=PATH` is the folder; `data={name: msd, root: PATH}` stays the whole block.

    >>> spelled_out(["epochs=3", "model.depth=6", "time=90s"])
    ['train.epochs=3', 'model.depth=6', 'train.hours=0.025']
    """
    return [_spelled_out(word) for word in words]


def _spelled_out(word: str) -> str:
    key, equals, value = word.partition("=")
    name = key.strip()
    if not equals or name not in SHORT or (name == "data" and value.lstrip().startswith("{")):
        return word
    return f"{SHORT[name]}={_hours(value, word) if name == 'time' else value}"


def _hours(value: str, word: str) -> str:
    """A duration in hours; what is none, such as `null`, is left to the setting's own check."""
    found = _TIME.fullmatch(value.strip())
    if found:
        return f"{float(found[1]) * _IN_HOURS[found[2]]:.10g}"
    if value.strip() == "null":
        return value
    raise UsageError("not a duration", where=f"'{word}'", wanted="hours, or a number with h, min or s: time=6min")
