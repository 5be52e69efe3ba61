"""Labels of one tool to those of another, over the one record of boxes that all formats share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pointcloud.datasets.starter import BOXES
from pointcloud.exchange.cvat import read_cvat, write_cvat
from pointcloud.exchange.kitti import read_kitti, write_kitti
from pointcloud.exchange.labelcloud import read_labelcloud, write_labelcloud
from pointcloud.exchange.nuscenes import read_nuscenes, write_nuscenes
from pointcloud.exchange.openpcdet import read_openpcdet, write_openpcdet
from pointcloud.exchange.own import read_own, write_own
from pointcloud.exchange.scenes import LabelledScene
from pointcloud.exchange.supervisely import read_supervisely, write_supervisely
from pointcloud.exchange.sustechpoints import read_sustechpoints, write_sustechpoints
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.files import make_folder
from vol3d.layouts import layouts_of


class LabelFormat(NamedTuple):
    """How labels of a format are read from a path and written into a folder."""

    read: Callable[[Path], list[LabelledScene]]
    write: Callable[[Sequence[LabelledScene], Path], None]


FORMATS = {
    "point_folder": LabelFormat(read_own, write_own),
    "labelcloud": LabelFormat(read_labelcloud, write_labelcloud),
    "labelcloud_rel": LabelFormat(partial(read_labelcloud, radians=True), partial(write_labelcloud, radians=True)),
    "cvat": LabelFormat(read_cvat, write_cvat),
    "supervisely": LabelFormat(read_supervisely, write_supervisely),
    "sustechpoints": LabelFormat(read_sustechpoints, write_sustechpoints),
    "kitti": LabelFormat(read_kitti, write_kitti),
    "openpcdet": LabelFormat(read_openpcdet, write_openpcdet),
    "nuscenes": LabelFormat(read_nuscenes, write_nuscenes),
}
"""Name -> reader and writer; each module states its axes and angles."""


def convert_labels(source: Path, source_format: str, target_format: str, out: Path) -> dict[str, int]:
    """Reads all labels, then writes them; nothing is written where one cannot be read.

    Args:
        source: a file or a folder, as the format has it.
        out: a folder that is made, or is empty; of `point_folder` also the one that holds the clouds.

    Returns:
        Class -> how many boxes, and under `""` how many scenes.

    Raises:
        UsageError: no such format, or `out` holds files (of `point_folder`, a `boxes.json`).
        DataError: labels that cannot be read, or two scans of one name.
    """
    reader, writer = _format(source_format, "--from"), _format(target_format, "--to")
    if not source.exists():
        raise UsageError("no such file or folder", where=source)
    _check_out(out, target_format)
    try:
        scenes = reader.read(source)
    except DataError as error:
        if (do := _right_format(source, source_format)) is None:
            raise
        raise DataError(error.what, where=error.where, got=error.got, wanted=error.wanted, do=do) from error
    _check_names(scenes, source)
    writer.write(scenes, make_folder(out))
    return {"": len(scenes), **Counter(box.name for scene in scenes for box in scene.boxes)}


def _right_format(source: Path, named: str) -> str | None:
    """What to do with labels that are of another format than the one named: which one reads them; None if none does."""
    fitting = [name for name, one in FORMATS.items() if name != named and _reads(one, source)]
    if fitting:
        return f"The labels are of another format: give --from {' or '.join(fitting)}."
    if source.is_dir() and (layouts := [name for name in layouts_of(source) if name not in FORMATS]):
        return f"The folder looks like the data set {' or '.join(layouts)}, whose boxes are not converted."
    return None


def _reads(one: LabelFormat, source: Path) -> bool:
    try:
        return any(scene.boxes for scene in one.read(source))
    except Vol3dError:
        return False


def missing_clouds(out: Path) -> list[str]:
    """Which clouds of the `boxes.json` in `out` are not beside it."""
    return [scene.file for scene in read_own(out) if not (out / scene.file).is_file()]


def _check_out(out: Path, target_format: str) -> None:
    """Raises UsageError for a folder that holds files; one of clouds may get its `boxes.json`."""
    if not out.exists():
        return
    if target_format == "point_folder" and out.is_dir():
        if (out / BOXES).exists():
            raise UsageError(
                "the folder has its boxes already", where=out / BOXES, do="Move it, or choose another one."
            )
    elif not out.is_dir() or any(out.iterdir()):
        raise UsageError("the output folder is not empty", where=out, do="Choose another one.")


def _check_names(scenes: Sequence[LabelledScene], source: Path) -> None:
    """Raises DataError for a cloud without a usable name, or for two of one name."""
    for file in (scene.file for scene in scenes):
        if not isinstance(file, str) or not file or Path(file).is_absolute() or ".." in Path(file).parts:
            wanted = "a name, or a path below the folder"
            raise DataError("the point file of a scan has no usable name", where=source, got=file, wanted=wanted)
    stems = Counter(scene.stem for scene in scenes)
    if twice := sorted(stem for stem, count in stems.items() if count > 1):
        raise DataError("two scans have one name", where=source, got=twice[0], do="Convert their folders one by one.")


def _format(name: str, where: str) -> LabelFormat:
    if name not in FORMATS:
        raise UsageError("no such format of labels", where=where, got=name, wanted=", ".join(FORMATS))
    return FORMATS[name]
