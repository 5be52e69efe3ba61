"""What every model of volumes does with a person's files, whoever trained it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn

from medical.datasets.pairs import channel_complaint
from medical.inputs import join_channels, read_scan, without_masks
from medical.results.formats import writers
from medical.results.options import VolumeSettings, chosen_classes, chosen_formats
from vol3d.engine.task import PredictionTask, Windows
from vol3d.errors import DataError, UsageError
from vol3d.layouts import only_scans
from vol3d.notes import Note
from vol3d.prediction import Beside, MaskPrediction, Unfinished
from vol3d.scans import find_scans
from vol3d.scans.source import ScanSource
from vol3d.scans.volumes.from_array import volume_of
from vol3d.scans.volumes.probabilities import Probabilities, on_disk
from vol3d.scans.volumes.volume import Volume
from vol3d.terminal import say
from vol3d.view.theme import require_background


def warn_of(scan: Volume, notes: Iterable[Note]) -> None:
    """Prints what a person must know before a long prediction; the notes also come with its result."""
    for note in notes:
        say(f"warning: {scan.source or 'array'}: {note}")


class VolumeTask(PredictionTask[Volume]):
    """Segmentation of volumes: finds and reads them; a task adds `segmented` and `mirrored`."""

    settings: VolumeSettings
    windowless: bool = False
    """Whether a scan is seen whole, so that `predict.fast` has nothing to leave out."""
    result_suffix: ClassVar[str] = ".nii.gz"
    unrecorded: ClassVar[frozenset[str]] = frozenset({"predict.formats", "predict.smooth", "predict.background"})

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
        """`mirror`: the axes that predictions are averaged over, some of i, j, k, or `none`; and `MaskSettings`.

        Raises:
            UsageError: `fast` of a model without windows, or with mirrored views; as the base's.
        """
        rest = {name: value for name, value in options.items() if name not in ("dicom_seg", "series")}
        axes = rest.pop("mirror", None)
        wanted: dict[str, Any] = {}
        if (words := rest.pop("formats", None)) is not None:
            wanted["formats"] = chosen_formats(words)
        if (words := rest.pop("roi", None)) is not None:
            wanted["roi"] = chosen_classes(words, self.class_names)
        if (rounds := rest.pop("smooth", None)) is not None:
            wanted["smooth"] = rounds
        if (word := rest.pop("background", None)) is not None:
            wanted["background"] = require_background(word)
        if rest.pop("fast", None):
            wanted["fast"] = self._may_be_fast(axes)
        super().with_options(rest)
        task = self._wanting(wanted) if wanted else self
        return task if axes is None else task._mirrored(axes)

    def _may_be_fast(self, axes: str | None) -> Literal[True]:
        if self.windowless:
            raise UsageError("the model has no windows that could overlap less", where="--fast", got=self.name)
        if axes not in (None, "none"):
            raise UsageError("--fast averages no mirrored views", where="--mirror", got=axes, wanted="none")
        return True

    def _wanting(self, wanted: Mapping[str, Any]) -> VolumeTask:
        task = copy(self)
        predict = self.settings.predict.model_copy(update=wanted)
        task.settings = self.settings.model_copy(update={"predict": predict})
        return task

    def _mirrored(self, axes: str) -> VolumeTask:
        if axes != "none" and (not axes or set(axes) - set("ijk")):
            raise UsageError("no such axes", where="--mirror", got=axes, wanted="none, or some of i, j and k")
        return self.mirrored("" if axes == "none" else "".join(sorted(set(axes))))

    def find_inputs(self, paths: Sequence[Path]) -> list[ScanSource]:
        """Files, DICOM folders and archives, one entry a scan; files of one channel each are joined.

        Of a data set's folder its scans are taken. Masks beside their scans in a folder are left out, and printed.
        """
        found = join_channels(only_scans(find_scans(paths), paths), self.channel_names)
        scans = without_masks(found, paths)
        kept = set(scans)
        for source in found:
            if source not in kept:
                say(f"{source.path}: left out, a mask by its name and its voxels; name the file to predict it")
        return scans

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

    def writers(self, source: ScanSource) -> dict[str, Beside]:
        """Suffix -> what writes each of `settings.predict.formats`."""
        return writers(self.settings.predict, self.class_names, source)

    def room_for(self, scan: Volume, names: tuple[str, ...], exclusive: bool) -> Probabilities | None:
        """Where the probabilities of a scan's voxels go; None where no format asks for them."""
        return on_disk(scan.grid.shape, names, exclusive) if self.settings.predict.wants_probabilities else None

    @abstractmethod
    def segmented(
        self, models: Sequence[nn.Module], scan: Volume, device: torch.device, progress: Windows | None = None
    ) -> MaskPrediction:
        """A mask of all classes on the scan's own grid; see `predict`."""

    def predict(
        self,
        models: Sequence[nn.Module],
        scan: Volume,
        device: torch.device,
        progress: Windows | None = None,
        unfinished: Unfinished | None = None,
    ) -> MaskPrediction:
        """A mask of the classes in `settings.predict.roi`; the others are background, and the labels stay theirs.

        Probabilities are those of all classes.
        """
        prediction, roi = self.segmented(models, scan, device, progress), self.settings.predict.roi
        if not roi:
            return prediction
        found = prediction.segmentation
        table = np.array([number if name in roi else 0 for number, name in enumerate(found.class_names)])
        labels = table.astype(found.labels.dtype)[found.labels]
        template, classes = "only {value}; classes of the model: {classes}", {"classes": len(table) - 1}
        note = Note("roi", template, "roi", ", ".join(roi), numbers=classes)
        return replace(prediction, segmentation=replace(found, labels=labels, notes=(*found.notes, note), roi=roi))
