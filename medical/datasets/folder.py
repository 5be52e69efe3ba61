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
`split`. An image or label is any file that `vol3d.scans` reads, an image also a folder with one DICOM series.
Cases are found by name: the label `labels/NAME.*` belongs to

- `images/NAME.*`, one file with all channels, or `images/NAME/`, a DICOM series, where there is one channel;
- `images/NAME/CHANNEL.*` or `images/NAME_CHANNEL.*`, one file or DICOM folder per channel, where there are several (so
  nnU-Net's `imagesTr/NAME_0000.nii.gz` is read with `"channels": ["0000", "0001"]` and `"images": "imagesTr"`); failing
  that, `images/NAME.*`, one file with all of them.

Cases without a label are the test cases. Paths are relative to the JSON.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from medical.datasets.cases import (
    Case,
    DataSplit,
    missing_files,
    named_once,
    some_labelled,
    stem,
    unlisted_files,
    visible,
)
from medical.datasets.folds import DatasetSettings, choose
from vol3d.dataset_tools.fault import Fault, listed
from vol3d.engine.settings import Settings
from vol3d.errors import DataError
from vol3d.files import read_json


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

    classes: tuple[str, ...] = Field(min_length=2)
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
        document = read_document(path)
        if document.cases is None:
            cases, faults = _found(document, self.root)
        else:
            cases = tuple(_entry(entry, self.root) for entry in document.cases)
            faults = missing_files(cases) + unlisted_files(
                cases, (self.root / document.images, self.root / document.labels)
            )
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
        return DataSplit(name, document.classes, document.channels, train, validation, test, tuple(faults))


def read_document(path: Path) -> Document:
    """The folder's JSON.

    Raises:
        DataError: it is missing, or a key is missing, unknown or of a wrong type.
    """
    value = read_json(path)
    if isinstance(value, dict) and "training" in value:
        raise DataError("this JSON is the Decathlon's", where=path, do="Use the data set 'msd' instead of 'folder'.")
    try:
        document = Document.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        wanted = f"keys {', '.join(Document.model_fields)}"
        raise DataError(f"{place}: {first['msg']}", where=path, got=str(first["input"])[:80], wanted=wanted) from error
    for key, names in (("classes", document.classes), ("channels", document.channels)):
        if len(set(names)) != len(names):
            raise DataError(f"'{key}' has a name twice", where=path, got=", ".join(names))
    return document


def _entry(entry: CaseEntry, root: Path) -> Case:
    label = root / entry.label if entry.label else None
    return Case(entry.name, tuple(root / image for image in entry.images), label)


def _check_split(split: SplitEntry, cases: tuple[Case, ...], path: Path) -> list[Fault]:
    """Refuses names that are unknown, unlabelled or in two parts; cases in none are faults."""
    parts = Counter((*split.train, *split.validation, *split.test))
    names = {case.name for case in cases}
    labelled = [case.name for case in cases if case.label is not None]
    twice = sorted(name for name, count in parts.items() if count > 1)

    _refuse(_not_in(names, parts), "are no case", path)
    _refuse(_not_in(labelled, (*split.train, *split.validation)), "have no label", path)
    _refuse(twice, "are listed twice", path)
    if not split.train or not split.validation:
        raise DataError("'split' leaves nothing to train on or to validate with", where=path)

    what, do = "has a label but is in no part of the split", "Add it to the split, or leave it out on purpose."
    return [Fault(name, "warning", what, do, code="case-in-no-part") for name in _not_in(parts, labelled)]


def _not_in(known: Container[str], names: Iterable[str]) -> list[str]:
    """Those of the names that are not known, in their order."""
    return [name for name in names if name not in known]


def _refuse(names: list[str], why: str, path: Path) -> None:
    if names:
        raise DataError(f"names in 'split' {why}", where=path, got=listed(names), do="Correct the split.")


def _found(document: Document, root: Path) -> tuple[tuple[Case, ...], list[Fault]]:
    """Cases by the names of their files, and what could not be paired."""
    images, labels = root / document.images, root / document.labels
    for folder in (images, labels):
        if not folder.is_dir():
            raise DataError("no such folder", where=folder, do="Name it in dataset.json, or list the cases there.")

    found = _images(images, document.channels)
    label_of = {stem(path): path for path in visible(labels)}
    cases: list[Case] = []
    faults: list[Fault] = []
    for name, channels in sorted(found.items()):
        ordered = _in_order(channels, document.channels)
        if ordered:
            cases.append(Case(name, ordered, label_of.get(name)))
        else:
            faults.append(_absent_channels(name, channels, document.channels, images))

    faults += [_absent_image(name, label_of[name], images) for name in _not_in(found, label_of)]
    if document.split is None:
        faults += [_absent_label(case.name, labels) for case in cases if case.label is None]
    return tuple(cases), faults


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
    do = f"Add {folder / name}.* or remove the label."
    return Fault(name, "error", f"the label {label} has no image", do, code="absent-image")


def _absent_label(name: str, folder: Path) -> Fault:
    do = f"Add {folder}/NAME.* if it is meant for training; without it the case is only predicted."
    return Fault(name, "warning", "has no label", do, code="absent-label")


def _images(folder: Path, channels: tuple[str, ...]) -> dict[str, dict[str, Path]]:
    """Case -> channel -> image; the channel is `""` where one file or DICOM folder has all of them."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in visible(folder):
        name = stem(path)
        inside = {stem(part): part for part in visible(path)}
        suffix = next((channel for channel in channels if name.endswith(f"_{channel}")), None)
        if any(channel in inside for channel in channels):
            found[name].update({channel: inside[channel] for channel in channels if channel in inside})
        elif suffix is not None:
            found[name[: -len(suffix) - 1]][suffix] = path
        else:
            found[name][""] = path
    return found
