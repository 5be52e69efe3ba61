"""The JSON files of data sets of volumes: lists of cases, nnU-Net's, own folders, folds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medical.datasets.folder import FolderSettings
from medical.datasets.folds import read_folds
from medical.datasets.msd import MsdSettings
from tests.fuzz.runner import Reader

NAMES = ("a", "b", "c")
LABELS = {"background": 0, "whole": [1, 2], "anterior": 1, "ignore": 3}


def _files(root: Path, images: str, labels: str, suffix: str) -> None:
    """Empty files: listing opens none."""
    for name in NAMES:
        for path in (root / images / f"{name}{suffix}.nii.gz", root / labels / f"{name}.nii.gz"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def _msd(path: Path) -> None:
    _files(path.parent, "imagesTr", "labelsTr", "")
    listed = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in NAMES]
    labels = {"0": "background", "1": "anterior", "2": "posterior"}
    known = {"name": "Blobs", "modality": {"0": "MRI"}, "numTraining": 3, "test": ["./imagesTs/d.nii.gz"]}
    _write(path, known | {"labels": labels, "training": listed})


def _nnunet(path: Path) -> None:
    _files(path.parent, "imagesTr", "labelsTr", "_0000")
    names = {"channel_names": {"0": "MRI"}, "file_ending": ".nii.gz", "numTraining": 3}
    _write(path, names | {"labels": LABELS, "regions_class_order": [2, 1]})


def _folder(path: Path) -> None:
    _files(path.parent, "images", "labels", "_T1")
    cases = [{"name": name, "images": [f"images/{name}_T1.nii.gz"], "label": f"labels/{name}.nii.gz"} for name in NAMES]
    split = {"train": ["a"], "validation": ["b"], "test": ["c"]}
    known = {"classes": ["background", "x"], "channels": ["T1"], "ignore": 9, "name": "mine", "images": "images"}
    _write(path, known | {"cases": cases, "split": split})


def _folds(path: Path) -> None:
    _write(path, [{"train": ["a", "b"], "val": ["c"]}, {"train": ["b", "c"], "val": ["a"]}])


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1))


def _root(path: Path) -> Path:
    """A folder with the mutant as its `dataset.json`."""
    (path.parent / "dataset.json").write_bytes(path.read_bytes())
    return path.parent


READERS: dict[str, Reader] = {
    "msd.json": (lambda path: MsdSettings(root=_root(path)).split(), _msd),
    "nnunet.json": (lambda path: MsdSettings(root=_root(path)).split(), _nnunet),
    "folder.json": (lambda path: FolderSettings(root=_root(path)).split(), _folder),
    "splits_final.json": (lambda path: read_folds(path, NAMES), _folds),
}
