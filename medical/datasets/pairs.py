"""An image with its label, read and accepted only if they belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medical.datasets.cases import IGNORED, Case
from medical.datasets.label_names import by_name
from medical.datasets.lattice import on_lattice
from vol3d.dataset_tools.fault import listed
from vol3d.engine.trained_on import key_of
from vol3d.errors import DataError
from vol3d.scans.read import read_labels, read_volume
from vol3d.scans.volumes.volume import Grid, Volume

TOLERANCE = 0.05  # of a voxel: what headers of one scan differ by after tools have rounded them


class Complaint(NamedTuple):
    """What is wrong, what to do, and the code of such faults."""

    what: str
    do: str
    code: str


def read_image(paths: Sequence[Path], *, fill_nonfinite: float | None = None) -> Volume:
    """The channels (c, i, j, k) of a case, from one file or folder with all of them or from one each.

    Raises:
        DataError: the reader's, or files whose grids differ.
    """
    first, *others = (read_volume(path, fill_nonfinite=fill_nonfinite) for path in paths)
    for path, other in zip(paths[1:], others, strict=True):
        wrong = grid_complaint(first.grid, other.grid, "channel")
        if wrong:
            raise DataError(wrong.what, where=path, do=wrong.do)
    if not others:
        return first
    notes = tuple(dict.fromkeys(note for volume in (first, *others) for note in volume.notes))
    return replace(first, array=np.concatenate([first.array, *(other.array for other in others)]), notes=notes)


def scan_key(paths: Sequence[Path]) -> str:
    """What the scan in the files of a case is known by, see `key_of`; raises as `read_image`."""
    return key_of(read_image(paths).array)


def read_pair(case: Case, class_names: Sequence[str], channel_names: Sequence[str]) -> tuple[Volume, Volume]:
    """Image (c, i, j, k) float32 and label (1, i, j, k) on its grid, uint8 where 256 classes suffice.

    Voxels that the data set ignores are `IGNORED`.

    Raises:
        DataError: the reader's; no label; another number of channels; different grids; a label that is no class.
    """
    if case.label is None:
        raise DataError("the case has no label", where=case.name)
    image, label = read_image(case.images), by_name(read_labels(case.label), class_names, case.ignore)
    label = on_lattice(label, image.grid, TOLERANCE)
    for wrong in (
        channel_complaint(image, channel_names),
        grid_complaint(image.grid, label.grid, "label"),
        label_complaint(label.array[0], class_names, case.ignore),
    ):
        if wrong:
            raise DataError(wrong.what, where=f"{case.name} ({case.label})", do=wrong.do)
    return image, ignoring(label, case.ignore)


def ignoring(label: Volume, ignore: int | None) -> Volume:
    """The label with the voxels of the number `ignore` as `IGNORED`; itself where nothing is ignored."""
    if ignore is None:
        return label
    array = np.where(label.array == ignore, IGNORED, label.array)
    return label.with_array(array.astype(np.uint8))


def channel_complaint(image: Volume, channel_names: Sequence[str]) -> Complaint | None:
    """Not as many channels as there are names."""
    if len(image.array) == len(channel_names):
        return None
    what = f"the image has {len(image.array)} channels, the data set {len(channel_names)} ({', '.join(channel_names)})"
    return Complaint(what, "Name each channel in the data set's JSON, or replace the image.", "other-channels")


def grid_complaint(image: Grid, other: Grid, kind: str) -> Complaint | None:
    """`other`, a label or a channel, does not stand where the image stands; both grids are printed."""
    if image.shape != other.shape:
        what = f"image and {kind} have different shapes, {image.shape} and {other.shape}"
        do = f"Resample the {kind} to the image's grid, or find the image that it belongs to."
    elif not image.same_place(other, TOLERANCE * min(image.spacing_mm)):
        what = f"image and {kind} have different affines"
        do = f"If the {kind} belongs to this image voxel by voxel, copy the image's affine to it; else resample it."
    else:
        return None
    what += f": image {_printed(image.affine)}, {kind} {_printed(other.affine)}"
    return Complaint(what, do, "grids-differ")


def label_complaint(labels: np.ndarray, class_names: Sequence[str], ignore: int | None = None) -> Complaint | None:
    """Values of (i, j, k) beyond the class list that are not `ignore`: each with its count and first voxel."""
    if not labels.size or int(labels.max()) < len(class_names):
        return None
    counts = {value: count for value, count in label_counts(labels).items() if value != ignore}
    beyond = [
        f"{value} in {count} voxels, first at {_first(labels == value)}"
        for value, count in counts.items()
        if value >= len(class_names)
    ]
    if not beyond:
        return None
    what = f"label values outside the {len(class_names)} classes: {listed(beyond)}"
    if len(counts) == len(class_names):
        mapping = ", ".join(f"{value} -> {index}" for index, value in enumerate(counts) if value != index)
        do = f"Renumber the label; as many values occur as there are classes, so perhaps {mapping}."
    else:
        do = f"Renumber the label to 0..{len(class_names) - 1}, or name the missing classes in the JSON."
    return Complaint(what, do, "label-outside-classes")


def label_counts(labels: np.ndarray) -> dict[int, int]:
    """Voxels of each value that occurs in (i, j, k), by value; values are not negative."""
    if not labels.size or int(labels.max()) >= 1 << 16:  # a table of all values would be too long
        values, counts = np.unique(labels, return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))
    length = int(labels.max()) + 1
    table = np.zeros(length, dtype=np.int64)
    for plane in labels:  # bincount makes an int64 copy
        table += np.bincount(plane.ravel(), minlength=length)
    return {value: int(count) for value, count in enumerate(table) if count}


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))


def _printed(affine: np.ndarray) -> str:
    """The affine's upper three rows on one line."""
    return "[" + "; ".join(" ".join(f"{value:g}" for value in row) for row in np.round(affine[:3], 4) + 0.0) + "]"
