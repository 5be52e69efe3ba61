"""What every model of volumes does with a person's files, whoever trained it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from medical.datasets.pairs import channel_complaint
from medical.inputs import join_channels, read_scan
from vol3d.engine.task import PredictionTask
from vol3d.errors import DataError, UsageError
from vol3d.scans import find_scans
from vol3d.scans.source import ScanSource
from vol3d.scans.volumes.from_array import volume_of
from vol3d.scans.volumes.volume import Volume


class VolumeTask(PredictionTask[Volume]):
    """Segmentation of volumes: finds and reads them; a task adds `predict` and `mirrored`."""

    result_suffix: ClassVar[str] = ".nii.gz"

    @property
    @abstractmethod
    def channel_names(self) -> tuple[str, ...]:
        """Names of the image's channels."""

    @abstractmethod
    def mirrored(self, axes: str) -> VolumeTask:
        """The same task, averaging over views mirrored along these axes of the scan, some of `ijk`; `` for none.

        Raises:
            UsageError: axes that the model was not trained for.
        """

    def with_options(self, options: Mapping[str, Any]) -> VolumeTask:
        """`mirror`: the axes that predictions are averaged over, some of i, j, k, or `none`; others are known."""
        rest = {name: value for name, value in options.items() if name not in ("dicom_seg", "series")}
        axes = rest.pop("mirror", None)
        super().with_options(rest)
        if axes is None:
            return self
        if axes != "none" and (not axes or set(axes) - set("ijk")):
            raise UsageError("no such axes", where="--mirror", got=axes, wanted="none, or some of i, j and k")
        return self.mirrored("" if axes == "none" else "".join(sorted(set(axes))))

    def find_inputs(self, paths: Sequence[Path]) -> list[ScanSource]:
        """Files, DICOM folders and archives, one entry a scan; files of one channel each are joined."""
        return join_channels(find_scans(paths), self.channel_names)

    def read(self, source: ScanSource) -> Volume:
        """A scan with as many channels as the model takes."""
        return read_scan(source, self.channel_names)

    def scan_of(self, value: Any, affine: np.ndarray | None) -> Volume:
        """Voxels (i, j, k) or (channels, i, j, k) with their affine, RAS millimetres; or a volume that was read."""
        volume = value if isinstance(value, Volume) else volume_of(value, affine)
        if complaint := channel_complaint(volume, self.channel_names):
            do = "This model needs all of its channels in one array."
            raise DataError(complaint.what, where=volume.source or "array", do=do)
        return volume
