"""Generated depth frames: what a depth camera measures, boxes around all of an object, files that are read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pointcloud.datasets.sun_rgbd.dataset import SunRgbdSettings
from pointcloud.generate.frames.depth import measured
from pointcloud.generate.frames.frame import POINTS, MadeFrame, make_frames
from pointcloud.generate.frames.labels import LABELS
from pointcloud.generate.frames.sensors import SENSORS
from pointcloud.generate.frames.viewpoint import Viewpoint
from pointcloud.generate.frames.write import VIEWS, write_frames
from pointcloud.generate.rooms import beds, seats, storage, tables, wet_rooms
from pointcloud.generate.rooms.cameras import rotation_of
from pointcloud.generate.rooms.depth_images import NOTHING, depth_image
from pointcloud.generate.rooms.furniture import Furniture
from pointcloud.generate.rooms.quads import box, join
from pointcloud.structures.class_names import SUN_RGBD_CLASSES
from pointcloud.structures.class_sizes import SUN_RGBD
from vol3d.errors import UsageError
from vol3d.geometry import points_in_boxes

GREY = (128.0, 128.0, 128.0)
STRUCTURED, TIME_OF_FLIGHT = SENSORS[0], SENSORS[1]


@pytest.fixture(scope="module")
def made() -> list[MadeFrame]:
    return [frame for room in range(6) for frame in make_frames(seed=3, room=room, views=3)]


def flat(sensor, z: float, size: tuple[int, int] = (60, 80)) -> np.ndarray:
    """What is measured of a bright wall at distance z."""
    full, one = np.full(size, z), np.ones(size)
    return measured(np.random.default_rng(0), sensor, full, one, one, one)


def test_a_depth_image_has_the_depth_and_the_face_that_each_ray_meets() -> None:
    near, far = box((-0.5, -0.5, 2), (0.5, 0.5, 2.5), GREY), box((-5, -5, 5), (5, 5, 5.5), GREY)
    depth, face = depth_image(join([near, far]).corners, (64, 48), 40.0)
    assert depth[24, 32] == pytest.approx(2) and face[24, 32] < len(near)
    assert depth[24, 12] == pytest.approx(5) and len(near) <= face[24, 12] < len(near) + len(far)
    inner = np.abs(np.arange(64) + 0.5 - 32) / 40 * 2 < 0.45
    assert (depth[24, inner] == pytest.approx(2)) and np.isfinite(depth).all()
    empty, nothing = depth_image(np.zeros((0, 4, 3)), (8, 6), 5.0)
    assert empty.shape == (6, 8) and np.isinf(empty).all() and (nothing == NOTHING).all()


def test_errors_grow_with_the_square_of_the_distance_and_depths_come_in_steps() -> None:
    spread = [flat(STRUCTURED, z)[flat(STRUCTURED, z) > 0].std() for z in (1.0, 2.0, 4.0)]
    assert 3 < spread[2] / spread[1] < 6 and spread[0] < spread[1] < 0.02
    values = np.unique(flat(STRUCTURED, 4.0))
    steps = np.diff(values[values > 0])
    assert steps.min() > 0.2 * STRUCTURED.step_per_m2() * 16  # the same measurements again and again
    assert len(np.unique(flat(TIME_OF_FLIGHT, 4.0))) > 20 * len(values)


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda one: one.name)
def test_a_camera_returns_nothing_beyond_its_range_of_nothing_and_of_what_does_not_answer(sensor) -> None:
    assert (flat(sensor, 0.5 * sensor.near_m) == 0).all() and (flat(sensor, 1.5 * sensor.far_m) == 0).all()
    assert (flat(sensor, np.inf) == 0).all()
    rng, ones = np.random.default_rng(0), np.ones((40, 40))
    assert (measured(rng, sensor, 2.5 * ones, 0.005 * ones, ones, ones) == 0).mean() > 0.9  # glancing
    assert (measured(rng, sensor, 2.5 * ones, ones, 0.005 * ones, ones) == 0).mean() > 0.9  # glass
    assert (flat(sensor, 1.5) > 0).mean() > 0.85


def test_the_projector_throws_a_shadow_beside_what_is_near() -> None:
    depth = np.full((40, 200), 3.0)
    depth[:, 80:120] = 1.0
    ones = np.ones_like(depth)
    lost = (measured(np.random.default_rng(1), STRUCTURED, depth, ones, ones, ones) == 0).mean(axis=0)
    width = STRUCTURED.focal * STRUCTURED.base_m * (1 - 1 / 3)  # pixels of disparity between front and back
    shadow = lost > 0.99
    assert abs(shadow.sum() - width) < 3 and np.flatnonzero(shadow).min() > 60 and np.flatnonzero(shadow).max() < 80


def test_a_box_lies_along_the_sides_of_a_turned_object() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        chair = seats.chair(rng)
        turned = chair.placed(1.0, -2.0, 0.3, yaw=rng.uniform(-9, 9)).placed(0.5, 0.5, yaw=rng.uniform(-9, 9))
        x, y, z, length, width, height, yaw = turned.box()
        np.testing.assert_allclose([width, length, height], chair.size, atol=1e-9)
        points = torch.from_numpy(turned.quads.corners.reshape(-1, 3))
        a_little_more = torch.tensor([[x, y, z, length + 1e-6, width + 1e-6, height + 1e-6, yaw]])
        assert points_in_boxes(points, a_little_more).all() and -np.pi <= yaw <= np.pi


def test_the_heading_is_where_the_front_looks() -> None:
    front = Furniture("chair", box((-0.2, 0.9, 0), (0.2, 1.0, 1), GREY))  # at y = 1 of its own frame
    back = Furniture("chair", box((-0.2, -1.0, 0), (0.2, -0.9, 1), GREY))
    for yaw in (-2.0, 0.0, 0.7, 3.0):
        whole = replace(front, quads=join([front.quads, back.quads])).placed(2, 3, yaw=yaw).box()
        ahead = front.placed(2, 3, yaw=yaw).box()[:2] - whole[:2]
        np.testing.assert_allclose(ahead / np.linalg.norm(ahead), [np.cos(whole[6]), np.sin(whole[6])], atol=1e-9)


def test_points_and_boxes_go_to_the_frame_of_the_cloud_together() -> None:
    view = Viewpoint(STRUCTURED, np.array([1.0, 2.0, 1.5]), 0.8, rotation_of(0.8, -0.2))
    chair = seats.chair(np.random.default_rng(0)).placed(3.0, 4.0, yaw=2.0)
    moved = view.upright_boxes(chair.box()[None])
    points = torch.from_numpy(view.upright(chair.quads.corners.reshape(-1, 3)))
    assert points_in_boxes(points, torch.from_numpy(moved + np.array([0, 0, 0, 1e-6, 1e-6, 1e-6, 0]))).all()
    assert view.upright(view.centre[None] + [np.cos(0.8), np.sin(0.8), 0]) == pytest.approx(np.array([[0, 1, 0]]))
    assert view.upright_boxes(np.zeros((0, 7))).shape == (0, 7)


def test_frames_show_a_part_of_a_room_and_boxes_hold_their_points(made) -> None:
    for frame in made:
        assert 1000 < len(frame.xyz) <= POINTS and np.isfinite(frame.xyz).all() and frame.rgb.dtype == np.uint8
        width, _ = frame.viewpoint.sensor.size
        across = np.abs(np.arctan2(frame.xyz[:, 0], frame.xyz[:, 1]))
        assert np.percentile(across, 90) < np.arctan(0.5 * width / frame.viewpoint.sensor.focal) + 0.3
        assert (frame.xyz[:, 1] > 0).mean() > 0.98 and np.linalg.norm(frame.xyz, axis=1).max() < 12
        inside = points_in_boxes(torch.from_numpy(frame.xyz.astype(np.float64)), torch.from_numpy(frame.boxes))
        assert (inside.sum(dim=1) > 0).float().mean() > 0.9 if len(frame.boxes) else True
    floor = np.array([-np.percentile(frame.xyz[:, 2], 1) for frame in made])
    assert 1.0 < np.median(floor) < 1.7


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (beds.bed, "bed"), (tables.dining_table, "table"), (seats.sofa, "sofa"), (seats.chair, "chair"),
        (wet_rooms.toilet, "toilet"), (tables.desk, "desk"), (storage.dresser, "dresser"),
        (storage.nightstand, "night_stand"), (storage.bookshelf, "bookshelf"), (wet_rooms.bathtub, "bathtub"),
    ],
)  # fmt: skip
def test_sizes_are_those_of_sun_rgbd(build, name: str) -> None:
    pieces = [build(np.random.default_rng(seed)) for seed in range(60)]
    assert all(LABELS[piece.label] == SUN_RGBD_CLASSES.index(name) for piece in pieces)
    found = np.median([piece.box()[3:6] for piece in pieces], axis=0) / SUN_RGBD[name]
    assert (found > 0.65).all() and (found < 1.5).all()


def test_every_class_is_generated_and_frames_show_several(made) -> None:
    assert {SUN_RGBD_CLASSES[label] for label in LABELS.values()} == set(SUN_RGBD_CLASSES)
    assert len(set(np.concatenate([frame.labels for frame in made]).tolist())) >= 5


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("frames")
    write_frames(out, frames=6, seed=3, workers=0)
    return out


def test_the_package_reads_what_was_made(root, made) -> None:
    split = SunRgbdSettings(root=root).split().require()
    assert split.synthetic
    assert [one.name for one in split.train] == ["000000", "000001", "000002", "000003"]
    assert [one.name for one in split.validation] == ["000004", "000005"]
    for reader, frame in zip(split.train, made, strict=False):
        if reader.name == "000003":
            break
        scene = reader.read()
        np.testing.assert_array_equal(scene.cloud.xyz, frame.xyz)
        np.testing.assert_array_equal(scene.cloud.columns["rgb"], frame.rgb)
        np.testing.assert_allclose(scene.truth.boxes, frame.boxes, atol=1e-5)
        np.testing.assert_array_equal(scene.truth.labels, frame.labels)


def test_a_stopped_run_goes_on_with_any_number_of_workers(root, tmp_path) -> None:
    write_frames(tmp_path, 5, seed=3, workers=0)
    folder = tmp_path / "sunrgbd_pc_bbox_votes_50k_v1_train"
    (folder / "000002_bbox.npy").unlink()
    seen: list[tuple[int, int]] = []
    write_frames(tmp_path, 6, 3, workers=2, progress=lambda done, total, name: seen.append((done, total)))
    assert contents(tmp_path) == contents(root) and seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("frames", "seed", "where"), [(VIEWS, 0, "scenes"), (0, 0, "scenes"), (100_001, 0, "scenes"), (8, -1, "seed")]
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(tmp_path, frames, seed, where) -> None:
    with pytest.raises(UsageError, match=where):
        write_frames(tmp_path / "out", frames, seed, 0)
    assert not (tmp_path / "out").exists()


def test_frames_of_another_seed_are_not_mixed_in(root) -> None:
    with pytest.raises(UsageError, match="another seed"):
        write_frames(root, 6, 4, 0)


def test_a_frame_is_never_empty() -> None:
    """In this room 40 places in a row show nothing or too little, and the next one nothing at all."""
    assert len(next(iter(make_frames(7, 203, 1))).xyz) == POINTS
