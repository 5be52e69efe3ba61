"""What a prediction is, in memory: the scan, what was found in it, and how both become files."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vol3d.files import make_folder, refuse_overwrite, sha256
from vol3d.notes import Note, as_facts
from vol3d.paths import user_path
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.find import BOX_LINES_SUFFIX, points_file_stem
from vol3d.scans.results.box_lines import write_box_lines
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.own import refuse_foreign
from vol3d.scans.results.read import FORMAT
from vol3d.scans.results.record import Record, way_to, write_record
from vol3d.scans.results.write import describe_objects, write_detections
from vol3d.scans.volumes.probabilities import Probabilities
from vol3d.scans.volumes.volume import Segmentation, Volume
from vol3d.terminal import say

if TYPE_CHECKING:
    from vol3d.view.theme import Background


@dataclass(frozen=True)
class Beside:
    """A file to be written beside the main one of a prediction.

    Args:
        write: writes a prediction to a path, and returns what it had to assume.
        made_with: what the file depends on besides the scan and the model: options, the hash of a calibration. A file
            that was made with something else is written anew.
    """

    write: Callable[[Any, Path], tuple[Note, ...]]
    made_with: str | None = None


@dataclass(frozen=True)
class Unfinished:
    """A result that is about to be made, for what is predicted in parts: they are kept until all of it is written.

    Args:
        result: the main file, beside which they are kept.
        record: what they are bound to.
        replace: parts of another scan, model or settings may be replaced.
    """

    result: Path
    record: Record
    replace: bool = False


@dataclass(frozen=True, eq=False)
class Prediction(ABC):
    """What one or more models found in one scan.

    Args:
        record: which scan and which models these are; written with the result.
    """

    record: Record = field(default=Record(), kw_only=True)

    @property
    @abstractmethod
    def notes(self) -> tuple[Note, ...]:
        """What was assumed or changed so that the scan could be predicted."""

    @abstractmethod
    def write(self, path: Path) -> tuple[Note, ...]:
        """Writes the main file to `path` with the record, and what belongs beside it.

        Returns:
            Notes on what was generated so that it could be written.

        Raises:
            UsageError: `path` is the scan itself.
            Vol3dError: the folder is missing or read-only, or the disk is full.
        """

    def finish(self) -> None:
        """All files are written: what was kept to go on after an interruption is removed."""
        return

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What was found in a few numbers and words, ready for JSON: the line of a table."""

    def rows(self) -> list[dict[str, Any]]:
        """What was found as a table, a row for each object, class or cloud; `pandas.DataFrame` takes it."""
        return [self.facts()]

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """All that fits into JSON."""

    @abstractmethod
    def default_name(self) -> str:
        """The name of the main file: that of the scan, with the suffix of a result."""

    @abstractmethod
    def on_disk(self, folder: Path) -> tuple[Path, Prediction]:
        """The scan's own file, written to `folder` where the scan came as an array, and the prediction of that file."""

    def save(self, out: str | Path, name: str | None = None) -> Path:
        """Writes the result into the folder `out`, which is made if it is missing; returns the main file.

        Args:
            name: of the main file; None is the scan's own, `scan` for an array.

        Raises:
            UsageError: it would replace a file that vol3d did not write.
            Vol3dError: the folder cannot be made or written.
        """
        path = make_folder(user_path(out)) / (name or self.default_name())
        refuse_foreign([path])
        for note in self.write(path):
            say(f"{path.name}: {note}")
        return path

    def show(
        self,
        png: str | Path | None = None,
        scan: str | Path | None = None,
        background: Background = "dark",
    ) -> None:
        """Opens the viewer on the scan and what was found: a window, or a page where there is no display.

        Args:
            png: write a picture there instead.
            scan: where the scan is now, if it has moved.
            background: `light` for print and slides.

        Raises:
            UsageError: the scan is not there.
        """
        from vol3d.view.show import show

        with self._files(scan is None) as paths:
            picture, own = (None if one is None else user_path(one) for one in (png, scan))
            show(paths, picture, own, background)

    def picture(
        self,
        scan: str | Path | None = None,
        size: tuple[int, int] = (1280, 800),
        background: Background = "dark",
    ) -> bytes:
        """The scan and what was found, as the bytes of a PNG; in a notebook a result shows itself.

        Args:
            scan: where the scan is now, if it has moved.
            size: (width, height) in pixels.
            background: `light` for print and slides.

        Raises:
            UsageError: the scan is not there, or an unknown background.
        """
        from vol3d.view.show import picture

        with self._files(scan is None) as paths:
            return picture(paths, None if scan is None else user_path(scan), size, background)

    def _repr_html_(self) -> str:
        from vol3d.report.inline import prediction_html

        return prediction_html(self.picture(), self.rows())

    @contextmanager
    def _files(self, with_scan: bool) -> Iterator[list[Path]]:
        """What the viewer reads: the result, and the scan; files made for it go again."""
        with tempfile.TemporaryDirectory() as folder:
            own, found = self.on_disk(Path(folder))
            yield [found.save(Path(folder) / "found"), *([own] if with_scan else [])]


@dataclass(frozen=True, eq=False)
class MaskPrediction(Prediction):
    """A class for each voxel of a volume, on the volume's own grid.

    Args:
        segmentation: the labels.
        volume: the scan.
        probabilities: what the labels were decided from, where they were asked for.
    """

    segmentation: Segmentation
    volume: Volume
    probabilities: Probabilities | None = None

    @property
    def mask(self) -> np.ndarray:
        """(i, j, k) unsigned integers, `class_names[label]`; 0 is background."""
        return self.segmentation.labels

    @property
    def affine(self) -> np.ndarray:
        """(4, 4) float64, voxel index -> RAS mm: that of the scan."""
        return self.segmentation.grid.affine

    @property
    def class_names(self) -> tuple[str, ...]:
        """Background first."""
        return self.segmentation.class_names

    @property
    def volumes_ml(self) -> dict[str, float]:
        """Millilitres of each class but the background."""
        return self.segmentation.volumes_ml()

    @property
    def regions_ml(self) -> dict[str, float]:
        """Millilitres of each region of a model of overlapping regions; of other models {}."""
        return self.segmentation.regions_ml()

    @property
    def _volumes(self) -> dict[str, dict[str, float]]:
        regions = self.regions_ml
        return {"volumes_ml": self.volumes_ml, **({"regions_ml": regions} if regions else {})}

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was assumed while the scan was read."""
        return self.volume.notes

    def write(self, path: Path) -> tuple[Note, ...]:
        """A mask as NIfTI with its record beside it, or as DICOM-SEG for a name in `.dcm`, for a DICOM series."""
        from vol3d.scans.write import write_segmentation

        if path.suffix.lower() == ".dcm":
            return write_segmentation(path, self.segmentation, self.volume.series)
        refuse_overwrite(path, self.volume.source)
        about = {"format": FORMAT, "result": path.name, **self._described(path.parent)}
        write_record(path, about, self.record)  # without the mask: a killed process leaves no mask that seems done
        write_segmentation(path, self.segmentation, self.volume.series)
        files = {**self.record.files, path.name: sha256(path)}
        write_record(path, about, replace(self.record, files=files))
        return ()

    def _described(self, folder: Path) -> dict[str, Any]:
        source, notes = self.volume.source, (*self.notes, *self.segmentation.notes)
        maps = self.probabilities
        return {
            "source": None if source is None else source.name,
            "source_path": None if source is None else way_to(source, folder),
            "class_names": list(self.class_names),
            **({} if maps is None else {"probabilities_of": list(maps.names), "exclusive": maps.exclusive}),
            **self._volumes,
            "notes": [str(note) for note in notes],
            **as_facts(notes),
        }

    def facts(self) -> dict[str, Any]:
        """The volumes of the classes, and of regions."""
        return {**self._volumes, **{note.code: str(note) for note in self.segmentation.notes}}

    def rows(self) -> list[dict[str, Any]]:
        """Class or region, millilitres and voxels."""
        found = self.segmentation
        voxels = [(name, found.voxels(labels)) for name, labels in found.parts()]
        volume = found.grid.voxel_volume_ml
        return [{"class": name, "volume_ml": count * volume, "voxels": count} for name, count in voxels]

    def to_dict(self) -> dict[str, Any]:
        """Volumes, classes and grid; not the voxels."""
        grid = self.segmentation.grid
        about = {"class_names": list(self.class_names), "shape": list(grid.shape), "affine": grid.affine.tolist()}
        return {**_about(self, self.volume.source), **about}

    def default_name(self) -> str:
        """`scan.nii.gz`."""
        from vol3d.scans.paths import scan_stem

        return f"{scan_stem(self.volume.source) if self.volume.source else 'scan'}.nii.gz"

    def on_disk(self, folder: Path) -> tuple[Path, MaskPrediction]:
        """The file or folder that the volume was read from, or a NIfTI file."""
        from vol3d.scans.write import write_nifti

        if self.volume.source is not None:
            return self.volume.source, self
        write_nifti(folder / "scan.nii.gz", self.volume)
        return folder / "scan.nii.gz", self


@dataclass(frozen=True, eq=False)
class BoxPrediction(Prediction):
    """Objects in a cloud of points.

    Args:
        detections: boxes in metres with z up, relative to the cloud's origin.
        cloud: the points, with the way back to the coordinates of their file.
    """

    detections: Detections
    cloud: PointCloud

    @property
    def boxes(self) -> np.ndarray:
        """(N, 7 or 9) float32 `x y z l w h yaw [vx vy]`, metres, radians, metres a second.

        Centres are relative to `cloud.origin`, which is 0 unless the points lie more than 1 km from that of their file.
        """
        return self.detections.boxes

    @property
    def scores(self) -> np.ndarray:
        """(N,) float32 in 0 to 1."""
        return self.detections.scores

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64, `class_names[label]`."""
        return self.detections.labels

    @property
    def names(self) -> list[str]:
        """The class of each box."""
        return self.detections.names()

    @property
    def class_names(self) -> tuple[str, ...]:
        """All classes that the model knows."""
        return self.detections.class_names

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was assumed, found or changed while the points were read."""
        return self.cloud.notes

    def write(self, path: Path) -> tuple[Note, ...]:
        """The boxes as `room.json`, and as lines to lay over the scan `room.boxes.ply`."""
        lines = path.with_suffix(BOX_LINES_SUFFIX)  # never the name of a scan
        write_box_lines(lines, self.detections, self.cloud)
        files = {**self.record.files, lines.name: sha256(lines)}
        write_detections(path, self.detections, self.cloud, replace(self.record, files=files))
        return ()

    def facts(self) -> dict[str, Any]:
        """How many boxes, and of which classes."""
        counts = Counter(self.names)
        found = ", ".join(f"{counts[name]} {name}" for name in self.class_names if name in counts)
        return {"boxes": len(self.detections), "found": found}

    def rows(self) -> list[dict[str, Any]]:
        """Class, score and box as in `boxes`, the surest first."""
        columns = ("x", "y", "z", "l", "w", "h", "yaw", "vx", "vy")
        boxes, names = self.boxes.tolist(), self.names
        return [
            {"class": names[i], "score": float(self.scores[i]), **dict(zip(columns, boxes[i], strict=False))}
            for i in np.argsort(-self.scores, kind="stable")
        ]

    def to_dict(self) -> dict[str, Any]:
        """The boxes as in the JSON file."""
        objects = describe_objects(self.detections, self.cloud.origin)
        return {**_about(self, self.cloud.source), "class_names": list(self.class_names), "objects": objects}

    def default_name(self) -> str:
        """`room.json`."""
        return f"{points_file_stem(self.cloud.source) if self.cloud.source else 'scan'}.json"

    def on_disk(self, folder: Path) -> tuple[Path, BoxPrediction]:
        """The file that the points were read from, or a NumPy file: its boxes tell the viewer its axes and its unit."""
        from vol3d.files import write_array

        if self.cloud.source is not None:
            return self.cloud.source, self
        path = folder / "scan.npy"
        write_array(path, self.cloud.in_file(self.cloud.xyz))
        return path, replace(self, cloud=replace(self.cloud, source=path))


def _about(prediction: Prediction, source: Path | None) -> dict[str, Any]:
    about = {"source": None if source is None else str(source), **prediction.record.terms, **prediction.facts()}
    return about | as_facts(prediction.notes)
