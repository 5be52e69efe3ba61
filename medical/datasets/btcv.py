"""BTCV abdomen CT (Synapse syn3193805), 13 organs, as Synapse hands it out or renamed for MONAI's tutorials.

Raw: `RawData/Training/img/img0001.nii.gz` with `RawData/Training/label/label0001.nii.gz`, and `RawData/Testing/img`.
Renamed: `imagesTr/img0001.nii.gz` with `labelsTr/label0001.nii.gz`, usually with `dataset_0.json`, whose `numTraining`
of 80 is untrue (24 and 6 are listed). Images and labels are paired by number; 0011 to 0020 do not exist.
The published validation split is 0035 to 0040 (six of 30 cases).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal

from medical.datasets.cases import Case, DataSplit, scans_in, some_labelled, stem, visible
from medical.datasets.folds import DatasetSettings, choose
from medical.datasets.msd import read_listing
from vol3d.dataset_tools.fault import Fault
from vol3d.errors import DataError
from vol3d.layouts import layout_hint

CLASS_NAMES = (
    "background",
    "spleen",
    "right kidney",
    "left kidney",
    "gallbladder",
    "oesophagus",
    "liver",
    "stomach",
    "aorta",
    "inferior vena cava",
    "portal and splenic veins",
    "pancreas",
    "right adrenal gland",
    "left adrenal gland",
)
VALIDATION = frozenset(range(35, 41))


class BtcvSettings(DatasetSettings):
    """BTCV; `root` is the folder with `dataset_0.json`, `imagesTr`, `RawData`, or inside `RawData`.

    The default `fold: null` is the published split: 0035 to 0040 validate.
    """

    known: ClassVar = (CLASS_NAMES, ("CT",))

    name: Literal["btcv"] = "btcv"

    def split(self) -> DataSplit:
        """See `DatasetSettings.split`."""
        if not self.root.is_dir():
            raise DataError("no such folder", where=self.root, do="Set the data set's root to where it was unpacked.")
        path = _json(self.root)
        labelled, validation, test, faults = _listed(path) if path else _by_number(self.root)
        some_labelled(labelled, self.root)
        train = tuple(case.name for case in labelled if case.name not in validation)
        chosen = choose(self, labelled, self.root, published=(train, validation))
        if self.fold is None and not (train and validation):
            what = "the published split has no case to " + ("validate with" if train else "train on")
            do = "Complete the download, or choose a fold: data.fold=0."
            faults = (*faults, Fault("BTCV", "error", what, do, code="empty-part"))
        return DataSplit("BTCV", *self.known, *chosen, test, faults)


Found = tuple[tuple[Case, ...], tuple[str, ...], tuple[Case, ...], tuple[Fault, ...]]
"""Labelled cases, names of those that validate, test cases, faults."""


def _json(root: Path) -> Path | None:
    return next((root / name for name in ("dataset_0.json", "dataset.json") if (root / name).is_file()), None)


def _listed(path: Path) -> Found:
    listing = read_listing(path)
    if len(listing.labels.class_names) != len(CLASS_NAMES):
        got = ", ".join(listing.labels.class_names)
        raise DataError("these are not BTCV's labels", where=path, got=got, wanted="background and 13 organs")
    labelled = listing.train + listing.validation
    validation = tuple(case.name for case in listing.validation) or _published(labelled)
    return labelled, validation, listing.test, listing.faults


def _by_number(root: Path) -> Found:
    """Pairs of the raw layout, or of the renamed one without its JSON."""
    images, labels, tests = _folders(root)
    image_at, label_at = _numbered(images), _numbered(labels)
    pairs = sorted(image_at.keys() & label_at.keys())
    labelled = tuple(Case(stem(image_at[n]), (image_at[n],), label_at[n]) for n in pairs)
    test = tuple(Case(stem(path), (path,)) for _, path in sorted(_numbered(tests).items()))
    faults = [
        Fault(
            stem(path),
            "error",
            f"{path} has no {other} with the number {n:04d}",
            f"Copy it to {folder}.",
            code=f"absent-{other}",
            numbers={"number": n},
        )
        for here, there, other, folder in ((image_at, label_at, "label", labels), (label_at, image_at, "image", images))
        for n, path in sorted(here.items())
        if n not in there
    ]
    return labelled, _published(labelled), test, tuple(faults)


def _folders(root: Path) -> tuple[Path, Path, Path]:
    """Folders of training images, their labels, and test images."""
    for base in (root, root / "RawData", root / "Abdomen" / "RawData"):
        if (base / "Training" / "img").is_dir():
            return base / "Training" / "img", base / "Training" / "label", base / "Testing" / "img"
    if (root / "img").is_dir():
        return root / "img", root / "label", root.parent / "Testing" / "img"
    if (root / "imagesTr").is_dir():
        return root / "imagesTr", root / "labelsTr", root / "imagesTs"
    wanted = "dataset_0.json, imagesTr, or RawData/Training/img"
    got = ", ".join(path.name for path in visible(root)[:5]) or "an empty folder"
    raise DataError("not a BTCV folder", where=root, got=got, wanted=wanted, do=layout_hint(root, "btcv"))


def _numbered(folder: Path) -> dict[int, Path]:
    """Number in the file name -> file: `img0001.nii.gz` is 1."""
    found: dict[int, Path] = {}
    for path in scans_in(folder):
        number = re.search(r"\d+$", stem(path))
        if number and found.setdefault(int(number[0]), path) != path:
            got = f"{found[int(number[0])].name} and {path.name}"
            raise DataError("two files have the same number", where=folder, got=got, do="Keep one of them.")
    return found


def _published(cases: tuple[Case, ...]) -> tuple[str, ...]:
    numbers = ((case.name, re.search(r"\d+$", case.name)) for case in cases)
    return tuple(name for name, number in numbers if number and int(number[0]) in VALIDATION)
