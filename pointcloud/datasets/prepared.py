"""Scenes as memory-mapped arrays, as `prepare` wrote them: choosing points of a large scene reads only their pages.

OUT/index.json               format, name, class names, the scenes of each part, points and boxes of each scene,
                             what they were made from (`pointcloud.datasets.sources`)
OUT/scenes/NAME.points.npy   float32 (N, 3), metres, z up: all points
OUT/scenes/NAME.rgb.npy      uint8 (N, 3); and so on for every other column
OUT/scenes/NAME.json         what it was made from, hashes of the arrays, frame, boxes and labels, extras
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointcloud.datasets.scenes import Scene, SceneSplit, annotated, fingerprint_of
from pointcloud.datasets.sources import refuse_changed
from vol3d.dataset_tools.stamp import digest
from vol3d.errors import DataError
from vol3d.files import read_json, require_file
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud

FORMAT = 1
INDEX, SCENES, POINTS = "index.json", "scenes", "points"
PARTS = ("train", "validation", "test")
AGAIN = "Run `vol3d data prepare` again."


@dataclass(frozen=True)
class PreparedScene:
    """A scene of a prepared folder.

    Args:
        folder: the prepared folder.
        name: the scene's.
        class_names: of the data set.
    """

    folder: Path
    name: str
    class_names: tuple[str, ...]

    def read(self) -> Scene:
        """The scene; its arrays are mapped from the disk, read-only."""
        record = self.record()
        try:
            arrays = {column: self._mapped(column) for column in record["sha256"]}
            xyz, rows = arrays.pop(POINTS), int(record["points"])
            lengths = {len(values) for values in (xyz, *arrays.values())}
            if lengths != {rows}:
                raise ValueError(f"{sorted(lengths)} points, wanted {rows}")
            cloud = PointCloud(xyz, arrays, origin=np.array(record["origin"], np.float64), notes=_notes(record))
            truth = annotated(record["boxes"], record["labels"], self.class_names, record["frame"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("a prepared scene is damaged", where=self._path(".json"), got=error, do=AGAIN) from error
        return Scene(self.name, cloud, truth)

    def labels(self) -> np.ndarray:
        """As recorded; the arrays stay closed."""
        return np.asarray(self.record()["labels"], np.int64)

    def verify(self) -> None:
        """Raises DataError unless every array holds just what was written."""
        for column, wanted in self.record()["sha256"].items():
            if digest(self._mapped(column)) != wanted:
                where = self._path(f".{column}.npy")
                raise DataError("the prepared array is not what was written", where=where, do=AGAIN)

    def fingerprint(self, quick: bool = False) -> str:
        """Hash of the scene's files."""
        return fingerprint_of(self.files(), list(self.class_names), quick)

    def extra(self, name: str, kind: type) -> Any:
        """What the benchmark needs besides points and boxes, of type `kind`, as the reader's `extras` gave it.

        Raises:
            DataError: the record is damaged, or of a release that did not keep it.
        """
        extras = self.record().get("extras")
        found = extras.get(name) if isinstance(extras, dict) else None
        if not isinstance(found, kind):
            raise DataError("the prepared scene lacks what its benchmark needs", where=self.where(name), do=AGAIN)
        return found

    def where(self, name: str) -> Path:
        """The place of an extra, for messages."""
        return self._path(".json") / name

    def files(self) -> list[Path]:
        """What the scene is read from."""
        return [self._path(".json"), *(self._path(f".{column}.npy") for column in self.record()["sha256"])]

    def record(self) -> dict[str, Any]:
        """What is known of the scene.

        Raises:
            DataError: missing or damaged.
        """
        record = read_json(self._path(".json"))
        if not isinstance(record, dict) or POINTS not in record.get("sha256", ()):
            raise DataError("a prepared scene is damaged", where=self._path(".json"), do=AGAIN)
        return record

    def _path(self, ending: str) -> Path:
        return self.folder / SCENES / f"{self.name}{ending}"

    def _mapped(self, column: str) -> np.ndarray:
        path = self._path(f".{column}.npy")
        try:
            return np.load(require_file(path, do=AGAIN), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError("a prepared array is missing or damaged", where=path, got=error, do=AGAIN) from error


def _notes(record: dict[str, Any]) -> tuple[Note, ...]:
    """What was noted when the scene was read; earlier releases kept the sentences only."""
    if "assumptions" in record:
        return tuple(Note.from_dict(facts) for facts in record["assumptions"])
    return tuple(Note.from_text(str(text)) for text in record["notes"])


def key_of(fingerprint: str) -> str:
    """What the record of a scene has under `key`."""
    return f"{FORMAT}:{fingerprint}"


def made_from(record: dict[str, Any]) -> str:
    """The fingerprint of the scene that a record was made from."""
    return str(record["key"]).partition(":")[2]


def is_prepared(folder: Path) -> bool:
    """Whether `vol3d data prepare` finished in the folder, or began to."""
    return (folder / INDEX).is_file() or next((folder / SCENES).glob(f"*.{POINTS}.npy"), None) is not None


def prepared_split(
    folder: Path, class_names: tuple[str, ...] | None = None, reader: type[PreparedScene] = PreparedScene
) -> SceneSplit:
    """The split of the data set in a prepared folder.

    Args:
        class_names: what its classes must be; None takes them as they are.
        reader: of its scenes, where a benchmark needs more than points and boxes.

    Raises:
        DataError: preparation did not finish, another release's format, other classes, a damaged index; originals that
            have changed since.
    """
    path = folder / INDEX
    if not path.is_file():
        raise DataError("the preparation did not finish", where=folder, do="Run the same `vol3d data prepare` again.")
    index = read_json(path)
    try:
        if index["format"] != FORMAT:
            do = "Prepare the data set again, or use the release that made it."
            raise DataError("prepared by another release", where=path, got=index["format"], wanted=FORMAT, do=do)
        names = tuple(str(name) for name in index["class_names"])
        if class_names is not None and names != class_names:
            raise DataError("other classes", where=path, got=", ".join(names), wanted=", ".join(class_names))
        train, validation, test = (tuple(reader(folder, str(name), names) for name in index[part]) for part in PARTS)
        refuse_changed(folder, index, lambda name: made_from(PreparedScene(folder, name, names).record()), PARTS)
        synthetic = index.get("synthetic") is True
        return SceneSplit(str(index["name"]), names, train, validation, test, synthetic=synthetic)
    except (KeyError, TypeError) as error:
        raise DataError("not the index of a prepared data set", where=path, got=error) from error
