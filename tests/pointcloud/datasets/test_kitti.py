"""KITTI: real frames have their points in their boxes, and damaged files are refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pointcloud.conventions import kitti_lidar_from_camera
from pointcloud.conventions.kitti_objects import KittiObjects
from pointcloud.datasets.kitti.calibration import IMAGE_SIZE, KittiCalibration, read_calibration
from pointcloud.datasets.kitti.dataset import KittiFrame, KittiSettings, lidar_boxes
from pointcloud.datasets.scenes import names_noted
from pointcloud.datasets.tools import check, prepare
from pointcloud.structures.class_names import KITTI_CLASSES
from vol3d.errors import DataError
from vol3d.geometry import count_points_in_boxes

CALIBRATION = """P0: 1 0 0 0 0 1 0 0 0 0 1 0
P2: 700 0 600 0 0 700 180 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.08 1 0 0 -0.27

"""
CAR = "Car 0.00 0 -1.5 600 150 700 250 1.5 1.6 4.0 1.0 1.65 20.0 -1.57"
DONT_CARE = "DontCare -1 -1 -10 10 20 30 40 -1 -1 -1 -1000 -1000 -1000 -10"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_small_kitti(tmp_path)


def write_small_kitti(root: Path) -> Path:
    """Four frames, a test frame; the car's middle is 20.27 m ahead and 1 m to the right of the LiDAR."""
    points = np.array([[20.27, -1.0, -1.0, 0.5], [21.5, -1.2, -1.2, 0.2], [5, 30, 0, 0.1], [-9, 0, 0, 0.3]], "<f4")
    for part, names in (("training", ["000000", "000001", "000002", "000003"]), ("testing", ["000000"])):
        for folder in ("velodyne", "calib", *(["label_2"] if part == "training" else [])):
            (root / part / folder).mkdir(parents=True)
        for number, name in enumerate(names):
            (points + np.float32(0.001 * number)).tofile(root / part / f"velodyne/{name}.bin")
            (root / part / f"calib/{name}.txt").write_text(CALIBRATION)
            if part == "training":
                (root / part / f"label_2/{name}.txt").write_text(f"{CAR}\r\nVan{CAR[3:]}\r\n{DONT_CARE}\r\n")
    (root / "ImageSets").mkdir()
    (root / "ImageSets/train.txt").write_text("000000\n000001\n000002\n")
    (root / "ImageSets/val.txt").write_text("000003\n")
    return root


def test_a_frame_has_its_boxes_in_the_frame_of_the_lidar(root: Path) -> None:
    split = KittiSettings(root=root).split().require()
    assert [len(part) for part in (split.train, split.validation, split.test)] == [3, 1, 1]
    scene = split.train[0].read()
    assert scene.truth.names() == ["Car"] and scene.truth.frame == "lidar" and split.class_names == KITTI_CLASSES
    np.testing.assert_allclose(scene.truth.boxes[0], [20.27, -1.0, -1.73 + 0.75, 4.0, 1.6, 1.5, 0.0], atol=2e-3)
    assert len(scene.cloud) == 2 and scene.cloud.columns["intensity"].tolist() == [0.5, np.float32(0.2)]
    whole = KittiSettings(root=root, image_only=False, class_names=("Van", "Car")).split().train[0].read()
    assert len(whole.cloud) == 4 and sorted(whole.truth.names()) == ["Car", "Van"]
    assert split.test[0].name == "testing_000000"
    assert split.test[0].read().truth.boxes.shape == (0, 7)


def test_classes_of_the_benchmark_that_are_left_out_are_counted(root: Path) -> None:
    label = root / "training/label_2/000000.txt"
    label.write_text(f"{label.read_text()}Pedestrian{CAR[3:]}\nCyclist{CAR[3:]}\n")
    fewer = KittiSettings(root=root, class_names=("Car",)).split()
    assert names_noted(fewer.train) == ["2 objects of no class are left out: Cyclist (1), Pedestrian (1)"]
    assert names_noted(fewer.validation) == names_noted(KittiSettings(root=root).split().train) == [], (
        "Van is no wonder"
    )


def test_regions_that_nobody_annotated_are_kept_apart(root: Path) -> None:
    frame = KittiFrame(root / "training", "000000")
    assert frame.ignored().tolist() == [[10, 20, 30, 40]]
    assert frame.objects().types.tolist() == ["Car", "Van"] and len(frame.annotations()) == 3
    assert len(KittiFrame(root / "testing", "000000").objects()) == 0


def test_the_image_tells_its_size_if_it_is_there(root: Path) -> None:
    frame = KittiFrame(root / "training", "000000")
    assert frame.image_size() == IMAGE_SIZE == (1242, 375)
    (root / "training/image_2").mkdir()
    before = frame.fingerprint()
    Image.new("RGB", (300, 100)).save(root / "training/image_2/000000.png")
    assert frame.image_size() == (300, 100) and frame.fingerprint() != before
    assert len(frame.read().cloud) == 0  # the car is right of so small an image
    (root / "training/image_2/000000.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="the image is damaged"):
        frame.read()


def test_six_real_cars_hold_the_points_that_were_counted(data_root: Path) -> None:
    facts = json.loads((data_root / "kitti/000008.json").read_text())
    rect, mount = (torch.tensor(facts["lidar"][key], dtype=torch.float64) for key in ("R0_rect", "Tr_velo_to_cam"))
    motion = kitti_lidar_from_camera(rect[:3, :3], mount[:3]).numpy()
    cars = [one for one in facts["instances"] if one["num_lidar_pts"] > 0]
    rows = np.array([one["bbox_3d"] for one in cars])
    n, zeros = len(rows), np.zeros(len(rows))
    objects = KittiObjects(np.array(["Car"] * n), zeros, zeros.astype(np.int64), zeros, np.zeros((n, 4)),
                           rows[:, [4, 5, 3]], rows[:, :3], rows[:, 6], zeros)  # fmt: skip
    boxes = lidar_boxes(objects, KittiCalibration(np.zeros((3, 4)), motion))
    points = torch.from_numpy(np.fromfile(data_root / "kitti/000008.bin", "<f4").reshape(-1, 4))
    assert count_points_in_boxes(points, torch.from_numpy(boxes)).tolist() == [1325, 1900, 881, 659, 55, 162]
    calibration = KittiCalibration(np.array(facts["lidar"]["P2"])[:3], motion)
    assert calibration.in_image(points[:, :3].numpy(), IMAGE_SIZE).mean() > 0.999  # the file was cropped so


def test_five_real_frames_have_points_in_their_boxes_and_keep_a_fifth_of_them(data_root: Path) -> None:
    split = KittiSettings(root=data_root / "kitti", validation=0.4).split()
    boxes = 0
    for reader in split.labelled:
        scene = reader.read()
        whole = KittiFrame(data_root / "kitti/training", reader.name, image_only=False).read()
        assert 0.1 < len(scene.cloud) / len(whole.cloud) < 0.25
        inside = count_points_in_boxes(torch.from_numpy(scene.cloud.xyz), torch.from_numpy(scene.truth.boxes))
        assert (inside > 0).all()
        boxes += len(scene.truth)
    assert len(split.labelled) == 5 and boxes >= 5


def test_without_lists_a_hash_chooses_and_the_listing_says_so(root: Path) -> None:
    shutil.rmtree(root / "ImageSets")
    split = KittiSettings(root=root).split()
    assert len(split.train) + len(split.validation) == 4
    assert "no ImageSets/train.txt" in split.listing[0].what and split.listing[0].severity == "warning"
    assert KittiSettings(root=root, validation=0.5).split().listing == ()


def test_prepared_frames_are_the_same(root: Path, tmp_path: Path) -> None:
    data = KittiSettings(root=root)
    split = data.split()
    (tmp_path / "ready").mkdir()
    prepare(data, None, tmp_path / "ready", 0, None)
    again = KittiSettings(root=tmp_path / "ready").split()
    for one, other in zip(split.labelled, again.labelled, strict=True):
        np.testing.assert_array_equal(one.read().cloud.xyz, other.read().cloud.xyz)
        np.testing.assert_array_equal(one.read().truth.boxes, other.read().truth.boxes)


def test_training_frames_without_any_labels_are_one_fault_and_are_not_trained_on(root: Path) -> None:
    shutil.rmtree(root / "training/label_2")
    split = KittiSettings(root=root).split()
    faults = [fault for fault in check(split, 0) if fault.case == "KITTI" and fault.severity == "error"]
    assert faults == list(split.listing) and faults[0].what == f"{root / 'training/label_2'} does not exist"
    with pytest.raises(DataError, match=r"KITTI: .*label_2 does not exist\. Unpack the archive of labels"):
        split.require()


def test_missing_files_and_folders_are_told(root: Path, tmp_path: Path) -> None:
    (root / "training/calib/000001.txt").unlink()
    (root / "training/velodyne/000003.bin").unlink()
    split = KittiSettings(root=root).split()
    assert [fault.case for fault in split.listing] == ["000001", "000003"]
    assert {fault.case for fault in check(split, 0) if fault.what.endswith("does not exist")} == {"000001", "000003"}
    with pytest.raises(DataError, match=r"000001\.txt does not exist"):
        split.require()
    with pytest.raises(DataError, match=r"000001\.txt: no such file"):
        split.train[1].read()
    (root / "ImageSets/val.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="the text is not UTF-8"):
        KittiSettings(root=root).split()
    with pytest.raises(DataError, match="not a KITTI folder"):
        KittiSettings(root=root / "ImageSets").split()
    with pytest.raises(DataError, match="no such folder"):
        KittiSettings(root=tmp_path / "none").split()


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("P2:", "P9:", "no line P2"),
        ("R0_rect: 1", "R0_rect: one", "R0_rect has a word that is no number"),
        ("R0_rect: 1", "R0_rect:", "R0_rect is no matrix; got 8 numbers"),
        ("R0_rect: 1", "R0_rect: nan", "R0_rect is no matrix"),
        ("R0_rect: 1", "R0_rect: 2", "not a rigid motion"),
    ],
)
def test_broken_calibrations_are_refused(root: Path, line: str, instead: str, message: str) -> None:
    path = root / "training/calib/000000.txt"
    path.write_text(CALIBRATION.replace(line, instead))
    with pytest.raises(DataError, match=message):
        read_calibration(path)


def test_cut_empty_and_strange_points(root: Path) -> None:
    frame, path = KittiFrame(root / "training", "000000"), root / "training/velodyne/000000.bin"
    path.write_bytes(bytes(20))
    with pytest.raises(DataError, match="the file is cut; got 20 bytes"):
        frame.read()
    path.write_bytes(b"")
    assert len(frame.read().cloud) == 0 and len(frame.read().truth) == 1
    odd = [[np.nan, 0, 0, 0], [1e30, 0, 0, 0], [20, 0, 0, np.inf]]
    np.array([*odd, [1e5, 0, 0, 0], [20, 0, 0, 1]], "<f4").tofile(path)
    whole = KittiFrame(frame.folder, frame.number, image_only=False)
    assert len(whole.read().cloud) == 2 and len(frame.read().cloud) >= 1
    (root / "training/label_2/000000.txt").write_text("")
    assert frame.read().truth.boxes.shape == (0, 7)
    (root / "training/label_2/000000.txt").write_text("Car 1 2\n")
    with pytest.raises(DataError, match="wrong number of columns"):
        frame.read()
