"""Medical Segmentation Decathlon, any task, and whatever else is laid out as it is.

    TaskXX_Name/dataset.json  imagesTr/NAME.nii.gz  labelsTr/NAME.nii.gz  imagesTs/NAME.nii.gz

Only `labels` and `training` must be in the JSON. Of what occurs in the wild, this is understood: hidden `._*` files,
test cases as strings, a missing `imagesTs`, channel names as `modality` or `channel_names`, an image as a list of files
(one per channel), a `validation` list beside `training`; labels as in `medical.datasets.labels`; and without `training`
nnU-Net's raw folder (`medical.datasets.nnunet`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medical.datasets.cases import (
    Case,
    DataSplit,
    data_path,
    missing_files,
    named_once,
    outside_files,
    read_document,
    some_labelled,
    unlisted_files,
)
from medical.datasets.folds import DatasetSettings, choose
from medical.datasets.labels import LabelTable, label_table
from medical.datasets.nnunet import case_name, channel_files, raw_cases
from vol3d.dataset_tools.fault import Fault
from vol3d.errors import DataError
from vol3d.layouts import layout_hint

_OWN = "Own data without this JSON are read by the data set 'folder'."


class MsdSettings(DatasetSettings):
    """A Decathlon task; `root` is its folder, or the folder that holds it and no other task."""

    name: Literal["msd"] = "msd"

    def split(self) -> DataSplit:
        """See `DatasetSettings.split`."""
        return split_of(find_task(self.root), self)


class NnunetSettings(DatasetSettings):
    """nnU-Net's raw data; `root` is `DatasetXXX_Name`, or the folder that holds it and no other one."""

    name: Literal["nnunet"] = "nnunet"

    def split(self) -> DataSplit:
        """See `DatasetSettings.split`."""
        return split_of(find_task(self.root), self)


def split_of(folder: Path, settings: DatasetSettings) -> DataSplit:
    """The cases of a folder with a Decathlon's or nnU-Net's JSON, split as the settings want it."""
    listing = read_listing(folder / "dataset.json")
    cases = listing.train + listing.validation
    some_labelled(cases, folder)
    published = None
    if listing.validation:
        published = tuple(c.name for c in listing.train), tuple(c.name for c in listing.validation)
    train, validation = choose(settings, cases, folder, published)
    names, regions = listing.labels.class_names, listing.labels.regions
    return DataSplit(
        listing.name, names, listing.channel_names, train, validation, listing.test, listing.faults, regions
    )


@dataclass(frozen=True)
class Listing:
    """The content of a Decathlon JSON, and its faults."""

    name: str
    labels: LabelTable
    channel_names: tuple[str, ...]
    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]
    faults: tuple[Fault, ...]


def find_task(root: Path) -> Path:
    """`root` if it has a `dataset.json`, else its only sub-folder that has one.

    Raises:
        DataError: there is none, or several.
    """
    if not root.is_dir():
        raise DataError("no such folder", where=root, do="Set the data set's root to where it was unpacked.")
    if (root / "dataset.json").is_file():
        return root
    tasks = sorted(path.parent for path in root.glob("*/dataset.json") if not path.parent.name.startswith("."))
    if len(tasks) != 1:
        raise DataError(
            "not the folder of one Decathlon task, or of one data set of nnU-Net",
            where=root,
            got=", ".join(task.name for task in tasks) or "no dataset.json",
            wanted="a folder with dataset.json, or its parent",
            do="Choose one of these." if tasks else layout_hint(root, "msd") or _OWN,
        )
    return tasks[0]


def read_listing(path: Path) -> Listing:
    """The cases of a Decathlon JSON or of nnU-Net's; files that are missing or not listed become faults.

    Raises:
        DataError: not JSON, no `labels`, no cases, an entry that names no image, a name twice.
    """
    document = _with_labels(path)
    name = document.get("name") or path.parent.name
    if not isinstance(name, str):
        raise DataError("the data set's name is no text", where=path, got=str(name)[:80])
    labels = label_table(document["labels"], path, document.get("regions_class_order"))
    channels = _channel_names(document, path)
    if "training" in document:
        train, validation, test = (
            _cases(document, key, path, len(channels), labels.ignore) for key in ("training", "validation", "test")
        )
        faults = _untrue_counts(document, name, train, test)
    else:
        validation = ()
        train, test, faults = raw_cases(document, path, len(channels), labels.ignore)
        faults = [*_untrue_counts(document, name, train, ()), *faults]
    named_once(train + validation + test, path)
    faults += [*_unlabelled(train + validation), *_files(path, train, validation, test)]
    return Listing(name, labels, channels, _labelled(train), _labelled(validation), test, tuple(faults))


def _with_labels(path: Path) -> dict[str, Any]:
    document = read_document(path)
    raw = {"channel_names", "file_ending", "dataset"} & set(document)
    if "labels" not in document or not ("training" in document or raw):
        keys = ", ".join(document) or "nothing"
        do = "Own data with 'classes' are read by the data set 'folder'." if "classes" in document else None
        missing = "labels" if "labels" not in document else "training"
        wanted = "labels and training, or nnU-Net's labels and channel_names"
        raise DataError(f"no '{missing}' in the JSON", where=path, got=keys[:200], wanted=wanted, do=do)
    return document


def _labelled(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    return tuple(case for case in cases if case.label is not None)


def _channel_names(document: dict[str, Any], path: Path) -> tuple[str, ...]:
    """`{"0": "CT"}`, `["CT"]` or `"CT"`; nnU-Net's first version also had name -> number."""
    names = document.get("modality") or document.get("channel_names") or {"0": "image"}
    if isinstance(names, dict):
        ordered = sorted(names, key=lambda key: (len(key), key))  # "10" after "9"
        names = [names[key] for key in ordered]
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise DataError("channel names are not understood", where=path, got=str(names)[:200], wanted='{"0": "CT"}')
    if len(set(names)) != len(names):  # the same sequence twice: its number distinguishes it
        names = [f"{name} {number}" for number, name in enumerate(names)]
    return tuple(names)


def _cases(document: dict[str, Any], key: str, path: Path, channels: int, ignore: int | None) -> tuple[Case, ...]:
    entries = document.get(key) or []
    if not isinstance(entries, list):
        raise DataError(f"'{key}' is not a list", where=path, got=type(entries).__name__)
    return tuple(_case(entry, f"{key}[{number}]", path, channels, ignore) for number, entry in enumerate(entries))


def _case(entry: Any, where: str, path: Path, channels: int, ignore: int | None) -> Case:
    """`"./imagesTs/a.nii.gz"`, or `{"image": path or paths, "label": path}`."""
    image, label = (entry.get("image"), entry.get("label")) if isinstance(entry, dict) else (entry, None)
    images: list[Any] = image if isinstance(image, list) else [image]
    if not images or not all(isinstance(one, str) and one for one in (*images, "-" if label is None else label)):
        wanted = '{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"} or a path'
        raise DataError(f"{where} names no image", where=path, got=str(entry)[:200], wanted=wanted)
    files = tuple(data_path(path.parent, one, path) for one in images)
    files = channel_files(files[0], channels) if len(files) == 1 else files
    target = data_path(path.parent, label, path) if isinstance(label, str) else None
    return Case(case_name(files), files, target, ignore)


def _unlabelled(cases: tuple[Case, ...]) -> list[Fault]:
    what = "listed for training without a label"
    do = "Add its label to the JSON or move it to 'test'."
    return [Fault(case.name, "error", what, do, code="absent-label") for case in cases if case.label is None]


def _untrue_counts(document: dict[str, Any], name: str, train: tuple[Case, ...], test: tuple[Case, ...]) -> list[Fault]:
    do = "Nothing: the lists count. Complete the download if cases are missing."
    return [
        Fault(
            name,
            "warning",
            f"{key} says {str(document[key])[:40]}, the list has {len(cases)}",
            do,
            code="wrong-count",
            numbers={"listed": len(cases)},
        )
        for key, cases in (("numTraining", train), ("numTest", test))
        if key in document and document[key] != len(cases)
    ]


def _files(path: Path, train: tuple[Case, ...], validation: tuple[Case, ...], test: tuple[Case, ...]) -> list[Fault]:
    cases = train + validation + test
    folders = {path.parent / folder for folder in ("imagesTr", "labelsTr", "imagesTs")}
    # `imagesTs` is a large separate download that training does not need.
    here = [case for case in cases if case not in test or any(image.exists() for image in case.images)]
    absent = len(cases) - len(here)
    faults = missing_files(here) + unlisted_files(cases, sorted(folders)) + outside_files(cases, path.parent)
    if absent:
        what = f"{absent} of {len(test)} test images do not exist"
        do, numbers = "Nothing, unless you want to predict them.", {"absent": absent, "images": len(test)}
        faults.append(Fault(path.parent.name, "warning", what, do, code="absent-test-images", numbers=numbers))
    return faults
