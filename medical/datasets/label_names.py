"""Labels whose file names them (DICOM-SEG, `.seg.nrrd`): matched to the classes by name, never by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vol3d.class_names import plain_name
from vol3d.dataset_tools.fault import listed
from vol3d.errors import DataError
from vol3d.scans.volumes.volume import Volume
from vol3d.scans.volumes.voxels import narrowest


def by_name(label: Volume, class_names: Sequence[str], ignore: int | None = None) -> Volume:
    """Labels (1, i, j, k) with the numbers of the classes of their names; as they are where the file names none.

    Case, spaces, hyphens and underscores do not count: `Left_Kidney` is `left kidney`. A name in the file without
    voxels is left aside.

    Args:
        ignore: the number of voxels to ignore, which the file calls `ignore`.

    Raises:
        DataError: a name with voxels is no class, or voxels have a number without a name.
    """
    if not label.label_names:
        return label
    named = _numbers(label.label_names, class_names, ignore)
    occurring = [int(value) for value in np.unique(label.array) if value]
    unknown = [value for value in occurring if value not in named]
    if unknown:
        got = listed(label.label_names.get(value, f"number {value}, which has no name") for value in unknown)
        do = "Name the segments as the classes, or the classes as the segments."
        wanted = ", ".join(class_names)
        raise DataError("segments that are no class", where=label.source, got=got, wanted=wanted, do=do)
    table = np.zeros(max([0, *occurring]) + 1, dtype=np.int32)
    table[occurring] = [named[value] for value in occurring]
    return replace(label, array=narrowest(table[label.array]), label_names=None)


def _numbers(label_names: Mapping[int, str], class_names: Sequence[str], ignore: int | None) -> dict[int, int]:
    """Number in the file -> number of the class of that name; without those that no class has."""
    number_of = {plain_name(name): number for number, name in reversed(list(enumerate(class_names)))}
    number_of |= {name: number for number, name in enumerate(class_names)}
    if ignore is not None:
        number_of["ignore"] = ignore
    found = {value: number_of.get(name, number_of.get(plain_name(name))) for value, name in label_names.items()}
    return {value: number for value, number in found.items() if number is not None}
