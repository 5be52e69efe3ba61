"""A teacher's outputs on disk, one file for each scene: what it predicts of the scene as it lies, undistorted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from pointcloud.distill.methods import TeacherOutput
from vol3d import files
from vol3d.checkpoint import read_weights
from vol3d.errors import CheckpointError


class KeptOutputs:
    """A folder of cached outputs.

    Args:
        folder: created if it does not exist.
        facts: whatever the outputs depend on, JSON-ready; other facts have another folder below.
    """

    def __init__(self, folder: Path, facts: Any) -> None:
        self.folder = folder / hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        files.make_folder(self.folder)

    def knows(self, name: str) -> bool:
        """Whether the output for this scene is there."""
        return self._path(name).is_file()

    def read(self, names: Sequence[str]) -> list[TeacherOutput]:
        """The outputs for these scenes, on the CPU.

        Raises:
            CheckpointError: a file is damaged, or has been removed since the batch was made.
        """
        try:
            return [read_weights(self._path(name)) for name in names]
        except CheckpointError as error:
            what, do = "a damaged file of distill.cache", "Delete it: the teacher computes it again."
            if error.where is not None and not Path(str(error.where)).exists():
                what, do = "a file of distill.cache is gone", "Start again: the teacher computes it again."
            raise CheckpointError(what, where=error.where, do=do) from error

    def write(self, names: Sequence[str], outputs: Sequence[TeacherOutput]) -> None:
        """Stores the outputs; a file that exists stays, so that a resumed run sees the same."""
        for name, output in zip(names, outputs, strict=True):
            if not self._path(name).is_file():
                with files.atomic(self._path(name)) as temporary:
                    save_file({key: value.detach().cpu().contiguous() for key, value in output.items()}, temporary)

    def _path(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.safetensors"
