"""A data set of volumes in the layout of another program; the originals are only read, and nothing is resampled.

nnU-Net's raw data (`medical.datasets.nnunet` reads it back):

    OUT/dataset.json                 written last: without it the export is not complete
    OUT/imagesTr/NAME_0000.nii.gz    one file for each channel of all labelled cases
    OUT/labelsTr/NAME.nii.gz         uint8; voxels to ignore have the number after the last class
    OUT/imagesTs/NAME_0000.nii.gz    the cases that are predicted only; labelsTs, where they have labels all the same
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medical.classes import Classes
from medical.datasets.cases import IGNORED, Case, DataSplit, visible
from medical.datasets.pairs import channel_complaint, read_image, read_pair
from vol3d.dataset_tools.fault import listed
from vol3d.dataset_tools.prepare import Refused
from vol3d.dataset_tools.processes import over_cases
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.files import make_folder, remove_leftovers, write_json
from vol3d.lock import lock
from vol3d.scans.volumes.units import MM
from vol3d.scans.volumes.volume import Grid, Volume
from vol3d.scans.write import write_nifti
from vol3d.terminal import Progress, say

DOCUMENT, ENDING = "dataset.json", ".nii.gz"
TRAINING, TESTS = ("imagesTr", "labelsTr"), ("imagesTs", "labelsTs")


@dataclass(frozen=True)
class Export:
    """A case, and the folders of its images and its label."""

    case: Case
    images: Path
    labels: Path

    @property
    def name(self) -> str:
        """That of the case."""
        return self.case.name

    def files(self, channels: int) -> list[Path]:
        """One for each channel, then the label where there is one."""
        images = [self.images / f"{self.name}_{number:04d}{ENDING}" for number in range(channels)]
        return images if self.case.label is None else [*images, self.labels / f"{self.name}{ENDING}"]


def export_nnunet(split: DataSplit, out: Path, workers: int | None, progress: Progress | None) -> None:
    """Writes a data set as nnU-Net's raw data into the folder `out`, which is new or of an export that was stopped.

    Args:
        workers: processes; 0 works in this one, None takes one per core.
        progress: called after each case.

    Raises:
        DataError: a case has a fault; the others are written before it is raised, and `dataset.json` is not.
        UsageError: the folder holds other files.
        Vol3dError: it cannot be written.
    """
    cases = [_export(case, out, TRAINING) for case in split.require().labelled]
    cases += [_export(case, out, TESTS) for case in split.test]
    _refuse_originals(cases, out)
    _refuse_others(out, {path for one in cases for path in one.files(len(split.channel_names))})
    make_folder(out)
    if not re.fullmatch(r"Dataset\d{3}_.+", out.resolve().name):
        say(f"warning: nnU-Net wants a folder called DatasetXXX_Name with three digits, not {out.name}")
    names = split.class_names, split.channel_names
    with lock(out):
        for folder in {path.parent for one in cases for path in one.files(1)}:
            remove_leftovers(make_folder(folder))
        made = over_cases(partial(export_case, names=names), cases, workers, progress)
        refused = [f"{one.name}: {no.why}" for one, no in zip(cases, made, strict=True) if no is not None]
        if refused:
            what = f"{len(refused)} of {len(cases)} cases cannot be exported"
            do = "Repair or remove them and run the same command again."
            raise DataError(what, where=split.name, got=listed(refused, 3), do=do)
        write_json(out / DOCUMENT, document_of(split))


def _export(case: Case, out: Path, folders: tuple[str, str]) -> Export:
    return Export(case, *(out / name for name in folders))


def export_case(export: Export, names: tuple[Sequence[str], Sequence[str]]) -> Refused | None:
    """Writes the files of one case; returns what is wrong with its data, None if nothing is.

    Args:
        names: of the classes and of the channels.
    """
    try:
        image, label = _read(export.case, *names)
    except Vol3dError as error:
        return Refused(str(error))
    grid, files = _in_mm(image.grid), export.files(len(image.array))
    for path, channel in zip(files, image.array, strict=False):
        write_nifti(path, Volume(_narrow(channel)[None], grid))
    if label is not None:
        ignored = export.case.ignore is not None
        array = np.where(label.array == IGNORED, len(names[0]), label.array) if ignored else label.array
        write_nifti(files[-1], Volume(array.astype(np.uint8), grid))
    return None


def document_of(split: DataSplit) -> dict[str, Any]:
    """nnU-Net's `dataset.json`.

    Of regions the order is that of `regions_class_order`: where they overlap, the later ones are written over the
    earlier.
    """
    classes = Classes(split.class_names, split.regions)
    labels: dict[str, Any] = {split.class_names[0]: 0}
    labels |= {name: numbers[0] if len(numbers) == 1 else list(numbers) for name, numbers in classes.scored.items()}
    if any(case.ignore is not None for case in split.labelled):
        labels["ignore"] = len(split.class_names)
    regions = {} if classes.regions is None else {"regions_class_order": list(classes.written_labels)}
    channels = {str(number): name for number, name in enumerate(split.channel_names)}
    counts = {"numTraining": len(split.labelled), "file_ending": ENDING}
    return {"name": split.name, "channel_names": channels, "labels": labels, **regions, **counts}


def _read(case: Case, class_names: Sequence[str], channel_names: Sequence[str]) -> tuple[Volume, Volume | None]:
    if case.label is not None:
        return read_pair(case, class_names, channel_names)
    image = read_image(case.images)
    if wrong := channel_complaint(image, channel_names):
        raise DataError(wrong.what, where=case.name, do=wrong.do)
    return image, None


def _in_mm(grid: Grid) -> Grid:
    """The grid as every reader understands it; its own codes and numbers where its unit is the millimetre."""
    return grid if grid.xyzt_units & 7 == MM else Grid(grid.shape, grid.affine)


def _narrow(channel: np.ndarray) -> np.ndarray:
    """Whole numbers (i, j, k) as int16, which CT fits into and needs half of the disk; others as they are."""
    limits = np.iinfo(np.int16)
    if channel.size and limits.min <= channel.min() and channel.max() <= limits.max:
        narrow = channel.astype(np.int16)
        return narrow if np.array_equal(narrow, channel) else channel
    return channel


def _refuse_originals(cases: Sequence[Export], out: Path) -> None:
    """Raises UsageError if the data set lies in the folder: an image could be written over itself."""
    originals = [path for one in cases for path in (*one.case.images, one.case.label) if path is not None]
    inside = [path for path in originals if out.resolve() in path.resolve().parents]
    if inside:
        what, do = "the data set itself is in the folder for the export", "Choose a new folder."
        raise UsageError(what, where=out, got=listed(inside, 3), do=do)


def _refuse_others(out: Path, ours: set[Path]) -> None:
    """Raises UsageError if the folder holds anything but what an export that was stopped left there."""
    folders = {path.parent for path in ours}
    found = [path for folder in (out, *sorted(folders)) for path in visible(folder)]
    foreign = [path for path in found if path not in ours | folders]
    if foreign:
        do = "Choose a new folder."
        raise UsageError("the folder for the export is not empty", where=out, got=listed(foreign, 3), do=do)
