"""Segments that 3D Slicer keeps in the keys of an NRRD: their names, label values and layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.volumes.volume import Volume


@dataclass(frozen=True)
class Segment:
    """One segment: its voxels have `value` in the channel `layer`."""

    name: str
    value: int
    layer: int


def segments_of(keys: Mapping[str, str], volume: Volume) -> list[Segment]:
    """The segments that the keys of a segmentation describe, in their order; none for another file.

    Raises:
        DataError: a value or layer that is no number or not there, or two segments of one value in one layer.
    """
    found: dict[int, dict[str, str]] = {}
    for key, value in keys.items():
        if match := re.fullmatch(r"Segment([0-9]{1,6})_(ID|Name|LabelValue|Layer)", key):
            found.setdefault(int(match[1]), {})[match[2]] = value.strip()
    segments: list[Segment] = []
    for number, facts in sorted(found.items()):
        # Releases before 4.11 state neither: each segment has a layer of its own.
        layer = facts.get("Layer", "0" if "LabelValue" in facts or len(volume.array) == 1 else str(number))
        value = facts.get("LabelValue", "1")
        name = facts.get("Name", facts.get("ID", f"segment {number}"))
        if not (re.fullmatch("[0-9]{1,9}", value) and re.fullmatch("[0-9]{1,9}", layer)) or int(value) == 0:
            got = f"label value {value[:20]!r}, layer {layer[:20]!r}"
            raise DataError(
                f"segment '{name[:60]}' is wrong", where=volume.source, got=got, wanted="1, 2, ... and 0, 1, ..."
            )
        if int(layer) >= len(volume.array):
            got = f"layer {layer} of {len(volume.array)}"
            raise DataError(f"segment '{name[:60]}' lies in a layer that is not there", where=volume.source, got=got)
        segments.append(Segment(name, int(value), int(layer)))
    _check_apart(segments, volume)
    return segments


def _check_apart(segments: list[Segment], volume: Volume) -> None:
    owners: dict[tuple[int, int], str] = {}
    for segment in segments:
        other = owners.setdefault((segment.layer, segment.value), segment.name)
        if other is not segment.name:
            got = f"'{other}' and '{segment.name}', both {segment.value}"
            raise DataError("two segments have one label value", where=volume.source, got=got)


def merged(volume: Volume, segments: list[Segment]) -> Volume:
    """The label image of all layers together, with the segments' names.

    Label values are kept, or are 1, 2, ... in the order of the segments where layers use a value twice, with a note.

    Args:
        volume: int32 labels, a channel for each layer.

    Raises:
        DataError: segments that share a voxel, or a label of several layers without a segment.
    """
    if len(volume.array) == 1:
        return replace(volume, label_names={segment.value: segment.name for segment in segments})
    kept = len({segment.value for segment in segments}) == len(segments)
    labels = np.zeros_like(volume.array[:1])
    names: dict[int, str] = {}
    for number, segment in enumerate(segments, 1):
        inside = volume.array[segment.layer] == segment.value
        label = segment.value if kept else number
        if (shared := labels[0][inside]).any():
            other = names[int(shared[shared > 0][0])]
            got = f"'{other}' and '{segment.name}' in {np.count_nonzero(shared)} voxels"
            do = "A label image holds one class per voxel: remove the overlap, or export the segments apart."
            raise DataError("segments overlap", where=volume.source, got=got, do=do)
        labels[0][inside] = label
        names[label] = segment.name
    if np.count_nonzero(volume.array) != np.count_nonzero(labels):
        raise DataError(
            "labels without a segment", where=volume.source, wanted="a segment for each label of each layer"
        )

    text = "layers use the same label values: the segments were numbered 1 to {count:.0f} in their order"
    notes = () if kept else (Note("labels-renumbered", text, numbers={"count": len(segments)}),)
    return replace(volume, array=labels, label_names=names, notes=volume.notes + notes)
