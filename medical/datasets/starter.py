"""The `dataset.json` of own volumes, from the files that are there: `vol3d init folder`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medical.datasets.cases import IGNORED, UNUSED, by_stem, may_be_scan, scans_in, stem, visible
from medical.datasets.own_layout import STATE, OwnLayout, find_layout
from medical.datasets.patterns import is_pattern, matching_files
from vol3d.dataset_tools.draft import Draft, names_in
from vol3d.dataset_tools.fault import listed
from vol3d.errors import DataError, UsageError
from vol3d.scans.read import read_labels
from vol3d.terminal import Progress

WORDS = ("classes", "channels", "images", "labels")
"""What the person may state beside the settings of the data set."""
_FOLDERS = (("images", "labels"), ("imagesTr", "labelsTr"))
_ONE_CHANNEL = ["image"]  # what a data set has that names none


def draft(root: Path, stated: Mapping[str, str], progress: Progress) -> Draft | None:
    """The JSON for images and label maps, wherever they lie; None where there is one already.

    Every label map is opened, for its numbers and the names that it may hold.

    Args:
        stated: `classes` and `channels` (names between commas), `images` and `labels` (folders or patterns), as far
            as given.

    Raises:
        DataError: no folders, no label map that can be read, or no image under its name.
        UsageError: another number of classes than the label maps have.
    """
    path = root / "dataset.json"
    if path.exists():
        return None
    layout, files = _layout(root, stated)
    channels = names_in(stated, "channels") or [*layout.channels]
    names, having, ignore = _names(files, progress)
    classes, remarks = _classes(names, names_in(stated, "classes"), path, having)
    content: dict[str, Any] = {"classes": classes}
    content |= {"ignore": ignore} if ignore else {}
    content |= {"channels": channels} if channels not in ([], _ONE_CHANNEL) else {}
    places = (layout.images, layout.labels)
    content |= {"images": places[0], "labels": places[1]} if places != _FOLDERS[0] else {}
    remarks += [layout.remark] if layout.remark else []
    if ignore:
        remarks.append(f"label {ignore} was taken for voxels that are not annotated: remove 'ignore' if it is a class")
    return Draft(path, content, tuple(remarks))


def _layout(root: Path, stated: Mapping[str, str]) -> tuple[OwnLayout, dict[str, Path]]:
    """The folders or patterns that are stated, else the usual folders, else what is found; and the label maps."""
    known = [(stated.get("images", images), stated.get("labels", labels)) for images, labels in _FOLDERS]
    if all(map(is_pattern, known[0])):
        return _by_patterns(root, *known[0], tuple(names_in(stated, "channels")))
    usual = next((two for two in known if all((root / name).is_dir() for name in two)), None)
    if not {"images", "labels"} & stated.keys() and not (usual and _pairs(root, *usual)):
        found = find_layout(root)
        if found is not None:
            return found, _label_files(root, found)
    if usual is None:
        raise _nothing_found(root, known)
    files = _label_files(root, OwnLayout(*usual, (), ""))
    channels = () if "channels" in stated else tuple(_channels(root / usual[0], list(files)))
    return OwnLayout(*usual, channels, ""), files


def _nothing_found(root: Path, known: Iterable[tuple[str, str]]) -> DataError:
    got = listed(entry.name for entry in visible(root) if entry.is_dir()) or "no folder"
    wanted = " or ".join(f"{images} and {labels}" for images, labels in dict.fromkeys(known))
    return DataError("no images with label maps", where=root, got=got, wanted=wanted, do=STATE)


def _pairs(root: Path, images: str, labels: str) -> bool:
    """Whether an image has the name of a label map."""
    entries = scans_in(root / images)
    return any(_channels_of(case, entries) for case in by_stem(scans_in(root / labels), "label")[0])


def _label_files(root: Path, layout: OwnLayout) -> dict[str, Path]:
    if not is_pattern(layout.labels):
        return by_stem(scans_in(root / layout.labels), "label")[0]
    return _by_patterns(root, layout.images, layout.labels, layout.channels)[1]


def _by_patterns(root: Path, images: str, labels: str, channels: tuple[str, ...]) -> tuple[OwnLayout, dict[str, Path]]:
    matching_files(root, images, channels, "image")  # refused here, not once the JSON is written
    files, _ = matching_files(root, labels, (), "label")
    return OwnLayout(images, labels, channels, ""), {case: paths[""] for case, paths in files.items()}


def _channels(folder: Path, cases: Sequence[str]) -> list[str]:
    """Names of the channels by the images' names: `a_T1.nii.gz` or `a/T1.nii.gz`; `image` where `a.nii.gz` has all."""
    entries = scans_in(folder)
    found = [one for case in cases if (one := _channels_of(case, entries))]
    if not found:
        got, wanted = listed(entry.name for entry in entries) or "nothing", f"{listed(cases, 3)} and so on"
        do = "Give image and label map of a case the same name."
        raise DataError("no image has the name of a label map", where=folder, got=got, wanted=wanted, do=do)
    shared = set.intersection(*found)
    if not shared:
        got = "; ".join(", ".join(sorted(one)) for one in found[:3])
        do = "Name them, with the words that end the files' names: channels=T1,FLAIR."
        raise DataError("the cases have no channel in common", where=folder, got=got, do=do)
    return sorted(shared)


def _channels_of(case: str, entries: Iterable[Path]) -> set[str]:
    names = {stem(entry): entry for entry in entries}
    if case in names:
        inside = {stem(part) for part in visible(names[case]) if part.is_file() and may_be_scan(part)}
        return inside if _are_channels(names[case], inside) else set(_ONE_CHANNEL)
    return {name.removeprefix(f"{case}_") for name in names if name.startswith(f"{case}_")}


def _are_channels(folder: Path, names: set[str]) -> bool:
    """Whether a case's folder has one file for each channel; hundreds are the slices of one DICOM series."""
    return folder.is_dir() and 0 < len(names) <= 16 and not any(folder.glob("*.dcm"))


def _names(files: Mapping[str, Path], progress: Progress) -> tuple[dict[int, str], dict[int, list[Path]], int | None]:
    """Number -> name over all label maps, empty where no file names it; number -> the maps that have it; and the
    number of voxels to ignore."""
    names: dict[int, str] = {}
    having: dict[int, list[Path]] = {}
    for done, (case, path) in enumerate(files.items()):
        progress(done, len(files), case)
        for number, name in _names_in(path).items():
            if name and names.get(number, name) not in ("", name):
                got = f"{number} is '{names[number]}' and '{name}'"
                do = "Give the classes: classes=NAME,NAME in the order of their numbers."
                raise DataError("label maps name a number differently", where=path, got=got, do=do)
            names[number] = name or names.get(number, "")
            having.setdefault(number, []).append(path)
    if not names:
        where = next((path.parent for path in files.values()), None)
        check = "`vol3d data check` says why, once there is a dataset.json." if files else None
        raise DataError("no label map with a label", where=where, got=f"{len(files)} files", do=check)
    known, ignore = _without_ignored(dict(sorted(names.items())))
    return known, having, ignore


def _without_ignored(names: dict[int, str]) -> tuple[dict[int, str], int | None]:
    """Without 255, where it stands alone above the other numbers, and that number."""
    if len(names) < 2 or IGNORED not in names or IGNORED - 1 in names:
        return names, None
    return {number: name for number, name in names.items() if number != IGNORED}, IGNORED


def _names_in(path: Path) -> dict[int, str]:
    """The labels of one map with the names that it has for them; {} of one that cannot be read, which `check` lists."""
    try:
        label = read_labels(path)
    except DataError:
        return {}
    named = label.label_names or {}
    return {int(value): named.get(int(value), "") for value in np.unique(label.array) if value}


def _classes(
    names: Mapping[int, str], stated: Sequence[str], path: Path, having: Mapping[int, Sequence[Path]]
) -> tuple[list[str], list[str]]:
    """The classes by number with the background first, and what to say about them."""
    count = max(names)
    if stated:
        given = [*stated] if stated[0].casefold() == "background" else ["background", *stated]
        if len(given) != count + 1:
            got, wanted = f"{len(given) - 1} classes", f"{count}, since label maps go up to {count}"
            do = (
                f"The label {count} is in {listed((one.name for one in having[count]), 3)}. If that is a fault, write "
                f"{path} by hand, and `vol3d data check` lists all of them."
            )
            raise UsageError("not as many classes as labels", where="classes", got=got, wanted=wanted, do=do)
        return given, []
    named = {number: name or f"label {number}" for number, name in names.items()}
    classes = ["background", *(named.get(number, f"{UNUSED}{number}") for number in range(1, count + 1))]
    nameless = [named[number] for number, name in names.items() if not name]
    remark = f"label maps do not name {listed(nameless)}: write names into {path} and class_names of the recipe"
    return classes, [remark] if nameless else []
