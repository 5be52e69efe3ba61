"""What a data set is to the rest of the package: named cases, split, with the faults that listing them showed.

Listing reads JSON and folder entries only; a volume is opened where it is needed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vol3d.dataset_tools.fault import Fault, absent_file, listed, refuse_errors
from vol3d.errors import DataError
from vol3d.files import read_json
from vol3d.scans.paths import DICOM, SUFFIXES, is_dicom, without_suffix

UNUSED = "unused "  # a label number without a class is called so, then the number
IGNORED = 255  # what a voxel that takes no part in training and scores is labelled once it is read
MOST_LABELS = IGNORED
SEGMENTATIONS = (".seg.nrrd", ".seg.nhdr")  # of 3D Slicer
LONGEST_NAME, LONGEST_PATH = 255, 2000  # bytes, characters: what every common file system takes
_NOT_IN_NAMES = {*"/\\:\x7f", *map(chr, range(32))}
DEEPEST = 20  # levels of objects and lists in a data set's JSON


@dataclass(frozen=True)
class Case:
    """One patient's scan.

    Args:
        name: unique in its data set; names the files written for it.
        images: one file or DICOM folder with all channels, or one per channel in the order of the channel names.
        label: its segmentation, or None for a case without.
        ignore: the label's number for voxels that take no part in training and scores, or None.
    """

    name: str
    images: tuple[Path, ...]
    label: Path | None = None
    ignore: int | None = None


@dataclass(frozen=True)
class DataSplit:
    """The cases of a data set as one run uses them.

    Args:
        name: the data set's name.
        class_names: `class_names[label]`, background first.
        channel_names: in the order of the image's channels.
        train, validation: cases with labels; the two share none.
        test: cases to predict only, without labels.
        listing: faults found without opening a volume; `check` reports them with its own.
        regions: overlapping regions that the data set defines, region -> names of its classes, or None.
    """

    name: str
    class_names: tuple[str, ...]
    channel_names: tuple[str, ...]
    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...] = ()
    listing: tuple[Fault, ...] = ()
    regions: Mapping[str, tuple[str, ...]] | None = None

    @property
    def labelled(self) -> tuple[Case, ...]:
        """Training and validation cases: what to evaluate on where a model has seen none of them."""
        return self.train + self.validation

    def require(self) -> DataSplit:
        """The split itself, if nothing that a run needs is missing.

        Raises:
            DataError: listing showed an error, such as an image without its label.
        """
        refuse_errors(self.listing, self.name)
        return self


def stem(path: Path) -> str:
    """File name without its format: `a.b.nii.gz` -> `a.b`, 3D Slicer's `a.seg.nrrd` -> `a`; a folder's as it is."""
    if path.is_dir():
        return path.name
    return without_suffix(path.name, (*SEGMENTATIONS, *SUFFIXES, *DICOM, path.suffix.lower() or SUFFIXES[0]))


def visible(folder: Path) -> list[Path]:
    """Entries of a folder by name, without hidden ones (`._case.nii.gz` of archives made on a Mac); [] if missing."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def scans_in(folder: Path) -> list[Path]:
    """What may be a scan or a label among the entries of a folder: folders, and files of a format that is read.

    The voxels of a header (`.raw`, `.zraw`, `.img`), notes and tables beside a scan are none.
    """
    return [entry for entry in visible(folder) if may_be_scan(entry)]


def may_be_scan(path: Path) -> bool:
    """Whether it is a folder, or a file of a format that is read."""
    if path.is_dir() or path.name.lower().endswith((*SUFFIXES, *DICOM)):
        return True
    return not path.suffix[1:].isalpha() and path.is_file() and is_dicom(path)


def by_stem(paths: Iterable[Path], kind: str) -> tuple[dict[str, Path], list[Fault]]:
    """Name -> file, and an error for each name that two files have: which of them is meant is not known."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        groups[stem(path)].append(path)
    faults = [
        Fault(
            name,
            "error",
            f"{len(group)} files are its {kind}: {listed(path.name for path in group)}",
            "Keep one of them.",
            code="same-name-twice",
            numbers={"files": len(group)},
        )
        for name, group in groups.items()
        if len(group) > 1
    ]
    return {name: group[0] for name, group in groups.items()}, faults


def read_document(path: Path) -> dict[str, Any]:
    """The object in a data set's JSON.

    Raises:
        DataError: no JSON, no object, a key that is set twice, or text that is no Unicode.
    """
    value = read_json(path, pairs_hook=lambda pairs: _object(pairs, path))
    _check_content(value, path)
    if not isinstance(value, dict):
        raise DataError("not a data set's JSON", where=path, got=type(value).__name__, wanted="an object")
    return value


def _object(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise DataError("a key is set twice", where=path, got=listed(twice), do="Keep one of them.")
    return dict(pairs)


def _check_content(value: Any, path: Path) -> None:
    """Refuses what could not be printed: lists in lists without end, and halves of characters."""
    rest = [(value, 0)]
    while rest:
        item, depth = rest.pop()
        if depth > DEEPEST:
            raise DataError("the JSON is nested too deeply", where=path, wanted=f"at most {DEEPEST} levels")
        if isinstance(item, str) and any("\ud800" <= letter <= "\udfff" for letter in item):
            raise DataError("a text in the JSON is no Unicode", where=path, got=ascii(item[:80]))
        inner = [*item, *item.values()] if isinstance(item, dict) else item if isinstance(item, list) else []
        rest += [(part, depth + 1) for part in inner]


def data_path(root: Path, text: str, where: Path) -> Path:
    """The file that a JSON names, relative to its folder.

    Raises:
        DataError: no file can have that name.
    """
    too_long = len(text) > LONGEST_PATH or any(len(part.encode()) > LONGEST_NAME for part in text.split("/"))
    if not text.strip() or "\0" in text or too_long:
        raise DataError("no file can have this name", where=where, got=repr(text[:80]))
    return root / text


def missing_files(cases: Iterable[Case]) -> list[Fault]:
    """One error for each listed file that is not there."""
    do = "Copy it from the original data set, or remove the case from the JSON."
    return [
        absent_file(case.name, f"the {part} {path}", do)
        for case in cases
        for part, paths in (("image", case.images), ("label", (case.label,) if case.label else ()))
        for path in paths
        if not path.exists()
    ]


def unlisted_files(cases: Iterable[Case], folders: Iterable[Path]) -> list[Fault]:
    """One warning for each scan in `folders` that no case uses."""
    do = "Add it to the JSON or move it away."
    used = {path for case in cases for path in (*case.images, case.label) if path is not None}
    return [
        Fault(stem(path), "warning", f"{path} is in the folder but no case uses it", do, code="unlisted-file")
        for folder in folders
        for path in scans_in(folder)
        if path not in used and not any(path in one.parents for one in used)
    ]


def outside_files(cases: Iterable[Case], root: Path) -> list[Fault]:
    """One warning for each case that uses a file outside the data set's folder."""
    do = "Nothing, if this file is meant; a copy of the folder does not hold it."
    return [
        Fault(case.name, "warning", f"{path} lies outside the data set's folder", do, code="outside-folder")
        for case in cases
        for path in (*case.images, case.label)
        if path is not None and not (path.is_relative_to(root) and ".." not in path.relative_to(root).parts)
    ]


def named_once(cases: Sequence[Case], where: Path) -> None:
    """Raises DataError if a name is given to two cases, or is no file name."""
    twice = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    if twice:
        raise DataError("two cases have the same name", where=where, got=listed(twice), do="Name each case once.")
    long = LONGEST_NAME - len(".image.npy")
    odd = [
        ascii(case.name[:80])
        for case in cases
        if not case.name
        or len(case.name.encode()) > long
        or case.name.startswith(".")
        or set(case.name) & _NOT_IN_NAMES
    ]
    if odd:
        raise DataError("a case's name must be a file name", where=where, got=listed(odd))


def some_labelled(cases: Sequence[Case], where: Path) -> None:
    """Raises DataError if there is no labelled case."""
    if not any(case.label for case in cases):
        raise DataError(
            "the data set has nothing in it",
            where=where,
            got=f"{len(cases)} cases, none of them with a label",
            wanted="at least one image with its label",
            do="Check that the download is complete and that this is its folder.",
        )
