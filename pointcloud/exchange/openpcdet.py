"""OpenPCDet's own data: `labels/NAME.txt`, a line `x y z dx dy dz heading class` for each box of `points/NAME.npy`.

x y z is the gravity centre, dx the length along the heading, and headings turn counter-clockwise from +x with z up
(its tutorial for own data and its definition of boxes): the same box as here. Other programs write such lines, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pointcloud.conventions.kitti_objects import one_word
from pointcloud.exchange.scenes import LabelledBox, LabelledScene, box_of, cloud_of, label_files
from vol3d.errors import DataError
from vol3d.files import make_folder, read_text, write_text

_LINE = "x y z dx dy dz heading class"


def read_openpcdet(path: Path) -> list[LabelledScene]:
    """The scenes of a data set's folder, of its `labels` folder, or of one file.

    Raises:
        DataError: a line of another form.
    """
    scenes = []
    for file in label_files(path / "labels" if (path / "labels").is_dir() else path, "*.txt"):
        lines = enumerate(read_text(file).splitlines(), start=1)
        boxes = tuple(_box(line.split(), f"{file}:{number}") for number, line in lines if line.strip())
        scenes.append(LabelledScene(cloud_of(file, "points", ".npy"), boxes))
    return scenes


def _box(words: list[str], where: str) -> LabelledBox:
    try:
        *numbers, name = words
        x, y, z, length, width, height, heading = map(float, numbers)
    except ValueError as fault:
        do = "It is of another format: name the right one with --from."
        raise DataError("not a box of OpenPCDet", where=where, got=" ".join(words), wanted=_LINE, do=do) from fault
    return box_of(name, (x, y, z), (length, width, height), (0.0, 0.0, heading), where)


def write_openpcdet(scenes: Sequence[LabelledScene], out: Path) -> None:
    """`labels/NAME.txt`; the clouds belong into `points`, and the names of each part into `ImageSets`.

    Raises:
        DataError: a class of several words.
    """
    folder = make_folder(out / "labels")
    for scene in scenes:
        rows = [
            f"{' '.join(f'{value:.6f}' for value in (*box.center, *box.size, box.yaw))} {one_word(box.name)}\n"
            for box in scene.boxes
        ]
        write_text(folder / f"{scene.stem}.txt", "".join(rows))
