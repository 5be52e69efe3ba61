"""vol3d: 3D vision on point clouds and medical volumes. Importing it does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

__version__ = "0.1.0"


def load_released(name: str, path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """A model with the weights that the paper's authors or a common toolbox released, giving the original's numbers.

    The file is read without running code of it and strictly: every tensor is used, or known to be unused and ignored.

    Args:
        name: which model, `unetr`; `vol3d models` lists them.
        path: the released file.
        settings: what the file does not tell, such as the window of a UNETR that was not trained on cubes.

    Raises:
        UsageError: no such name.
        CheckpointError: the file is damaged, or a tensor is missing, unknown or of a wrong shape.
    """
    from vol3d import catalog

    entry = catalog.find(name, catalog.RELEASED, "released model")
    return catalog.load(entry.target)(name, path, settings)
