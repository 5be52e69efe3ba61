"""Labelled boxes of one scan, as every format of a labelling tool is read into and written from."""

from __future__ import annotations

import glob
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointcloud.datasets.annotations import LARGEST_ANGLE
from vol3d.errors import DataError
from vol3d.files import read_json
from vol3d.scans.points.find import points_file_stem

MAX_TILT = math.radians(2)  # radians about x or y that an upright box may have


@dataclass(frozen=True)
class LabelledBox:
    """A box of `Detections`: metres with z up, yaw in radians counter-clockwise from +x.

    Args:
        name: of its class.
        center: x y z of the middle.
        size: length along the heading, width, height.
        yaw: -pi to pi.
    """

    name: str
    center: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw: float


@dataclass(frozen=True)
class LabelledScene:
    """The boxes of one scan; `file` is the name of its point file, as the format states it."""

    file: str
    boxes: tuple[LabelledBox, ...]

    @property
    def stem(self) -> str:
        """The name of the point file without folder and suffix."""
        return points_file_stem(self.file)


def box_of(name: Any, center: Sequence[Any], size: Sequence[Any], rotation: Sequence[Any], where: str) -> LabelledBox:
    """A box from numbers that a file holds.

    Args:
        rotation: about x, y and z, radians.

    Raises:
        DataError: no name, no finite numbers, a size that is not positive, angles that are no radians, a box that does
            not stand upright.
    """
    if not isinstance(name, str) or not name:
        raise DataError("a box without a class", where=where, got=name)
    numbers = [*center, *size, *rotation]
    if not all(isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one) for one in numbers):
        raise DataError("a box of no finite numbers", where=where, got=numbers)
    if min(size) <= 0:
        raise DataError("a size that is not positive", where=where, got=list(size), wanted="metres above 0")
    if max(map(abs, rotation)) > LARGEST_ANGLE:
        remedy = "If the file has degrees, convert them, or name another format with --from."
        what, wanted = "an angle of more than a turn", "radians, -pi to pi"
        raise DataError(what, where=where, got=list(rotation), wanted=wanted, do=remedy)
    tilt = max(abs(wrapped(angle)) for angle in rotation[:2])
    if tilt > MAX_TILT:
        got, do = f"{math.degrees(tilt):.1f} degrees", "Boxes here turn about z only: correct it in the labelling tool."
        raise DataError("a box that is tilted", where=where, got=got, wanted="upright", do=do)
    x, y, z, length, width, height = map(float, numbers[:6])
    return LabelledBox(name, (x, y, z), (length, width, height), wrapped(rotation[2]))


def wrapped(angle: float) -> float:
    """The angle in (-pi, pi].

    >>> round(wrapped(3 * math.pi / 2), 6)
    -1.570796
    """
    return math.pi - (math.pi - angle) % (2 * math.pi)


def xyz_of(value: Mapping[str, Any], keys: Sequence[str] = ("x", "y", "z")) -> list[Any]:
    """The values of an object under keys. KeyError or TypeError where it is none."""
    return [value[key] for key in keys]


def as_xyz(values: Sequence[float], keys: Sequence[str] = ("x", "y", "z")) -> dict[str, float]:
    """Values under keys, as `xyz_of` reads them."""
    return dict(zip(keys, values, strict=True))


def label_files(path: Path, pattern: str = "*.json") -> list[Path]:
    """The file itself, or the files of a folder. Raises DataError if there are none."""
    found = sorted(path.glob(pattern)) if path.is_dir() else [path]
    if not found:
        raise DataError("no label file in this folder", where=path, wanted=pattern)
    return found


def cloud_of(label: Path, folder: str, suffix: str) -> str:
    """The name of the cloud of a label file that names none: of its stem, beside the labels' folder if it is there.

    Args:
        folder: where the format has the clouds, beside that of the labels.
        suffix: that the format's clouds have, where none is there.
    """
    there = sorted((label.absolute().parent.parent / folder).glob(f"{glob.escape(label.stem)}.*"))
    return there[0].name if there else f"{label.stem}{suffix}"


class JsonOf:
    """A label file whose missing keys and wrong types are errors of that file: `with JsonOf(path) as value`.

    Args:
        path: of the file.
        form: what it should be, for the message.
    """

    def __init__(self, path: Path, form: str) -> None:
        self.path, self.form = path, form

    def __enter__(self) -> Any:
        return read_json(self.path)

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: object) -> None:
        if isinstance(fault, (KeyError, TypeError, IndexError, AttributeError)):
            do = "It is of another format or version: name the right one with --from."
            got = f"{type(fault).__name__}: {fault}"
            raise DataError(f"not a label file of {self.form}", where=self.path, got=got, do=do) from fault
