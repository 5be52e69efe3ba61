"""Own scans: a folder of clouds in any format that is read, and one JSON with all boxes.

    mine/
      boxes.json
      room1.ply  room2.pcd  upstairs/room3.npy ...

    {
      "format": 1,
      "class_names": ["chair", "table"],
      "scenes": {
        "room1.ply": [{"class": "chair", "center": [1.0, 2.0, 0.4], "size": [0.5, 0.5, 0.9], "yaw": 0.0}],
        "upstairs/room3.npy": []
      },
      "validation": ["upstairs/room3.npy"]
    }

`center` is the middle of the box and `size` its length (along the heading), width and height, in metres with z up;
`yaw` is counter-clockwise from +x, in radians: the objects that `vol3d predict` writes are in the same form.
`validation` is a list of scenes, or a fraction: then a hash of each name decides, so that more scenes later change
nothing for the old ones. Clouds without an entry have no labels: they can be predicted, not trained on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from pydantic import Field, StrictFloat, StrictInt, ValidationError

from pointcloud.datasets.prepared import is_prepared, prepared_split
from pointcloud.datasets.scenes import Scene, SceneSplit, annotated, chance_of, fingerprint_of
from pointcloud.datasets.settings import SceneSettings
from vol3d.dataset_tools.fault import Fault, absent_file, fault_of, listed
from vol3d.engine.settings import Settings
from vol3d.errors import DataError
from vol3d.files import read_json
from vol3d.layouts import layout_hint
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.find import find_point_files, points_file_stem
from vol3d.scans.points.options import Axis, LengthUnit
from vol3d.scans.points.read import read_points
from vol3d.scans.results.read import parse_objects


class PointFolderSettings(SceneSettings):
    """A folder of clouds and one JSON of boxes; `help(pointcloud.datasets.point_folder)` has the whole schema."""

    name: Literal["point_folder"] = "point_folder"
    root: Path = Field(description="the folder of the clouds, or a prepared one")
    boxes: Path = Field(Path("boxes.json"), description="the JSON; a relative path is looked for in the folder")
    columns: tuple[str, ...] | None = Field(None, description="names of the columns of files that do not name them")
    up: Axis = Field("auto", description="the axis that points up in the files")
    units: LengthUnit = Field("auto", description="the unit of length in the files")

    def split(self) -> SceneSplit:
        """The scenes of the JSON. Reads no cloud, so that it is quick and works on damaged files too.

        Raises:
            DataError: no folder, no JSON, or one that cannot be understood. Faults of single scenes are in `listing`.
        """
        if not self.root.is_dir():
            raise DataError("no such folder", where=self.root, do="Set the data set's root to where it lies.")
        path = self.root / self.boxes
        if not path.is_file() and is_prepared(self.root):
            return prepared_split(self.root)
        listing = _read_listing(path)
        _refuse_names(listing.class_names, path)
        validating = _validating(listing, path)

        faults: list[Fault] = []
        with_entry, without_entry = self._files(listing, faults)
        labelled = {file: self._scene(file, listing.scenes[file], listing, faults) for file in with_entry}
        test = tuple(self._scene(file, None, listing, faults) for file in without_entry)
        faults += _missing(self.root, with_entry)
        faults += _without_entry(without_entry)
        faults += _without_yaw(self.root.resolve().name, listing)

        train = tuple(scene for file, scene in labelled.items() if file not in validating)
        validation = tuple(scene for file, scene in labelled.items() if file in validating)
        return SceneSplit(self.root.resolve().name, listing.class_names, train, validation, test, tuple(faults))

    def _files(self, listing: Listing, faults: list[Fault]) -> tuple[list[str], list[str]]:
        """The files that have an entry in the JSON and those that have none; each name once."""
        unlisted = sorted(_clouds(self.root) - set(listing.scenes))
        files = _one_of_each_name(_inside([*listing.scenes, *unlisted], faults), faults)
        with_entry = [file for file in files if file in listing.scenes]
        without_entry = [file for file in files if file not in listing.scenes]
        return with_entry, without_entry

    def _scene(self, file: str, objects: Any, listing: Listing, faults: list[Fault]) -> FolderScene:
        """One scene; what is wrong with its objects becomes a fault, and the scene keeps none of them."""
        boxes: np.ndarray = np.zeros((0, 7), np.float32)
        labels: tuple[int, ...] = ()
        try:
            if objects is not None:
                truth = parse_objects(objects, listing.class_names, str(self.boxes))
                boxes, labels = truth.boxes, tuple(truth.labels.tolist())
        except DataError as error:
            faults.append(fault_of(_name(file), error, "Correct its entry in the JSON.", "bad-entry"))
        rows = tuple(tuple(row) for row in boxes.astype(np.float64).tolist())
        reading = (self.columns, self.up, self.units)
        return FolderScene(self.root / file, _name(file), listing.class_names, rows, labels, *reading)


class Listing(Settings):
    """What `boxes.json` holds; the objects are looked at scene by scene."""

    format: Literal[1]
    class_names: tuple[str, ...] = Field(min_length=1)
    scenes: dict[str, Any] = Field(min_length=1)
    validation: tuple[str, ...] | StrictFloat | StrictInt = ()


@dataclass(frozen=True)
class FolderScene:
    """A scan of a folder.

    Args:
        path: its file.
        name: unique in the folder.
        class_names: of the data set.
        boxes: rows of 7 or 9 numbers, metres, z up, in the file's coordinates without any origin taken off.
        box_labels: index of the class of each box.
        columns, up, units: how the file is read.
    """

    path: Path
    name: str
    class_names: tuple[str, ...]
    boxes: tuple[tuple[float, ...], ...]
    box_labels: tuple[int, ...]
    columns: tuple[str, ...] | None = None
    up: Axis = "auto"
    units: LengthUnit = "auto"

    def read(self) -> Scene:
        """All points of the file, and the boxes beside them."""
        cloud = read_points(self.path, columns=self.columns, up=self.up, units=self.units)
        boxes = [[*(np.array(row[:3]) - cloud.origin), *row[3:]] for row in self.boxes]
        bare = PointCloud(cloud.xyz, cloud.columns, None, cloud.origin, cloud.source, cloud.notes)
        return Scene(self.name, bare, annotated(boxes, self.box_labels, self.class_names, "scan"))

    def labels(self) -> np.ndarray:
        """As the JSON lists them; the file stays closed."""
        return np.array(self.box_labels, np.int64)

    def fingerprint(self, quick: bool = False) -> str:
        """Hash of the file, the boxes and how the file is read."""
        reading = [self.columns, self.up, self.units]
        return fingerprint_of([self.path], [self.class_names, self.boxes, self.box_labels, *reading], quick)


_SCHEMA = "`vol3d init point_folder FOLDER classes=A,B` begins one; `docs/data.md` shows what to write into it."


def _read_listing(path: Path) -> Listing:
    if not path.is_file():
        do = layout_hint(path.parent, "point_folder") if path.parent.is_dir() else None
        raise DataError("the JSON of the boxes is missing", where=path, do=do or _SCHEMA)
    try:
        return Listing.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        what = f"unknown key '{where}'" if unknown else f"{where or 'the JSON'}: {first['msg']}"
        raise DataError(what, where=path, wanted=", ".join(Listing.model_fields), do=_SCHEMA) from error


def _refuse_names(names: Sequence[str], path: Path) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1 or not name.strip()]
    if twice:
        raise DataError("class names must be different and not empty", where=path, got=listed(map(repr, twice)))


def _validating(listing: Listing, path: Path) -> set[str]:
    if not isinstance(listing.validation, tuple):
        share = float(listing.validation)
        if not 0 <= share < 1:
            raise DataError("validation is no fraction", where=path, got=share, wanted="0 to 1, or a list of scenes")
        return {file for file in listing.scenes if chance_of(file) < share}
    unknown = [file for file in listing.validation if file not in listing.scenes]
    if unknown:
        raise DataError("validation names scenes without an entry", where=path, got=listed(unknown))
    return set(listing.validation)


def _without_yaw(data_set: str, listing: Listing) -> list[Fault]:
    """That boxes state no yaw, which then is 0; entries that are no boxes are faults of their scenes."""
    objects = [one for scene in listing.scenes.values() if isinstance(scene, list) for one in scene]
    boxes = [one for one in objects if isinstance(one, dict)]
    count = sum("yaw" not in one for one in boxes)
    if not count:
        return []
    what, do = (
        f"{count:,} of {len(boxes):,} boxes state no yaw: 0 was taken",
        'Write "yaw": 0 where they are not turned.',
    )
    numbers = {"without": count, "boxes": len(boxes)}
    return [Fault(data_set, "warning", what, do, code="boxes-without-yaw", numbers=numbers)]


def _name(file: str) -> str:
    """`upstairs/room3.npy` -> `upstairs_room3`."""
    return "_".join((*PurePosixPath(file).parts[:-1], points_file_stem(file)))


def _clouds(root: Path) -> set[str]:
    """Clouds in the folder and below, as the JSON would name them."""
    try:
        return {path.relative_to(root).as_posix() for path in find_point_files([root])}
    except DataError:  # not a single one: those listed are reported as missing
        return set()


def _inside(files: Iterable[str], faults: list[Fault]) -> list[str]:
    """The files that lie in the folder; each other becomes a fault and no scene."""
    inside = []
    for file in files:
        if ".." in PurePosixPath(file).parts or PurePosixPath(file).is_absolute():
            what = f"the path {file} leads out of the folder"
            faults.append(Fault(file, "error", what, "Name files inside it.", code="file-outside-folder"))
        else:
            inside.append(file)
    return inside


def _one_of_each_name(files: Iterable[str], faults: list[Fault]) -> list[str]:
    """The first file of each name, upper and lower case alike; one fault names the others."""
    groups: dict[str, list[str]] = {}
    for file in files:
        groups.setdefault(_name(file).casefold(), []).append(file)
    for first, *others in groups.values():
        if others:
            what = f"{first} has the same name as {listed(others)}"
            do = "Rename or remove all but one: a name is one scene's."
            faults.append(Fault(_name(first), "error", what, do, code="duplicate-scene"))
    return [group[0] for group in groups.values()]


def _missing(root: Path, files: Iterable[str]) -> list[Fault]:
    do = "Copy it there, or remove its entry from the JSON."
    absent = [file for file in files if not (root / file).is_file()]
    return [absent_file(_name(file), f"the file {root / file}", do) for file in absent]


def _without_entry(files: Iterable[str]) -> list[Fault]:
    do = "Give it an entry in the JSON, [] if it shows no object; until then it is predicted only."
    return [
        Fault(_name(file), "warning", f"{file} has no entry in the JSON", do, code="scene-without-entry")
        for file in files
    ]
