"""Labels of KITTI that cannot be meant are refused by name; `check` finds those of another convention."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pointcloud.datasets.kitti.dataset import KittiSettings
from pointcloud.datasets.prepare import prepare
from pointcloud.datasets.scenes import names_noted
from pointcloud.datasets.tools import check
from pointcloud.evaluation.kitti_truth import KittiReader
from tests.pointcloud.datasets.test_kitti import CALIBRATION
from vol3d.dataset_tools.fault import Fault
from vol3d.errors import DataError, UsageError

Row = list[str]
CAMERA_ABOVE_GROUND_M = 1.65


def street(root: Path, change: Callable[[Row], Row] = lambda row: row, calibration: str = CALIBRATION) -> Path:
    """Two frames of cars, pedestrians and cyclists full of points on flat ground, ahead of the camera."""
    kinds = (("Car", 1.5, 1.6, 4.0), ("Pedestrian", 1.75, 0.6, 0.8), ("Cyclist", 1.7, 0.6, 1.8))
    for folder in ("velodyne", "label_2", "calib"):
        (root / f"training/{folder}").mkdir(parents=True)
    for frame in range(2):
        rng, rows = np.random.default_rng(frame), list[str]()
        clouds = [np.column_stack([rng.uniform(6, 45, 4000), rng.uniform(-14, 14, 4000), np.full(4000, -1.73)])]
        for number in range(18):
            name, h, w, length = kinds[number % 3]
            x, z, turn = (number % 6 - 2) * 3.4 + 0.7, 12.0 + 10 * (number // 6), rng.uniform(-1.2, -0.4)
            local = rng.uniform(-0.48, 0.48, (80, 3)) * [length, h, w]
            cos, sin = math.cos(turn), math.sin(turn)
            across, along = local[:, 0] * cos + local[:, 2] * sin, local[:, 2] * cos - local[:, 0] * sin
            up = h / 2 + local[:, 1] - CAMERA_ABOVE_GROUND_M
            clouds.append(np.column_stack([z + along + 0.27, -(x + across), up - 0.08]))
            u, v, near = 600 + 700 * x / z, 180 + 700 * (CAMERA_ABOVE_GROUND_M - h / 2) / z, 350 / z
            bbox = f"{u - length * near} {v - h * near} {u + length * near} {v + h * near}"
            row = f"{name} 0 0 0 {bbox} {h} {w} {length} {x} {CAMERA_ABOVE_GROUND_M} {z} {turn}"
            rows.append(" ".join(change(row.split())))
        points = np.concatenate(clouds)
        np.column_stack([points, np.full(len(points), 0.5)]).astype("<f4").tofile(
            root / f"training/velodyne/{frame:06d}.bin"
        )
        (root / f"training/label_2/{frame:06d}.txt").write_text("\r\n".join(rows) + "\r\n")
        (root / f"training/calib/{frame:06d}.txt").write_text(calibration)
    (root / "ImageSets").mkdir()
    (root / "ImageSets/train.txt").write_text("000000\n")
    (root / "ImageSets/val.txt").write_text("000001\n")
    return root


def faults(root: Path) -> dict[str, Fault]:
    return {fault.code: fault for fault in check(KittiSettings(root=root).split(), 0)}


def number(row: Row, column: int, change: Callable[[float], float]) -> Row:
    return [*row[:column], str(change(float(row[column]))), *row[column + 1 :]]


def test_a_good_street_has_no_fault(tmp_path: Path) -> None:
    assert faults(street(tmp_path)) == {}


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda r: [*r[:8], r[10], r[9], r[8], *r[11:]], "sizes-exchanged", "looks like height, width, length"),
        (lambda r: [*r[:8], r[8], r[10], r[9], *r[11:]], "sizes-exchanged", "looks like width, length, height"),
        (lambda r: number(r, 12, lambda y: y - float(r[8]) / 2), "boxes-misread", "given as the bottom"),
        (lambda r: number(r, 12, lambda y: y - float(r[8]) / 2), "boxes-off-the-ground", "above the ground"),
        (lambda r: number(r, 12, lambda y: y + 1.73), "boxes-off-the-ground", "1.73 m below the ground"),
        (lambda r: number(r, 14, lambda turn: -turn), "boxes-misread", "clockwise yaw"),
        (lambda r: number(r, 14, lambda turn: turn + math.pi / 2), "boxes-misread", "l and w exchanged"),
        (lambda r: number(r, 11, lambda x: -x), "boxes-misread", "y to the right"),
        (lambda r: [*r[:11], r[13], str(-float(r[11])), str(-float(r[12])), r[14]], "boxes-misread", "of the LiDAR"),
        (lambda r: [*r[:8], *(str(100 * float(v)) for v in r[8:14]), r[14]], "boxes-misread", "centimetres"),
        (lambda r: [*r[:8], *(str(float(v) / 2) for v in r[8:11]), *r[11:]], "sizes-of-another-scale", "half sizes"),
        (lambda r: [r[0], *"0000000", *r[8:]], "image-box-absent", "18 of 18 objects"),
        (lambda r: [*r[:6], "0.5", "0.5", *r[8:]], "image-box-absent", "18 of 18 objects"),
        (lambda r: [*r[:4], *(str(float(v) / 9) for v in r[4:8]), *r[8:]], "image-box-misplaced", "IoU of 0.0"),
    ],
)
def test_another_convention_is_found(tmp_path: Path, change: Callable[[Row], Row], code: str, words: str) -> None:
    found = faults(street(tmp_path, change))
    assert code in found and words in str(found[code]), list(map(str, found.values()))


@pytest.mark.parametrize(("spelt", "other"), [("car", "dontcare"), ("CAR", "DONTCARE"), ("_car", "Dontcare")])
def test_a_class_in_another_spelling_is_taken_for_it_with_a_note(tmp_path: Path, spelt: str, other: str) -> None:
    names = {"Car": spelt, "Pedestrian": "Pedestrian", "Cyclist": other}
    root = street(tmp_path / "raw", lambda row: [names[row[0]], *row[1:]])
    prepare(KittiSettings(root=root).split(), tmp_path / "ready", 0)
    for place in (root, tmp_path / "ready"):
        split = KittiSettings(root=place).split()
        frame = split.train[0]
        assert frame.labels().tolist() == frame.read().truth.labels.tolist() == [0, 1] * 6
        assert isinstance(frame, KittiReader) and len(frame.annotations()) == 18
        assert set(frame.annotations().types) == {"Car", "Pedestrian", "DontCare"}
        (noted,) = names_noted(split.train)
        assert noted.startswith("12 objects have the name of a class in another spelling and were taken for it: ")
        assert f"{spelt} for Car (6)" in noted and f"{other} for DontCare (6)" in noted
        assert f"{spelt} for Car (12)" in faults(place)["classes-spelled-otherwise"].what
    own = KittiSettings(root=root, class_names=("CAR",)).split().train[0]
    assert len(own.labels()) == 6 and {"CAR", "DontCare"} < set(own.annotations().types)


def test_a_spelling_of_two_classes_is_refused(tmp_path: Path) -> None:
    root = street(tmp_path, lambda row: ["CAR" if row[0] == "Car" else row[0], *row[1:]])
    split = KittiSettings(root=root, class_names=("Car", "car")).split()
    with pytest.raises(UsageError, match=r"000000\.txt: .*differ in their spelling only; got Car and car for CAR"):
        split.train[0].labels()
    assert any("differ in their spelling only" in fault.what for fault in check(split, 0))


@pytest.mark.parametrize("spelt", ["Car.", "Cars"])
def test_a_name_that_is_almost_a_class_is_refused_wherever_it_is_read(tmp_path: Path, spelt: str) -> None:
    root = street(tmp_path, lambda row: [spelt if row[0] == "Car" else row[0], *row[1:]])
    assert f"got {spelt}, wanted Car" in faults(root)["class-name-misspelt"].what
    with pytest.raises(DataError, match="almost the name of a class"):
        KittiSettings(root=root).split().train[0].labels()
    own = KittiSettings(root=root, class_names=(spelt,)).split().train[0]
    assert len(own.labels()) == 6


def test_names_that_are_no_class_are_counted(tmp_path: Path) -> None:  # fault 57
    root = street(tmp_path, lambda row: [{"Pedestrian": "person", "Car": "Van"}.get(row[0], row[0]), *row[1:]])
    assert "12 objects are of no class and are left out: person (12)" in faults(root)["objects-of-no-class"].what


@pytest.mark.parametrize("name", ["0", "person", "Van"])
def test_without_a_box_the_names_in_the_files_are_listed(tmp_path: Path, name: str) -> None:  # fault 56
    root = street(tmp_path, lambda row: [name, *row[1:]])
    assert f"what is annotated is {name} (36)" in faults(root)["no-boxes"].what
    split = KittiSettings(root=root).split()
    with pytest.raises(DataError, match=rf"no training scene has a box of any class; got {name} \(18\)"):
        split.require_boxes("train")


def test_a_frame_without_boxes_among_others_is_no_fault(tmp_path: Path) -> None:  # fault 56
    root = street(tmp_path)
    (root / "training/label_2/000001.txt").write_text("")
    assert faults(root) == {} and len(KittiSettings(root=root).split().validation[0].read().truth) == 0


@pytest.mark.parametrize("size", ["0", "-1"])
def test_sizes_that_are_none_are_refused(tmp_path: Path, size: str) -> None:  # fault 54
    root = street(tmp_path, lambda row: [*row[:9], size, *row[10:]])
    assert "18 of 18 boxes have no size" in faults(root)["box-without-size"].what


@pytest.mark.parametrize(
    ("turn", "words"), [("-90", "Convert degrees"), ("1e6", "got 1e+06"), ("nan", "makes no sense")]
)
def test_angles_are_radians(tmp_path: Path, turn: str, words: str) -> None:  # fault 55
    root = street(tmp_path, lambda row: [*row[:14], turn])
    assert words in " ".join(map(str, faults(root).values()))
    with pytest.raises(DataError, match=r"radians|makes no sense"):
        KittiSettings(root=root).split().train[0].read()


def test_a_row_of_fourteen_columns_is_refused_by_its_line(tmp_path: Path) -> None:  # fault 59; all rows end in CRLF
    root = street(tmp_path, lambda row: row[:14])
    assert "000001.txt:1: wrong number of columns; got 14" in faults(root)["unreadable-file"].what


def test_the_view_of_an_own_camera_is_that_of_its_principal_point(tmp_path: Path) -> None:
    own = CALIBRATION.replace("P2: 700 0 600 0 0 700 180 0", "P2: 1000 0 960 0 0 1000 540 0")
    root = street(tmp_path, calibration=own)
    frame = KittiSettings(root=root).split().train[0]
    (note,) = frame.read().cloud.notes
    assert (note.code, note.assumed, note.value) == ("image-size-assumed", True, "[1920,1080]")
    assert note.numbers == {"width": 1920, "height": 1080} and len(frame.read().cloud) > 2000
    assert "image_size [1920,1080] was assumed" in faults(root)["image_size-assumed"].what
    stated = KittiSettings(root=root, image_size=(1920, 1080)).split().train[0].read()
    assert stated.cloud.notes == () and len(stated.cloud) == len(frame.read().cloud)


def test_a_camera_that_tells_no_size_is_refused_and_one_that_sees_nothing_is_said(tmp_path: Path) -> None:
    none = CALIBRATION.replace("P2: 700 0 600 0 0 700 180 0", "P2: 1 0 0 0 0 1 0 0")
    root = street(tmp_path, calibration=none)
    with pytest.raises(DataError, match="the size of the camera's image is not known"):
        KittiSettings(root=root).split().train[0].read()
    for path in (root / "training/calib").iterdir():
        path.write_text(CALIBRATION)
    split = KittiSettings(root=root, image_size=(3, 3)).split()
    (fault,) = (one for one in check(split, 0) if one.case == "000000" and one.code == "no-point-in-view")
    assert "in the camera's view of 3 x 3 pixels" in fault.what


def test_sweeps_of_another_number_of_columns_are_refused(tmp_path: Path) -> None:
    root = street(tmp_path)
    for path in (root / "training/velodyne").glob("*.bin"):
        points = np.fromfile(path, "<f4").reshape(-1, 4)
        points = points[: len(points) // 4 * 4]  # 4 rows of 5 are 5 rows of 4: the size says nothing
        np.column_stack([points, np.arange(len(points)) % 64]).astype("<f4").tofile(path)
    message = "another number of columns; got numbers that repeat every 5, wanted 4 columns"
    with pytest.raises(DataError, match=message):
        KittiSettings(root=root).split().train[0].read()
    assert message in faults(root)["unreadable-file"].what
