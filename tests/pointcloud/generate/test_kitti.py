"""Generated KITTI frames: files of the benchmark that agree with the points, the cameras and the official metric."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pointcloud.datasets.kitti.dataset import KittiFrame, KittiSettings
from pointcloud.datasets.tools import check
from pointcloud.evaluation.kitti import evaluate_kitti
from pointcloud.evaluation.kitti_truth import kitti_scored
from pointcloud.generate.kitti.frame import FrameNumber, MadeFrame, make_frame
from pointcloud.generate.kitti.labels import TYPES, Shown, label
from pointcloud.generate.kitti.rig import IMAGE_SIZE, calibration, calibration_text
from pointcloud.generate.kitti.write import write_kitti
from pointcloud.generate.streets.scanners import SCANNERS, hdl_64e
from vol3d.errors import UsageError
from vol3d.geometry import box_of_points, count_points_in_boxes

FRAMES = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kitti")
    write_kitti(out, FRAMES, seed=1, workers=0)
    return out


@pytest.fixture(scope="module")
def frames(root: Path) -> list[KittiFrame]:
    return list(KittiSettings(root=root).split().require().labelled)  # type: ignore[arg-type]


def test_the_folder_is_one_of_the_benchmark(root: Path) -> None:
    split = KittiSettings(root=root).split().require()
    assert [one.name for one in split.validation] == ["000001"] and len(split.train) == 2 and not split.listing
    assert [one.name for one in split.test] == ["testing_000000"]
    lists = {path.stem: path.read_text().split() for path in (root / "ImageSets").iterdir()}
    assert sorted(lists["train"] + lists["val"]) == lists["trainval"] and lists["test"] == ["000000"]
    assert not (root / "testing/label_2").exists()
    for path in root.glob("*/image_2/*.png"):
        with Image.open(path) as image:
            assert image.size == IMAGE_SIZE and image.mode == "RGB"
        assert path.stat().st_size < 100_000


def test_check_finds_nothing_wrong(root: Path) -> None:
    faults = [fault for fault in check(KittiSettings(root=root).split(), 0) if "no training scene" not in fault.what]
    assert faults == []  # three frames need not show every class


SCANNER = hdl_64e()


def test_frames_look_like_those_of_a_scanner_with_64_beams(root: Path) -> None:
    for path in root.glob("*/velodyne/*.bin"):
        points = np.fromfile(path, "<f4").reshape(-1, 4)
        distance, away = np.linalg.norm(points[:, :3], axis=1), np.hypot(points[:, 0], points[:, 1])
        assert 85_000 < len(points) < 128_500 and distance.min() > 1.4 and distance.max() < 81
        beams = SCANNER.heights_m + np.outer(away, np.tan(SCANNER.elevations))  # each keeps to its cone
        np.testing.assert_allclose(np.abs(beams - points[:, 2:3]).min(axis=1), 0, atol=1e-4)
        ring = np.abs(beams - points[:, 2:3]).argmin(axis=1)[away > 8]  # nearer, the two blocks cross
        assert (np.diff(ring) >= 0).all() and set(ring) <= set(range(64))  # the upper beams come first
        assert 0 <= points[:, 3].min() < points[:, 3].max() <= 1
        flat = points[(distance < 12) & (points[:, 2] < -1.2)]
        assert abs(np.median(flat[:, 2]) + 1.73) < 0.15


def test_the_truth_scores_everything_by_the_official_metric(frames: list[KittiFrame]) -> None:
    def scored():
        for frame in frames:
            scene = frame.read()
            yield kitti_scored(frame, scene.cloud, scene.truth)

    summary = evaluate_kitti(scored()).summary
    assert summary["ap3d_moderate_area"] == 1
    assert summary["classes"]["Car"]["ground_truths"] > 5 and summary["classes"]["Pedestrian"]["ground_truths"] > 1
    for row in summary["classes"].values():
        assert not row["ground_truths"] or row["ap3d_moderate_area"] == 1


def test_columns_agree_with_one_another(frames: list[KittiFrame]) -> None:
    levels = set()
    for frame in frames:
        rows = frame.annotations()
        cared = rows.types != "DontCare"
        assert cared.any() and (np.diff(cared.astype(int)) <= 0).all()  # regions come last
        x, z = rows.location[cared, 0], rows.location[cared, 2]
        turn = np.exp(1j * (rows.alpha[cared] - rows.rotation_y[cared] + np.arctan2(x, z)))
        np.testing.assert_allclose(turn, 1, atol=1e-5)
        assert (rows.bbox >= 0).all() and (rows.bbox <= np.tile(IMAGE_SIZE, 2) - 1).all()
        assert (rows.bbox[:, 2:] > rows.bbox[:, :2]).all()
        assert (rows.dimensions_hwl[cared] > 0.3).all() and (rows.dimensions_hwl[~cared] == -1).all()
        assert ((rows.truncation[cared] >= 0) & (rows.truncation[cared] <= 0.9)).all()
        touches = (rows.bbox == 0).any(axis=1) | (rows.bbox == np.tile(IMAGE_SIZE, 2) - 1).any(axis=1)
        assert not rows.truncation[cared & ~touches].any()
        levels |= set(rows.occlusion[cared].tolist())
    assert {0, 1, 2} <= levels <= {0, 1, 2, 3}


@pytest.fixture(scope="module")
def made() -> MadeFrame:
    return make_frame(FrameNumber(1, 1))


def test_boxes_hold_the_points_of_what_stands_in_them(frames: list[KittiFrame]) -> None:
    """Points just above the ground and near a box are in it: nothing sticks out but mirrors."""
    inside = around = 0
    for frame in frames:
        scene = KittiFrame(frame.folder, frame.number, ("Car",), image_only=False).read()
        boxes, xyz = scene.truth.boxes.copy(), torch.from_numpy(scene.cloud.xyz)
        boxes[:, 2] += 0.15
        boxes[:, 5] -= 0.3
        inside += int(count_points_in_boxes(xyz, torch.from_numpy(boxes)).sum())
        boxes[:, 3:5] += 0.24  # cars park 0.7 m apart
        around += int((box_of_points(xyz, torch.from_numpy(boxes)) >= 0).sum())
    assert inside > 1000 and inside > 0.95 * around


def test_a_thing_that_is_hidden_from_the_beams_is_more_occluded_and_then_not_labelled() -> None:
    boxes = np.array([[15.0, 0, -1, 4, 1.6, 1.5, 0]] * 5)
    seen = np.array([100, 70, 30, 10, 0])
    shown = Shown(boxes, np.array(["Car"] * 5), np.full(5, 100), seen)
    xyz = np.random.default_rng(0).uniform([13, -0.8, -1.75], [17, 0.8, -0.25], (50, 3)).astype(np.float32)
    rows = label(shown, xyz, calibration(), IMAGE_SIZE)
    assert rows.types.tolist() == ["Car", "Car", "Car", "DontCare"]
    assert rows.occlusion.tolist() == [0, 1, 2, -1]
    assert label(shown, xyz[:4], calibration(), IMAGE_SIZE).types.tolist() == ["DontCare"] * 4
    few = Shown(boxes, shown.types, np.full(5, 10), np.minimum(seen, 10))
    assert label(few, xyz, calibration(), IMAGE_SIZE).occlusion[0] == 3


def test_what_the_image_cuts_is_truncated_and_what_it_does_not_show_has_no_row() -> None:
    boxes = np.array([[15.0, y, -1, 4, 1.6, 1.5, 0] for y in (0, 11.5, 40)])
    shown = Shown(boxes, np.array(["Car", "Van", "Truck"]), np.full(3, 50), np.full(3, 50))
    rng = np.random.default_rng(0)
    xyz = (boxes[:, None, :3] + rng.uniform(-0.7, 0.7, (3, 400, 3))).reshape(-1, 3).astype(np.float32)
    rows = label(shown, xyz, calibration(), IMAGE_SIZE)
    assert rows.types.tolist() == ["Car", "Van"] and rows.truncation[0] == 0
    assert 0.1 < rows.truncation[1] < 0.9 and rows.bbox[1, 0] == 0


def test_nothing_seen_is_an_empty_file() -> None:
    shown = Shown(np.zeros((0, 7)), np.zeros(0, np.str_), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert len(label(shown, np.zeros((0, 3), np.float32), calibration(), IMAGE_SIZE)) == 0


def test_a_calibration_file_has_the_lines_of_the_benchmark() -> None:
    lines = dict(line.split(": ") for line in calibration_text().strip().splitlines())
    assert list(lines) == ["P0", "P1", "P2", "P3", "R0_rect", "Tr_velo_to_cam", "Tr_imu_to_velo"]
    assert [len(numbers.split()) for numbers in lines.values()] == [12, 12, 12, 12, 9, 12, 12]
    pixels, away = calibration().project(np.array([[20.0, 0, -0.07]]))
    np.testing.assert_allclose(pixels, [[608, 174]], atol=25)  # straight ahead, but for what is askew
    assert away == pytest.approx(19.72, abs=0.1)


def test_things_have_types_of_kitti(made: MadeFrame) -> None:
    named = {one.category for one in made.street.things}
    assert named <= {*TYPES, ""} and {"Car", ""} <= named
    length = np.mean([one.size[0] for one in made.street.things if one.category == "Car"])
    assert length == pytest.approx(3.88, rel=0.1)


def test_a_frame_depends_on_the_numbers_alone(made: MadeFrame) -> None:
    np.testing.assert_array_equal(make_frame(FrameNumber(1, 1)).points, made.points)
    assert len(make_frame(FrameNumber(1, 1, testing=True)).points) != len(made.points)


def test_a_second_run_keeps_what_is_there_and_makes_the_rest(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    shutil.copytree(root, out)
    kept, lost = out / "training/velodyne/000000.bin", out / "training/label_2/000002.txt"
    before = kept.stat().st_mtime_ns
    lost.unlink()
    write_kitti(out, FRAMES + 1, seed=1, workers=0)
    assert kept.stat().st_mtime_ns == before
    assert lost.read_bytes() == (root / "training/label_2/000002.txt").read_bytes()
    assert (out / "training/calib/000003.txt").is_file()
    with pytest.raises(UsageError, match="prepared with another seed"):
        write_kitti(out, FRAMES, seed=2, workers=0)


def test_other_scanners_stand_where_kittis_does(tmp_path: Path) -> None:
    write_kitti(tmp_path, 2, 1, 0, scanner="vlp-16")
    points = np.fromfile(tmp_path / "training/velodyne/000000.bin", "<f4").reshape(-1, 4)
    up = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    assert 10_000 < len(points) <= 16 * 1800 and set(np.round(up)) <= set(range(-15, 16, 2))
    with pytest.raises(UsageError, match="prepared with another scanner"):
        write_kitti(tmp_path, 2, 1, 0)
    with pytest.raises(UsageError, match="no such scanner; got hdl-65, wanted hdl-64e, "):
        write_kitti(tmp_path / "other", 2, 1, 0, scanner="hdl-65")
    assert len(SCANNERS) == 6


@pytest.mark.parametrize(("count", "seed", "message"), [(1, 0, "not a number of frames"), (2, -1, "not a seed")])
def test_numbers_out_of_range_are_refused(tmp_path: Path, count: int, seed: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write_kitti(tmp_path / "out", count, seed, 0)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_real_frames_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "training/velodyne").mkdir(parents=True)
    with pytest.raises(UsageError, match="the folder holds something else; got training"):
        write_kitti(tmp_path, 2, 0, 0)
