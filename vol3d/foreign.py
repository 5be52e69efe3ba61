"""Models that are no checkpoints, folders of other toolboxes and ONNX files: `predict` takes them as they are.

`catalog.FOREIGN` lists the kinds. The files in a folder, or the name of a file, show which kind it is, and a function
for that kind loads it as a `Model` like any other, with the same files, notes and records of its results.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vol3d import catalog
from vol3d.paths import user_path

if TYPE_CHECKING:
    import torch

    from vol3d.catalog import ForeignKind
    from vol3d.model import Model

OWN = ("best.safetensors", "fold*/best.safetensors", "seed*/best.safetensors")
"""What a folder of vol3d's own models holds."""


class Load(Protocol):
    """Opens a folder, or a file, of one kind."""

    def __call__(self, folder: Path, device: torch.device, changes: Sequence[str]) -> Model:
        """The model, ready to predict on `device`.

        Its task is a `PredictionTask` whose settings are a `PredictionSettings`, changed by `changes`, words
        `key.path=value` (`vol3d.config.changed`). Its `info` has an entry for each file of weights with its `sha256`
        and the `settings` that stand where nobody changed them. No code of the folder is run.

        Raises:
            UsageError: a change that is no setting.
            CheckpointError: damaged, incomplete, or of a kind that is not known.
        """
        ...


class Card(Protocol):
    """Says what a folder holds."""

    def __call__(self, folder: Path) -> dict[str, Any]:
        """Name -> value for a reader, ready for JSON, without reading weights or importing torch.

        Raises:
            CheckpointError: what the folder says about itself cannot be read.
        """
        ...


def kind_of(where: str | Path) -> ForeignKind | None:
    """The kind of a folder or a file; None for checkpoints of vol3d and for anything else."""
    if str(where) in catalog.shipped():
        return None
    folder = user_path(where)
    if folder.is_file():
        kinds = catalog.FOREIGN.values()
        return next((kind for kind in kinds if any(folder.match(pattern) for pattern in kind.files)), None)
    if not folder.is_dir() or _matches(folder, OWN):
        return None
    return next((kind for kind in catalog.FOREIGN.values() if _matches(folder, kind.marks)), None)


def load(kind: ForeignKind, where: str | Path, device: torch.device, changes: Sequence[str]) -> Model:
    """The model in a folder or a file; raises as `Load`."""
    opened: Model = catalog.load(kind.load)(user_path(where), device, changes)
    return opened


def card(kind: ForeignKind, where: str | Path) -> dict[str, Any]:
    """What a folder is; raises as `Card`."""
    said: dict[str, Any] = catalog.load(kind.card)(user_path(where))
    return said


def _matches(folder: Path, patterns: Sequence[str]) -> bool:
    return any(next(folder.glob(pattern), None) is not None for pattern in patterns)
