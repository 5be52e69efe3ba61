"""Boxes, cameras and split of SUN RGB-D from its MATLAB files, read without MATLAB, and from a frame's own JSON.

An annotated object has a centroid, half sizes `coeffs` (across the heading, along it, upwards) and the direction
`orientation` of its heading, in the axes of the cloud. `depthpath` is the frame's place on the authors' disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.dataset_tools.fault import Fault
from vol3d.errors import DataError
from vol3d.files import is_there, read_json, require_file

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class FrameLabels:
    """What the metadata know of a frame.

    Args:
        number: its place in the metadata, from 1.
        intrinsics, tilt: 3x3, row by row.
        boxes: rows x y z l w h yaw in the package's convention.
        labels: index of the class of each box.
    """

    number: int
    intrinsics: tuple[float, ...]
    tilt: tuple[float, ...]
    boxes: Rows
    labels: tuple[int, ...]

    def camera(self) -> tuple[np.ndarray, np.ndarray]:
        """Intrinsics and upright rotation, (3, 3) each."""
        return np.array(self.intrinsics).reshape(3, 3), np.array(self.tilt).reshape(3, 3)

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (K, 7) and labels (K,)."""
        return np.array(self.boxes).reshape(-1, 7), np.array(self.labels, np.int64)

    def with_camera(self, other: FrameLabels) -> FrameLabels:
        """These boxes with the camera of `other`."""
        return replace(self, intrinsics=other.intrinsics, tilt=other.tilt)

    def facts(self) -> list[Any]:
        """Everything, JSON-ready."""
        return [self.number, self.intrinsics, self.tilt, self.boxes, self.labels]


def frame_key(path: str) -> str:
    """Where a frame lies in SUNRGBD: `/n/fs/sun3d/data/SUNRGBD/kv1/NYUdata/NYU0001` -> `kv1/NYUdata/NYU0001`."""
    parts = [part for part in path.replace("\\", "/").split("/") if part]
    return "/".join(parts[parts.index("SUNRGBD") + 1 :] if "SUNRGBD" in parts else parts)


def read_allsplit(path: Path) -> dict[str, int]:
    """Frame -> 0 if it trains, 1 if it validates (the official test half, which the benchmark validates on).

    Raises:
        DataError: not the toolbox's allsplit.mat, or a frame in both halves.
    """
    document = _loadmat(path)
    try:
        halves = [[frame_key(str(one)) for one in np.ravel(document[name])] for name in ("alltrain", "alltest")]
    except KeyError as error:
        raise DataError("not the split of SUN RGB-D", where=path, got=f"no {error}", wanted="alltrain") from error
    both = sorted(set(halves[0]) & set(halves[1]))
    if both:
        raise DataError("frames in both halves of the split", where=path, got=f"{len(both)}, {both[0]} first")
    return {key: part for part, keys in enumerate(halves) for key in keys}


def read_meta(path: Path, class_names: Sequence[str]) -> tuple[dict[str, FrameLabels], list[Fault]]:
    """Frame -> what SUNRGBDMeta.mat (v1) or SUNRGBDMeta3DBB_v2.mat states; invalid objects are faults.

    Raises:
        DataError: not such a file, or a frame without its place or camera.
    """
    document = _loadmat(path)
    if "SUNRGBDMeta" not in document:
        raise DataError("not the metadata of SUN RGB-D", where=path, wanted="the variable SUNRGBDMeta")
    found, faults = {}, []
    for number, frame in enumerate(_items(document["SUNRGBDMeta"]), 1):
        try:
            key = frame_key(str(frame.depthpath)).rsplit("/", 2)[0]
            boxes, labels, broken = _boxes(_items(getattr(frame, "groundtruth3DBB", ())), class_names)
            intrinsics, tilt = (np.asarray(one, np.float64).reshape(9).tolist() for one in (frame.K, frame.Rtilt))
        except (AttributeError, ValueError, TypeError, IndexError) as error:
            raise DataError("a frame is invalid", where=f"{path}, frame {number}", got=error) from error
        rows = tuple(tuple(row) for row in boxes.tolist())
        found[key] = FrameLabels(number, tuple(intrinsics), tuple(tilt), rows, tuple(labels.tolist()))
        do = f"It is left out; look at frame {number} in {path.name}."
        faults += [Fault(f"{number:06d}", "warning", f"{what} is invalid", do, code="bad-object") for what in broken]
    return found, faults


def read_annotation(path: Path, class_names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (K, 7) and labels (K,) of a frame's annotation3Dfinal; none where the frame has no such file.

    A box is a rectangle of four corners (X right, Z forward) between two heights (Y down); the heading points from
    its middle to its first side (SUNRGBDtoolbox, readframeSUNRGBD.m).

    Raises:
        DataError: not such a file.
    """
    if not is_there(path):
        return np.zeros((0, 7)), np.zeros(0, np.int64)
    document = read_json(path)
    objects = document.get("objects") if isinstance(document, dict) else None
    if not isinstance(objects, list):
        raise DataError("not an annotation of SUN RGB-D", where=path, wanted="objects")
    labels = {name: label for label, name in enumerate(class_names)}
    rows, found = [], []
    for number, one in enumerate(objects):
        if not isinstance(one, dict) or not one.get("polygon"):  # objects that were deleted leave null behind
            continue
        name = re.split(r"[ _]?:", str(one.get("name", "")))[0]
        if name not in labels:
            continue
        try:
            rows.append(_rectangle(one["polygon"][0]))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError("a box is invalid", where=f"{path}, objects[{number}]", got=error) from error
        found.append(labels[name])
    return np.array(rows).reshape(-1, 7), np.array(found, np.int64)


def _rectangle(polygon: dict[str, Any]) -> list[float]:
    corners = np.stack([np.array(polygon[axis], np.float64)[:4] for axis in ("X", "Z")], axis=1)
    low, high = sorted((-float(polygon["Ymax"]), -float(polygon["Ymin"])))
    centre = (corners[0] + corners[2]) / 2
    heading = (corners[0] + corners[1]) / 2 - centre
    across, along = np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[1])
    return _finite([*centre, (low + high) / 2, along, across, high - low, np.arctan2(heading[1], heading[0])])


def _boxes(objects: Iterable[Any], class_names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Boxes (K, 7), labels (K,), and a word on each object that has no such box."""
    labels = {name: label for label, name in enumerate(class_names)}
    rows, found, broken = [], [], []
    for number, one in enumerate(objects, 1):
        label = labels.get(str(getattr(one, "classname", "")))
        if label is None:
            continue
        try:
            rows.append(_upright_box(one))
            found.append(label)
        except (AttributeError, ValueError, TypeError, IndexError) as error:
            broken.append(f"object {number} ({one.classname}: {error})")
    return np.array(rows, np.float64).reshape(-1, 7), np.array(found, np.int64), broken


def _upright_box(annotated: Any) -> list[float]:
    across, along, up = 2 * np.abs(np.asarray(annotated.coeffs, np.float64).reshape(3))
    heading = np.asarray(annotated.orientation, np.float64).reshape(-1)
    centre = np.asarray(annotated.centroid, np.float64).reshape(3)
    return _finite([*centre, along, across, up, np.arctan2(heading[1], heading[0])])


def _finite(row: list[Any]) -> list[float]:
    if not np.isfinite(row).all():
        raise ValueError("a number is not finite")
    return [float(value) for value in row]


def _items(value: Any) -> Iterator[Any]:
    """The elements of a MATLAB array that may be a single one, or empty."""
    return iter(np.atleast_1d(np.asarray(value, dtype=object)).ravel())


def _loadmat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    do = "Unpack SUNRGBDtoolbox.zip, and copy the .mat files beside it; or set labels: v1, v2 or json."
    try:
        return loadmat(require_file(path, do=do), squeeze_me=True, struct_as_record=False)
    except OSError as error:
        raise DataError("cannot read the MATLAB file", where=path, got=error.strerror or error, do=do) from error
    except NotImplementedError as error:
        do = "Save it in MATLAB or Octave with `save -v7`."
        raise DataError("a MATLAB file of version 7.3", where=path, wanted="version 5 to 7", do=do) from error
    except (MatReadError, ValueError, TypeError, EOFError, IndexError) as error:
        raise DataError("the MATLAB file is damaged", where=path, got=error, do="Download it again.") from error
