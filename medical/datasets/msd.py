"""Medical Segmentation Decathlon, any task, and whatever else is laid out as it is.

    TaskXX_Name/dataset.json  imagesTr/NAME.nii.gz  labelsTr/NAME.nii.gz  imagesTs/NAME.nii.gz

Only `labels` and `training` must be in the JSON. Of what occurs in the wild, this is understood: hidden `._*` files,
test cases as strings, a missing `imagesTs`, channel names as `modality` or `channel_names`, labels as number -> name or
(nnU-Net) name -> number, an image as a list of files (one per channel), and a `validation` list beside `training`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medical.datasets.cases import (
    UNUSED,
    Case,
    DataSplit,
    missing_files,
    named_once,
    some_labelled,
    stem,
    unlisted_files,
)
from medical.datasets.folds import DatasetSettings, choose
from vol3d.dataset_tools.fault import Fault
from vol3d.errors import DataError
from vol3d.files import read_json

MOST_LABELS = 256


class MsdSettings(DatasetSettings):
    """A Decathlon task; `root` is its folder, or the folder that holds it and no other task."""

    name: Literal["msd"] = "msd"

    def split(self) -> DataSplit:
        """See `DatasetSettings.split`."""
        folder = find_task(self.root)
        listing = read_listing(folder / "dataset.json")
        cases = listing.train + listing.validation
        some_labelled(cases, folder)
        published = None
        if listing.validation:
            published = tuple(c.name for c in listing.train), tuple(c.name for c in listing.validation)
        train, validation = choose(self, cases, folder, published)
        return DataSplit(
            listing.name, listing.class_names, listing.channel_names, train, validation, listing.test, listing.faults
        )


@dataclass(frozen=True)
class Listing:
    """The content of a Decathlon JSON, and its faults."""

    name: str
    class_names: tuple[str, ...]
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
            "not the folder of one Decathlon task",
            where=root,
            got=", ".join(task.name for task in tasks) or "no dataset.json",
            wanted="a folder TaskXX_Name with dataset.json, or its parent",
            do="Choose one of the tasks." if tasks else "Own data without this JSON are read by the data set 'folder'.",
        )
    return tasks[0]


def read_listing(path: Path) -> Listing:
    """The cases of a Decathlon JSON; files that are missing or not listed become faults.

    Raises:
        DataError: not JSON, no `labels` or `training`, an entry that names no image, a name twice.
    """
    document = _read_document(path)
    name = str(document.get("name") or path.parent.name)
    train, validation, test = (_cases(document, key, path) for key in ("training", "validation", "test"))
    named_once(train + validation + test, path)
    faults = [
        *_untrue_counts(document, name, train, test),
        *_unlabelled(train + validation),
        *_files(path, train, validation, test),
    ]
    classes, channels = class_names(document["labels"], path), _channel_names(document)
    return Listing(name, classes, channels, _labelled(train), _labelled(validation), test, tuple(faults))


def _read_document(path: Path) -> dict[str, Any]:
    document = read_json(path)
    if not isinstance(document, dict):
        raise DataError("not a data set's JSON", where=path, got=type(document).__name__, wanted="an object")
    for key in ("labels", "training"):
        if key not in document:
            keys = ", ".join(document) or "nothing"
            do = "Own data with 'classes' are read by the data set 'folder'." if "classes" in document else None
            raise DataError(f"no '{key}' in the JSON", where=path, got=keys, wanted="labels and training", do=do)
    return document


def _labelled(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    return tuple(case for case in cases if case.label is not None)


def class_names(labels: Any, path: Path) -> tuple[str, ...]:
    """`{"0": "background", "1": "liver"}` or `{"background": 0, "liver": 1}` -> names by label.

    A number that the data set leaves out (BraTS has 0, 1, 2, 4) becomes a class called `unused 3`.

    Raises:
        DataError: something else, a number or name twice, no background, or more gaps than classes.
    """
    wanted = '{"0": "background", "1": "first class", ...}'
    names = _names_by_number(labels)
    if names is None or 0 not in names:
        raise DataError("labels are not understood", where=path, got=str(labels)[:200], wanted=wanted)
    last = max(names)
    if last >= min(MOST_LABELS, 2 * len(names)):
        do = "Number the labels from 0 without gaps, in the label files too."
        raise DataError("label numbers leave large gaps", where=path, got=sorted(names), wanted=wanted, do=do)
    return tuple(names.get(number, f"{UNUSED}{number}") for number in range(last + 1))


def _names_by_number(labels: Any) -> dict[int, str] | None:
    """Either form of `labels` as number -> name; None for anything else, and for a number or a name twice."""
    if not isinstance(labels, dict) or not labels:
        return None
    numbers_first = all(str(key).isdecimal() for key in labels)
    pairs = [(key, value) if numbers_first else (value, key) for key, value in labels.items()]
    if not all(str(number).isdecimal() and isinstance(name, str) for number, name in pairs):
        return None
    names = {int(number): name for number, name in pairs}
    return names if len(names) == len(set(names.values())) == len(pairs) else None


def _channel_names(document: dict[str, Any]) -> tuple[str, ...]:
    names = document.get("modality") or document.get("channel_names") or {"0": "image"}
    if isinstance(names, dict):
        ordered = sorted(names, key=lambda key: (len(str(key)), str(key)))  # "10" after "9"
        return tuple(str(names[key]) for key in ordered)
    return tuple(str(name) for name in names) if isinstance(names, list) else (str(names),)


def _cases(document: dict[str, Any], key: str, path: Path) -> tuple[Case, ...]:
    entries = document.get(key) or []
    if not isinstance(entries, list):
        raise DataError(f"'{key}' is not a list", where=path, got=type(entries).__name__)
    return tuple(_case(entry, f"{key}[{number}]", path) for number, entry in enumerate(entries))


def _case(entry: Any, where: str, path: Path) -> Case:
    """`"./imagesTs/a.nii.gz"`, or `{"image": path or paths, "label": path}`."""
    image, label = (entry.get("image"), entry.get("label")) if isinstance(entry, dict) else (entry, None)
    images: list[Any] = image if isinstance(image, list) else [image]
    if not images or not all(isinstance(one, str) and one for one in (*images, "-" if label is None else label)):
        wanted = '{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"} or a path'
        raise DataError(f"{where} names no image", where=path, got=str(entry)[:200], wanted=wanted)
    files = tuple(path.parent / one for one in images)
    return Case(stem(files[0]), files, path.parent / label if isinstance(label, str) else None)


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
            f"{key} says {document[key]}, the list has {len(cases)}",
            do,
            code="untrue-count",
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
    faults = missing_files(here) + unlisted_files(cases, sorted(folders))
    if absent:
        what = f"{absent} of {len(test)} test images do not exist"
        do, numbers = "Nothing, unless you want to predict them.", {"absent": absent, "images": len(test)}
        faults.append(Fault(path.parent.name, "warning", what, do, code="absent-test-images", numbers=numbers))
    return faults
