"""Answers of a teacher on the disk, one file of each sample, for training sets that never change."""

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
    """A folder of answers.

    Args:
        folder: made if it is not there.
        facts: whatever the answers depend on, JSON-ready; other facts have another folder below.
    """

    def __init__(self, folder: Path, facts: Any) -> None:
        self.folder = folder / hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        files.make_folder(self.folder)

    def knows(self, names: Sequence[str]) -> bool:
        """Whether all these samples were asked about."""
        return all(self._path(name).is_file() for name in names)

    def read(self, names: Sequence[str]) -> list[TeacherOutput]:
        """What was said of these samples, on the CPU.

        Raises:
            CheckpointError: a file is damaged.
        """
        try:
            return [read_weights(self._path(name)) for name in names]
        except CheckpointError as error:
            do = "Delete it: the teacher answers again."
            raise CheckpointError("a damaged answer of distill.cache", where=error.where, do=do) from error

    def write(self, names: Sequence[str], answers: Sequence[TeacherOutput]) -> None:
        """Keeps what was said; what is there already stays, so that a run that goes on sees the same."""
        for name, answer in zip(names, answers, strict=True):
            if not self._path(name).is_file():
                with files.atomic(self._path(name)) as temporary:
                    save_file({key: value.detach().cpu().contiguous() for key, value in answer.items()}, temporary)

    def _path(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.safetensors"
