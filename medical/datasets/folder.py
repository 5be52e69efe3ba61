"""Own data: a folder with images, labels and a small `dataset.json`.

    {
      "classes": ["background", "liver", "tumour"],
      "channels": ["CT"],
      "name": "my livers",
      "images": "images",
      "labels": "labels",
      "cases": [{"name": "a", "images": ["a/t1.mha", "a/t2.mha"], "label": "a/seg.nrrd"}, ...],
      "split": {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}
    }

Only `classes` is required; `classes[label]` is a label's name. The defaults: one channel called `image`, the folder's
name, the sub-folders `images` and `labels` with cases found by name instead of `cases`, and nnU-Net's folds instead of
`split`. An image or label is any file that `vol3d.scans` reads, an image also a folder with one DICOM series; other
files are left aside. A label that names its segments (3D Slicer's `NAME.seg.nrrd`, DICOM-SEG) is read by their names.
`"ignore": 255` names the number of voxels that take no part in training and scores; a class called `ignore` does, too.
A `dataset.json` of nnU-Net is read as the data set `msd` reads it.

Cases are found by name: the label `labels/NAME.*` belongs to

- `images/NAME.*`, one file with all channels, or `images/NAME/`, a DICOM series, where there is one channel;
- `images/NAME/CHANNEL.*` or `images/NAME_CHANNEL.*`, one file or DICOM folder per channel, where there are several (so
  nnU-Net's `imagesTr/NAME_0000.nii.gz` is read with `"channels": ["0000", "0001"]` and `"images": "imagesTr"`); failing
  that, `images/NAME.*`, one file with all of them.

In a tree of folders such as BIDS, `images` and `labels` are patterns (`medical.datasets.patterns`):
`"images": "sub-*/anat/{case}_{channel}.nii.gz"`, `"labels": "derivatives/manual/sub-*/anat/{case}_dseg.nii.gz"`.

Cases without a label are the test cases. Paths are relative to the JSON.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from medical.datasets.cases import (
    MOST_LABELS,
    SEGMENTATIONS,
    UNUSED,
    Case,
    DataSplit,
    by_stem,
    data_path,
    may_be_scan,
    missing_files,
    named_once,
    outside_files,
    read_document,
    scans_in,
    some_labelled,
    stem,
    unlisted_files,
    visible,
)
from medical.datasets.channels import channel_of
from medical.datasets.folds import DatasetSettings, choose
from medical.datasets.labels import LabelTable, is_ignore, label_table
from medical.datasets.msd import split_of
from medical.datasets.patterns import CASE, is_pattern, matching_files
from vol3d.dataset_tools.fault import Fault, listed
from vol3d.engine.settings import Settings
from vol3d.errors import DataError
from vol3d.layouts import layout_hint


class CaseEntry(Settings):
    """One case of the JSON."""

    name: str
    images: tuple[str, ...] = Field(min_length=1)
    label: str | None = None


class SplitEntry(Settings):
    """Names of the cases that train, validate, or are predicted only."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = ()


class Document(Settings):
    """The JSON of a folder; the module's docstring explains it."""

    classes: tuple[str, ...] = Field(min_length=2, max_length=MOST_LABELS)
    ignore: int | None = Field(None, ge=1)
    channels: tuple[str, ...] = Field(("image",), min_length=1)
    name: str | None = None
    images: str = "images"
    labels: str = "labels"
    cases: tuple[CaseEntry, ...] | None = None
    split: SplitEntry | None = None


class FolderSettings(DatasetSettings):
    """Own data; `root` is the folder with `dataset.json`."""

    name: Literal["folder"] = "folder"

    def split(self) -> DataSplit:
        """See `DatasetSettings.split`."""
        path = self.root / "dataset.json"
        _require_document(path)
        value = read_document(path)
        if "classes" not in value and {"channel_names", "file_ending"} & set(value):
            return split_of(self.root, self)
        document = _understood(value, path)
        class_names, ignore = _without_ignore(document, path)
        cases, faults = _cases(document, path, ignore)
        named_once(cases, path)
        some_labelled(cases, path)
        labelled = tuple(case for case in cases if case.label is not None)
        published = None
        if document.split is not None:
            faults += _check_split(document.split, cases, path)
            published = document.split.train, document.split.validation
            labelled = tuple(case for case in labelled if case.name not in set(document.split.test))
        train, validation = choose(self, labelled, self.root, published)
        test = tuple(case for case in cases if case not in labelled)
        name = document.name or self.root.resolve().name
        return DataSplit(name, class_names, document.channels, train, validation, test, tuple(faults))


def _require_document(path: Path) -> None:
    if path.parent.is_dir() and not path.is_file():
        do = layout_hint(path.parent, "folder")
        do = do or f"`vol3d init folder {path.parent} classes=NAME,NAME` writes it."
        raise DataError("own data need a dataset.json", where=path.parent, got="none", do=do)


def classes_of(path: Path) -> LabelTable:
    """What label numbers stand for, by the JSON of any data set of volumes: own, the Decathlon's or nnU-Net's.

    Raises:
        DataError: it is none of them.
    """
    value = read_document(path)
    if "labels" in value and "classes" not in value:
        return label_table(value["labels"], path, value.get("regions_class_order"))
    class_names, ignore = _without_ignore(_understood(value, path), path)
    return LabelTable(class_names, ignore=ignore)


def _cases(document: Document, path: Path, ignore: int | None) -> tuple[tuple[Case, ...], list[Fault]]:
    """Those that are listed, else those found by name; and their faults."""
    root = path.parent
    if document.cases is None:
        return _found(document, root, ignore)
    cases = tuple(_entry(entry, root, ignore) for entry in document.cases)
    folders = tuple(data_path(root, name, path) for name in (document.images, document.labels))
    return cases, missing_files(cases) + unlisted_files(cases, folders) + outside_files(cases, root)


def _understood(value: dict[str, Any], path: Path) -> Document:
    """The folder's JSON.

    Raises:
        DataError: a key is missing, unknown or of a wrong type.
    """
    if "training" in value:
        raise DataError("this JSON is the Decathlon's", where=path, do="Use the data set 'msd' instead of 'folder'.")
    try:
        document = Document.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:80] or "the file"
        wanted = f"keys {', '.join(Document.model_fields)}"
        raise DataError(f"{place}: {first['msg']}", where=path, got=str(first["input"])[:80], wanted=wanted) from error
    for key, names in (("classes", document.classes), ("channels", document.channels)):
        if len(set(names)) != len(names):
            raise DataError(f"'{key}' has a name twice", where=path, got=", ".join(names))
    return document


def _without_ignore(document: Document, path: Path) -> tuple[tuple[str, ...], int | None]:
    """The classes, and the number of voxels to ignore: `ignore`, or that of the class of this name."""
    classes = document.classes
    called = [number for number, name in enumerate(classes) if is_ignore(name)]
    ignore = document.ignore if document.ignore is not None else next(iter(called), None)
    if ignore is None:
        return classes, None
    names = tuple(name if number != ignore else f"{UNUSED}{number}" for number, name in enumerate(classes))
    names = names[:-1] if ignore == len(names) - 1 else names
    if ignore == 0 or len(names) < 2 or called != [ignore][: ignore < len(classes)]:
        wanted = "one number above 0 that no other class has, besides background and a class"
        got = f"{ignore}, classes {', '.join(classes)}"
        raise DataError("'ignore' is not understood", where=path, got=got, wanted=wanted)
    return names, ignore


def _entry(entry: CaseEntry, root: Path, ignore: int | None) -> Case:
    where = root / "dataset.json"
    label = data_path(root, entry.label, where) if entry.label else None
    return Case(entry.name, tuple(data_path(root, image, where) for image in entry.images), label, ignore)


def _check_split(split: SplitEntry, cases: tuple[Case, ...], path: Path) -> list[Fault]:
    """Refuses names that are unknown, unlabelled or in two parts; cases in none are faults."""
    parts = Counter((*split.train, *split.validation, *split.test))
    names = {case.name for case in cases}
    labelled = [case.name for case in cases if case.label is not None]

    _refuse(sorted(set(parts) - names), "are no case", path)
    _refuse(sorted({*split.train, *split.validation} - set(labelled)), "have no label", path)
    _refuse(sorted(name for name, count in parts.items() if count > 1), "are listed twice", path)
    if not split.train or not split.validation:
        raise DataError("'split' leaves nothing to train on or to validate with", where=path)
    return _in_no_part([name for name in labelled if name not in parts])


def _in_no_part(names: list[str]) -> list[Fault]:
    what, do = "has a label but is in no part of the split", "Add it to the split, or leave it out on purpose."
    return [Fault(name, "warning", what, do, code="case-in-no-part") for name in names]


def _refuse(names: list[str], why: str, path: Path) -> None:
    if names:
        raise DataError(f"names in 'split' {why}", where=path, got=listed(names), do="Correct the split.")


def _found(document: Document, root: Path, ignore: int | None) -> tuple[tuple[Case, ...], list[Fault]]:
    """Cases by the names of their files, and what could not be paired."""
    images, labels = (data_path(root, name, root / "dataset.json") for name in (document.images, document.labels))
    found, label_of, faults = (_by_pattern if _has_patterns(document, root) else _in_folders)(document, root)
    cases = []
    for name, channels in sorted(found.items()):
        ordered = _in_order(channels, document.channels)
        if ordered:
            cases.append(Case(name, ordered, label_of.get(name), ignore))
        else:
            faults.append(_absent_channels(name, channels, document.channels, images))

    alone = {name: path for name, path in label_of.items() if name not in found}
    faults += [_absent_image(name, path, images) for name, path in alone.items()]
    if document.split is None:
        faults += _absent_labels([case.name for case in cases if case.label is None], labels)
    return tuple(cases), faults


def _has_patterns(document: Document, root: Path) -> bool:
    """Whether images and labels are patterns; raises DataError where only one of them is."""
    patterns = {is_pattern(name) for name in (document.images, document.labels)}
    if len(patterns) == 2:
        got, wanted = f"{document.images} and {document.labels}", f"{CASE} in both, or two folders"
        raise DataError(
            "one of 'images' and 'labels' is a pattern", where=root / "dataset.json", got=got, wanted=wanted
        )
    return True in patterns


def _by_pattern(document: Document, root: Path) -> tuple[dict[str, dict[str, Path]], dict[str, Path], list[Fault]]:
    """Case -> channel -> image, case -> label, and faults; in a tree of folders."""
    if not root.is_dir():
        raise DataError("no such folder", where=root)
    found, faults = matching_files(root, document.images, document.channels, "image")
    labels, more = matching_files(root, document.labels, (), "label")
    label_of = {name: files[""] for name, files in labels.items()}
    for name in [name for name, files in found.items() if {*label_of.values()} & {*files.values()}]:
        del found[name]  # where both lie in one folder, `{case}.nii.gz` is `a_mask.nii.gz`, too
    return found, label_of, faults + more


def _in_folders(document: Document, root: Path) -> tuple[dict[str, dict[str, Path]], dict[str, Path], list[Fault]]:
    """Case -> channel -> image, case -> label, and faults; in one folder each."""
    images, labels = root / document.images, root / document.labels
    for folder in (images, labels):
        if not folder.is_dir():
            raise DataError("no such folder", where=folder, do="Name it in dataset.json, or list the cases there.")
    found, faults = _images(images, document.channels)
    label_of, more = by_stem(scans_in(labels), "label")
    return found, label_of, faults + more


def _place(folder: Path, name: str) -> str:
    """Where the file of a case is expected, for messages."""
    return str(folder).replace(CASE, name) if is_pattern(str(folder)) else f"{folder / name}.*"


def _absent_labels(names: list[str], folder: Path) -> list[Fault]:
    do = "Add {} if it is meant for training; without it the case is only predicted."
    return [
        Fault(name, "warning", "has no label", do.format(_place(folder, name)), code="absent-label") for name in names
    ]


def _in_order(found: dict[str, Path], channels: tuple[str, ...]) -> tuple[Path, ...]:
    """The one file with all channels, or one for each of them; empty if any is missing."""
    if set(found) == {""}:
        return (found[""],)
    return tuple(found[channel] for channel in channels) if set(channels) <= set(found) else ()


def _absent_channels(name: str, found: dict[str, Path], channels: tuple[str, ...], folder: Path) -> Fault:
    absent = [channel for channel in channels if channel not in found]
    what, do = f"no image for the channels {listed(absent)}", f"Add them to {folder} or remove the case."
    return Fault(name, "error", what, do, code="absent-channels", numbers={"absent": len(absent)})


def _absent_image(name: str, label: Path, folder: Path) -> Fault:
    do = f"Add {_place(folder, name)} or remove the label."
    return Fault(name, "error", f"the label {label} has no image", do, code="absent-image")


def _images(folder: Path, channels: tuple[str, ...]) -> tuple[dict[str, dict[str, Path]], list[Fault]]:
    """Case -> channel -> image, the channel `""` where one file or folder has all of them; and names that two have."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    entries = [path for path in scans_in(folder) if not path.name.lower().endswith(SEGMENTATIONS)]
    files, faults = by_stem(entries, "image")
    for name, path in files.items():
        inside = _channels_in(path, channels)
        named = channel_of(name, channels)
        if inside:
            found[name].update(inside)
        elif named is not None:
            found[named[0]][channels[named[1]]] = path
        else:
            found[name][""] = path
    return found, faults


def _channels_in(folder: Path, channels: tuple[str, ...]) -> dict[str, Path]:
    """Channel -> file or DICOM folder of its name in the folder of a case."""
    named = [part for part in visible(folder) if stem(part) in channels]  # a series may have a thousand files
    return {stem(part): part for part in named if may_be_scan(part)}
