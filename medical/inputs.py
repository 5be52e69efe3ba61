"""A person's files as the scans of a model: one file per channel is joined as in training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medical.datasets.cases import stem
from medical.datasets.channels import channel_of
from medical.datasets.nnunet import numbered
from medical.datasets.own_layout import LABEL_FOLDER
from medical.datasets.pairs import channel_complaint, read_image
from vol3d.dataset_tools.fault import listed
from vol3d.errors import DataError
from vol3d.scans.read import read_volume
from vol3d.scans.source import ScanSource
from vol3d.scans.volumes.appearance import looks_like_labels
from vol3d.scans.volumes.volume import Volume

_MASK_NAME = re.compile(r"(.+)[-_.](?:seg|segmentation|mask|label|labels|gt)", re.IGNORECASE)


def join_channels(sources: Sequence[ScanSource], channels: Sequence[str]) -> list[ScanSource]:
    """One entry a case, named as it, where files are called `CASE_CHANNEL.*`, `CASE_0000.*` or `CASE/CHANNEL.*`.

    A model of one channel takes nnU-Net's `CASE_0000.*` as CASE. Other files stay as they are.
    """
    if len(channels) == 1:
        names = {(source.path.parent, source.name) for source in sources}
        return [_without_number(source, names) for source in sources]
    groups: dict[tuple[Path, str], dict[int, ScanSource]] = {}
    joined: list[ScanSource | tuple[Path, str]] = []
    for source in sources:
        place = _place(source, channels)
        key, index = place if place else ((source.path, ""), -1)
        if place is None or index in groups.get(key, {}):
            joined.append(source)
            continue
        if key not in groups:
            joined.append(key)
        groups.setdefault(key, {})[index] = source
    return [entry if isinstance(entry, ScanSource) else _scan(entry[1], groups[entry]) for entry in joined]


def without_masks(sources: Sequence[ScanSource], chosen: Sequence[Path]) -> list[ScanSource]:
    """Without masks beside their scans: `a_seg.nii.gz` beside `a.nii.gz`, `labels/a.nii.gz` and `images/a.nii.gz`.

    Only files whose voxels are labels are left out.

    Args:
        chosen: the paths that a person gave; a file among them is a scan whatever its name.
    """
    names = {(source.path.parent, source.name) for source in sources}
    files = set(chosen)
    return [source for source in sources if source.path in files or not _is_mask_beside(source, names)]


def _is_mask_beside(source: ScanSource, names: set[tuple[Path, str]]) -> bool:
    folder, found = source.path.parent, _MASK_NAME.fullmatch(source.name)
    scan = source.name if found is None else found[1]
    beside = found is not None and (folder, scan) in names
    if not beside and LABEL_FOLDER.fullmatch(folder.name):
        others = {place for place, name in names if name in (scan, source.name)}
        beside = any(not LABEL_FOLDER.fullmatch(place.name) for place in others)
    if not beside or source.channels or source.series:
        return False
    try:
        return looks_like_labels(read_volume(source.path).array[0])
    except DataError:  # predicting it says why
        return False


def _without_number(source: ScanSource, names: set[tuple[Path, str]]) -> ScanSource:
    found = numbered(source.path)
    if found is None or found[1] != 0 or source.series or (source.path.parent, found[0]) in names:
        return source
    return replace(source, name=found[0])


def _place(source: ScanSource, channels: Sequence[str]) -> tuple[tuple[Path, str], int] | None:
    """Folder and name of the case, and the channel's index; None for a file that names no channel."""
    if source.series is not None:
        return None
    path, name = source.path, stem(source.path)
    if named := channel_of(name, channels):
        return (path.parent, named[0]), named[1]
    folder = path.absolute().parent
    alone = channel_of(f"{folder.name}_{name}", channels)
    return ((folder.parent, folder.name), alone[1]) if alone and alone[0] == folder.name else None


def _scan(case: str, found: dict[int, ScanSource]) -> ScanSource:
    files = tuple(found[index].path for index in sorted(found))
    first = found[min(found)]
    return replace(first, path=files[0], name=case if len(files) > 1 else first.name, channels=files)


def read_scan(source: ScanSource, channels: Sequence[str]) -> Volume:
    """A scan with all channels of the model, in its order.

    Raises:
        DataError: the reader's; files on different grids; a channel that is missing, by its name.
    """
    files, series = source.channels, source.series
    volume = read_image(files) if files else read_volume(source.path, series=series)
    wrong = channel_complaint(volume, channels)
    if wrong is None:
        return volume
    if not source.channels:
        do = "This model needs all of its channels, in one file or in files CASE_CHANNEL."
        raise DataError(wrong.what, where=source.path, do=do)
    places = (_place(ScanSource(path, ""), channels) for path in source.channels)
    there = {place[1] for place in places if place}
    absent = [name for index, name in enumerate(channels) if index not in there]
    got, do = listed(path.name for path in source.channels), "Give one file for each channel of the model."
    raise DataError(f"no file for the channels {listed(absent)}", where=source.path, got=got, do=do)
