"""SUN RGB-D from the official archive and from VoteNet's export: a synthetic room comes back where it was put."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.io import savemat

from pointcloud.conventions import boxes_to_sun_rgbd
from pointcloud.datasets.sun_rgbd.dataset import SunRgbdSettings
from pointcloud.datasets.sun_rgbd.frames import CLOUD_FROM_CAMERA, back_project, decode_depth
from pointcloud.datasets.sun_rgbd.labels import frame_key, read_annotation
from pointcloud.structures.class_names import SUN_RGBD_CLASSES
from pointcloud.structures.class_sizes import SUN_RGBD
from tests.pointcloud.datasets.makers import cells, write_mat, write_sun_frame
from vol3d.errors import DataError
from vol3d.files import read_json
from vol3d.geometry import count_points_in_boxes

SHAPE = (48, 64)
INTRINSICS = np.array([[50.0, 0, 32.5], [0, 50, 24.5], [0, 0, 1]])
PITCH = 0.3  # the camera looks down by so much, and stands 1.4 m above the floor
BED = np.array([0.3, 2.4, -1.1, 1.2, 0.8, 0.6, 0.5])  # x y z l w h yaw in the cloud's axes: on the floor at z = -1.4
AUTHORS = "/n/fs/sun3d/data/SUNRGBD/"
KEYS = ["kv1/NYUdata/NYU0001", "xtion/sun3ddata/lab/frame_2", "kv2/kinect2data/000003"]


def upright() -> np.ndarray:
    """Rotation (3, 3) of the camera's x right, y down, z forward to the same axes standing upright."""
    cos, sin = math.cos(PITCH), math.sin(PITCH)
    return np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])


def depth_of_room() -> np.ndarray:
    """Depth (h, w) in metres along the viewing direction of a floor, a wall at 4 m and the bed, by ray casting."""
    rays = back_project(np.ones(SHAPE), INTRINSICS).reshape(-1, 3) @ tilt().T
    with np.errstate(divide="ignore"):
        floor = np.where(rays[:, 2] < 0, -1.4 / rays[:, 2], np.inf)
        wall = np.where(rays[:, 1] > 0, 4.0 / rays[:, 1], np.inf)
    turn = np.array([[math.cos(BED[6]), math.sin(BED[6]), 0], [-math.sin(BED[6]), math.cos(BED[6]), 0], [0, 0, 1]])
    start, along = turn @ -BED[:3], rays @ turn.T
    with np.errstate(divide="ignore"):
        hits = np.sort(np.stack([(side * BED[3:6] / 2 - start) / along for side in (-1, 1)]), axis=0)
    near, far = hits[0].max(1), hits[1].min(1)
    bed = np.where(near <= far, near, np.inf)
    return np.minimum(np.minimum(floor, wall), bed).reshape(SHAPE)


def tilt() -> np.ndarray:
    return CLOUD_FROM_CAMERA @ upright() @ CLOUD_FROM_CAMERA.T


def bed_row(scale: float = 1.0) -> tuple:
    """The bed as the metadata have it: half sizes across, along, up; direction of the heading."""
    length, width, height = BED[3:6] * scale
    heading = np.array([math.cos(BED[6]), math.sin(BED[6]), 0.0])
    return "bed", BED[None, :3], np.array([[width, length, -height]]) / 2, heading[None]


def official(root: Path) -> Path:
    """Three frames, two that train; labels v1 and v2 differ in the bed's size."""
    for key in KEYS:
        write_sun_frame(root / "SUNRGBD" / key, depth_of_room(), INTRINSICS, upright())
    for key in KEYS[:2]:
        polygon = corners()
        objects = [None, {"name": "wall", "polygon": [polygon]}, {"name": "bed:truncated", "polygon": [polygon]}]
        path = root / "SUNRGBD" / key / "annotation3Dfinal/index.json"
        path.write_text(json.dumps({"objects": [*objects, {"name": "lamp", "polygon": []}]}))
    frames = [
        {
            "depthpath": f"{AUTHORS}{key}/depth_bfx/0000001.png",
            "K": INTRINSICS,
            "Rtilt": tilt(),
            "boxes": [bed_row(), ("unicorn", *bed_row()[1:])] if number < 2 else [],
        }
        for number, key in enumerate(KEYS)
    ]
    write_mat(root / "SUNRGBDtoolbox/Metadata/SUNRGBDMeta.mat", frames)
    for frame in frames:
        frame["boxes"] = [bed_row(1.1)] if frame["boxes"] else []
    write_mat(root / "SUNRGBDMeta3DBB_v2.mat", frames)
    split = root / "SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat"
    split.parent.mkdir(parents=True)
    halves = [[AUTHORS + key for key in keys] for keys in (KEYS[:2], KEYS[2:])]
    savemat(split, {"alltrain": cells(halves[0]), "alltest": cells(halves[1])})
    return root


def corners(box: np.ndarray = BED) -> dict[str, object]:
    """A box as annotation3Dfinal has it: the first side is the one that the heading points to."""
    along, across = (
        np.array([math.cos(box[6] + turn), math.sin(box[6] + turn)]) / 2 * size
        for turn, size in ((0, box[3]), (math.pi / 2, box[4]))
    )
    corner = box[:2] + np.array([along + across, along - across, -along - across, -along + across])
    heights = {"Ymin": -(box[2] - box[5] / 2), "Ymax": -(box[2] + box[5] / 2)}
    return {"X": corner[:, 0].tolist(), "Z": corner[:, 1].tolist(), **heights, "rectangle": 1}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return official(tmp_path)


@pytest.mark.parametrize("labels", ["v1", "v2", "json"])
def test_the_room_stands_where_it_was_put(root: Path, labels: str) -> None:
    split = SunRgbdSettings(root=root, labels=labels).split().require()
    assert [len(part) for part in (split.train, split.validation, split.test)] == [2, 1, 0]
    assert split.train[0].name == ("kv1_NYUdata_NYU0001" if labels == "json" else "000001")
    scene = split.train[0].read()
    assert scene.truth.names() == ["bed"] and scene.truth.class_names == SUN_RGBD_CLASSES
    wanted = BED * ([1, 1, 1, 1.1, 1.1, 1.1, 1] if labels == "v2" else 1)
    np.testing.assert_allclose(scene.truth.boxes[0], wanted, atol=1e-5)
    xyz = scene.cloud.xyz
    assert len(xyz) == SHAPE[0] * SHAPE[1] and np.abs(scene.cloud.columns["rgb"] - [200.0, 100, 50]).max() < 6
    assert abs(xyz[:, 2].min() + 1.4) < 2e-3 and abs(xyz[:, 1].max() - 4.0) < 4e-3  # depth is stored in millimetres
    grown = torch.from_numpy(wanted + np.array([0, 0, 0, 0.01, 0.01, 0.01, 0])).float()[None]
    seen = int(count_points_in_boxes(torch.from_numpy(xyz), grown))
    on_bed = (xyz[:, 2] > -1.39) & (xyz[:, 1] < 3.9)
    assert seen > 100 and (labels == "v2" or abs(int(on_bed.sum()) - seen) < 0.1 * seen)
    (empty,) = split.validation
    assert empty.read().truth.boxes.shape == (0, 7)


def test_the_benchmark_takes_its_cameras_from_the_later_metadata(root: Path) -> None:
    path = root / "SUNRGBDMeta3DBB_v2.mat"
    key = f"{AUTHORS}{KEYS[0]}/depth_bfx/1.png"
    write_mat(path, [{"depthpath": key, "K": 2 * INTRINSICS, "Rtilt": np.eye(3), "boxes": []}])
    frame = SunRgbdSettings(root=root).split().train[0]
    other = frame.fingerprint()
    np.testing.assert_array_equal(frame.known.camera()[0], 2 * INTRINSICS)  # type: ignore[attr-defined]
    path.unlink()
    frame = SunRgbdSettings(root=root).split().train[0]
    np.testing.assert_array_equal(frame.known.camera()[0], INTRINSICS)  # type: ignore[attr-defined]
    assert frame.fingerprint() != other


NUMBER, SIZE = st.floats(-9, 9), st.floats(0.05, 5)


@given(st.tuples(NUMBER, NUMBER, NUMBER, SIZE, SIZE, SIZE, st.floats(-3.1, 3.1)))
def test_a_box_of_an_annotation_comes_back(box: tuple[float, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.json"
        path.write_text(json.dumps({"objects": [{"name": "chair", "polygon": [corners(np.array(box))]}]}))
        boxes, labels = read_annotation(path, SUN_RGBD_CLASSES)
    assert labels.tolist() == [SUN_RGBD_CLASSES.index("chair")]
    np.testing.assert_allclose(boxes[0], box, atol=1e-9)


@given(arrays(np.uint16, (2, 3), elements=st.integers(0, 8000)))
def test_depth_in_millimetres_comes_back(millimetres: np.ndarray) -> None:
    stored = (millimetres << 3) | (millimetres >> 13)
    np.testing.assert_allclose(decode_depth(stored) * 1000, millimetres, atol=1e-3)


def test_depth_is_rotated_by_three_bits_and_ends_at_eight_metres() -> None:
    stored = np.array([[0, 8 * 1500, 8 * 8000, (8 * 9000) & 0xFFFF | 9000 >> 13, 1]], np.uint16)
    np.testing.assert_allclose(decode_depth(stored), [[0, 1.5, 8, 8, 8]])
    assert decode_depth(np.zeros((0, 0), np.int32)).shape == (0, 0)
    for wrong in (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2)), np.full((1, 1), 70000)):
        with pytest.raises(DataError, match="not a 16-bit depth image"):
            decode_depth(wrong)


def test_pixels_are_counted_from_one() -> None:
    point = back_project(np.full((1, 1), 2.0), np.array([[10.0, 0, 0.5], [0, 20, 3], [0, 0, 1]]))
    np.testing.assert_allclose(point[0, 0], [0.5 * 2 / 10, 2, 2 * 2 / 20])


def test_a_frame_is_known_by_its_place_in_the_archive() -> None:
    assert (
        frame_key(AUTHORS + "kv1/a/b") == frame_key("kv1/a/b/") == frame_key("\\data\\SUNRGBD\\kv1\\a\\b") == "kv1/a/b"
    )


def test_missing_and_damaged_files_are_told(root: Path) -> None:
    shutil.rmtree(root / "SUNRGBD" / KEYS[1])
    (fault,) = SunRgbdSettings(root=root).split().listing
    assert fault.what == f"1 of 3 frames are missing: {KEYS[1]}" and fault.severity == "error"
    frame = SunRgbdSettings(root=root).split().train[0]
    depth = root / "SUNRGBD" / KEYS[0] / "depth_bfx/0000001.png"
    depth.write_bytes(depth.read_bytes()[:200])
    with pytest.raises(DataError, match="the image is damaged"):
        frame.read()
    depth.unlink()
    with pytest.raises(DataError, match="a file of the frame is missing"):
        frame.read()
    meta = root / "SUNRGBDtoolbox/Metadata/SUNRGBDMeta.mat"
    content = meta.read_bytes()
    meta.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"SUNRGBDMeta\.mat: .*(damaged|cannot read)"):
        SunRgbdSettings(root=root).split()
    meta.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF")
    with pytest.raises(DataError, match=r"version 7\.3.*save -v7"):
        SunRgbdSettings(root=root).split()
    meta.unlink()
    with pytest.raises(DataError, match=r"SUNRGBDMeta\.mat: no such file\. Unpack .*labels: v1, v2 or json"):
        SunRgbdSettings(root=root).split()


def test_frames_without_an_entry_in_the_labels_are_told(root: Path) -> None:
    for path in (root / "SUNRGBDtoolbox/Metadata/SUNRGBDMeta.mat", root / "SUNRGBDMeta3DBB_v2.mat"):
        row = {"depthpath": f"{AUTHORS}{KEYS[0]}/depth/1.png", "K": INTRINSICS, "Rtilt": tilt(), "boxes": [bed_row()]}
        write_mat(path, [row])
    split = SunRgbdSettings(root=root).split()
    assert [fault.severity for fault in split.listing] == ["warning"] and len(split.train) == 1
    assert "2 frames have no entry" in split.listing[0].what


@pytest.mark.parametrize("box", [("bed", np.zeros((1, 2)), np.ones((1, 3)), np.ones((1, 3))), bed_row(math.nan)])
def test_a_box_that_makes_no_sense_is_left_out_and_told(root: Path, box: tuple) -> None:
    row = {"depthpath": f"{AUTHORS}{KEYS[0]}/depth/1.png", "K": INTRINSICS, "Rtilt": tilt(), "boxes": [box, bed_row()]}
    write_mat(root / "SUNRGBDMeta3DBB_v2.mat", [row])
    split = SunRgbdSettings(root=root, labels="v2").split()
    assert split.listing[0].case == "000001" and split.listing[0].what.startswith("object 1 (bed: ")
    assert len(split.train[0].read().truth) == 1
    write_mat(root / "SUNRGBDMeta3DBB_v2.mat", [{**row, "K": np.eye(2)}])
    with pytest.raises(DataError, match=r"v2\.mat, frame 1: a frame is invalid"):
        SunRgbdSettings(root=root, labels="v2").split()


def test_votenets_export_of_a_real_frame(tmp_path: Path, data_root: Path) -> None:
    table = np.fromfile(data_root / "sunrgbd/000017.bin", "<f4").reshape(-1, 6)
    instances = read_json(data_root / "sunrgbd/000017.json")["instances"]
    boxes = torch.tensor([one["bbox_3d"] for one in instances], dtype=torch.float64)
    labels = [one["bbox_label_3d"] for one in instances]
    for part, name in (("train", "000017"), ("val", "000018")):
        folder = tmp_path / f"sunrgbd_pc_bbox_votes_50k_v1_{part}"
        folder.mkdir()
        np.savez_compressed(folder / f"{name}_pc.npz", pc=table)
        np.save(folder / f"{name}_bbox.npy", np.column_stack([boxes_to_sun_rgbd(boxes).numpy(), labels]))
    split = SunRgbdSettings(root=tmp_path).split().require()
    scene = split.train[0].read()
    assert split.train[0].name == "000017" and scene.truth.names() == ["night_stand", "bed"]
    np.testing.assert_allclose(scene.truth.boxes, boxes, atol=1e-5)
    np.testing.assert_array_equal(scene.cloud.xyz, table[:, :3])
    np.testing.assert_allclose(scene.cloud.columns["rgb"] / 255, table[:, 3:], atol=0.002)
    counts = [
        count_points_in_boxes(torch.from_numpy(scene.cloud.xyz), torch.from_numpy(scene.truth.boxes) * turn)
        for turn in (torch.ones(7), torch.tensor([1.0, 1, 1, 1, 1, 1, -1]))
    ]
    assert counts[0].sum() > 1.2 * counts[1].sum(), "a clockwise yaw would miss the furniture"
    np.save(tmp_path / "sunrgbd_pc_bbox_votes_50k_v1_val/000018_bbox.npy", np.full((1, 8), 10.0))
    with pytest.raises(DataError, match="a class outside the list"):
        split.validation[0].read()


def test_the_tables_are_the_originals(oracle_root: Path) -> None:
    wanted = read_json(oracle_root / "3detr/F_tables/tables.json")
    assert list(SUN_RGBD_CLASSES) == wanted["sunrgbd"]["class_names_by_id"]
    sizes = wanted["mean_sizes_NOT_part_of_3detr"]["sunrgbd_type_mean_size_lwh_m"]
    assert {name: list(size) for name, size in SUN_RGBD.items()} == sizes


def test_folders_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        SunRgbdSettings(root=tmp_path / "none").split()
    with pytest.raises(DataError, match="not a SUN RGB-D folder; got an empty folder, wanted SUNRGBD"):
        SunRgbdSettings(root=tmp_path).split()
