"""ScanNet v2 (Dai et al., CVPR 2017): 1201, 312 and 100 reconstructed rooms, 18 classes in VoteNet's order.

`root` is recognised by what is in it: the raw download (`scans`, `scans_test`), VoteNet's or mmdetection3d's exported
arrays, mmdetection3d's points with an index, or a folder that `vol3d data prepare` wrote. The split lists
(`scannetv2_train.txt` ...) and `scannetv2-labels.combined.tsv` lie in `root` or in `root/meta_data`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from pointcloud.datasets.prepared import is_prepared, prepared_split
from pointcloud.datasets.scannet.exports import ExportedScan, IndexedScan, read_index
from pointcloud.datasets.scannet.raw import RawScan
from pointcloud.datasets.scenes import SceneReader, SceneSplit
from pointcloud.datasets.settings import SceneSettings
from pointcloud.structures.class_names import SCANNET_CLASSES
from pointcloud.structures.generated import is_generated
from vol3d.dataset_tools.fault import Fault, Severity, absent_file, listed
from vol3d.errors import DataError
from vol3d.files import is_there, read_text
from vol3d.layouts import layout_hint

NAME = "ScanNet"
NYU40 = dict(zip(SCANNET_CLASSES, (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39), strict=True))
"""NYU-40 identifiers of the classes; class 39 of NYU-40 is "otherfurniture" in ScanNet."""
LISTS = {"train": "scannetv2_train.txt", "validation": "scannetv2_val.txt", "test": "scannetv2_test.txt"}
LABEL_MAP = "scannetv2-labels.combined.tsv"
ARRAYS = ("", "scannet_train_detection_data", "scannet_instance_data")
TO_JSON = (
    'Pickles are not opened. Convert them where you trust them: python -c "import json, pickle, sys; '
    "json.dump(pickle.load(open(sys.argv[1], 'rb')), open(sys.argv[2], 'w'), default=lambda a: a.tolist())\" "
    "scannet_infos_train.pkl scannet_infos_train.json"
)


class ScanNetSettings(SceneSettings):
    """ScanNet v2 in any of its forms."""

    name: Literal["scannet"] = "scannet"
    root: Path = Field(description="the data set's folder: raw, exported by VoteNet or mmdetection3d, or prepared")
    lists: Path | None = Field(
        None, description="folder of scannetv2_train.txt, _val.txt, _test.txt; null: root, or meta_data in it"
    )

    def split(self) -> SceneSplit:
        """The scans of the three lists. Reads no points, so that it is quick and works on a damaged data set too.

        Raises:
            DataError: the folder is none of the known forms, or a list or the label map is missing.
        """
        if not self.root.is_dir():
            raise DataError("no such folder", where=self.root, do="Set the data set's root to where it lies.")
        if is_prepared(self.root):
            return prepared_split(self.root, SCANNET_CLASSES)
        if (self.root / "scans").is_dir():
            return self._raw()
        for folder in (self.root / name for name in ARRAYS):
            if next(folder.glob("*_vert.npy"), None) is not None:
                return self._exported(folder)
        if (self.root / "points").is_dir():
            return self._indexed()
        got = ", ".join(sorted(path.name for path in self.root.iterdir())[:5]) or "an empty folder"
        wanted = "scans (the raw download), *_vert.npy, points with scannet_infos_train.json, or a prepared index.json"
        do = layout_hint(self.root, self.name)
        raise DataError("not a ScanNet folder", where=self.root, got=got, wanted=wanted, do=do)

    def _raw(self) -> SceneSplit:
        labels = read_label_map(self._meta(LABEL_MAP))

        def find(name: str, part: str) -> RawScan | None:
            folder = self.root / ("scans_test" if part == "test" else "scans") / name
            if part == "test" and not folder.is_dir():
                folder = self.root / "scans" / name
            return RawScan(folder, SCANNET_CLASSES, None if part == "test" else labels) if folder.is_dir() else None

        return replace(self._listed(find), synthetic=is_generated(self.root))

    def _exported(self, folder: Path) -> SceneSplit:
        def find(name: str, part: str) -> ExportedScan | None:
            scan = ExportedScan(folder, name, SCANNET_CLASSES, tuple(NYU40.values()), labelled=part != "test")
            return scan if (folder / f"{name}_vert.npy").is_file() else None

        return self._listed(find)

    def _listed(self, find: Callable[[str, str], RawScan | ExportedScan | None]) -> SceneSplit:
        """The scans of the lists; files that one lacks and scans that are not there at all are faults."""
        train, validation = _read_list(self._meta(LISTS["train"])), _read_list(self._meta(LISTS["validation"]))
        lists = {"train": train, "validation": validation, "test": self._test()}

        scans: dict[str, list[RawScan | ExportedScan]] = {}
        faults: list[Fault] = []
        for part, names in lists.items():
            scans[part], wrong = _scans(part, names, find)
            faults += wrong
        return _split(scans["train"], scans["validation"], scans["test"], faults)

    def _indexed(self) -> SceneSplit:
        def read(part: str) -> tuple[IndexedScan, ...]:
            path = self.root / f"scannet_infos_{part}.json"
            if not path.is_file():
                raise DataError("the index is missing", where=path, wanted="mmdetection3d's index as JSON", do=TO_JSON)
            return read_index(path, self.root / "points", SCANNET_CLASSES)

        train, validation = read("train"), read("val")
        faults = [fault for scan in (*train, *validation) for fault in _incomplete(scan)]
        return _split(train, validation, (), faults)

    def _test(self) -> list[str]:
        path = self._meta(LISTS["test"])
        return _read_list(path) if is_there(path) else []

    def _meta(self, file: str) -> Path:
        """Where a list or the label map lies; the first place if it is nowhere."""
        folders = [self.lists] if self.lists else []
        places = [folder / file for folder in (*folders, self.root, self.root / "meta_data")]
        return next((path for path in places if is_there(path)), places[0])


def read_label_map(path: Path) -> dict[str, int | None]:
    """Raw category -> index of its class, None for one that is not detected.

    Raises:
        DataError: missing, or without the columns raw_category and nyu40id.
    """
    labels = {number: label for label, number in enumerate(NYU40.values())}
    text = read_text(path, do=f"Copy ScanNet's {LABEL_MAP} there.")
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t")
        return {row["raw_category"]: labels.get(int(row["nyu40id"])) for row in rows}
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError("not ScanNet's label map", where=path, got=error, wanted="raw_category, nyu40id") from error


def _read_list(path: Path) -> list[str]:
    text = read_text(path, do="Copy ScanNet's split lists there, or set `lists` to their folder.")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _scans(
    part: str, names: Sequence[str], find: Callable[[str, str], RawScan | ExportedScan | None]
) -> tuple[list[RawScan | ExportedScan], list[Fault]]:
    """The scans of one list that are there, and what is missing: whole scans, and files of those that are there."""
    scans, absent = [], []
    for name in names:
        scan = find(name, part)
        if scan is None:
            absent.append(name)
        else:
            scans.append(scan)

    faults = _missing(part, absent, len(names))
    for scan in scans:
        faults += _incomplete(scan)
    return scans, faults


def _missing(part: str, names: Sequence[str], of: int) -> list[Fault]:
    if not names:
        return []
    what = f"{len(names)} of the {of} listed {part} scans are missing: {listed(names)}"
    do = "Complete the download, or keep lists of what is there in another folder and set `lists`."
    severity: Severity = "warning" if part == "test" else "error"
    return [Fault(NAME, severity, what, do, code="absent-scans", numbers={"absent": len(names), "scans": of})]


def _incomplete(scan: RawScan | ExportedScan | IndexedScan) -> list[Fault]:
    return [
        absent_file(scan.name, path, "Download or export the scan again.")
        for path in scan.files()
        if not path.is_file()
    ]


def _split(
    train: Sequence[SceneReader], validation: Sequence[SceneReader], test: Sequence[SceneReader], faults: list[Fault]
) -> SceneSplit:
    return SceneSplit(NAME, SCANNET_CLASSES, tuple(train), tuple(validation), tuple(test), tuple(faults))
