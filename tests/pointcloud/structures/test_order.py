"""Orders that follow from values: whatever order points and triangles come in, they leave in one."""

from __future__ import annotations

import numpy as np
import pytest

from pointcloud.structures.order import canonical_faces, canonical_order
from vol3d.scans.points.sample import value_keys

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
@pytest.mark.parametrize("duplicates", [False, True])
def test_permuted_rows_end_in_one_order(count: int, duplicates: bool) -> None:
    rows = RNG.normal(size=(count, 5)).astype(np.float32)
    rows = np.concatenate([rows, rows[::3], rows[:1]]) if duplicates else rows
    once = rows[canonical_order(rows)]
    again = RNG.permutation(rows)
    assert again[canonical_order(again)].tobytes() == once.tobytes()
    assert sorted(map(bytes, once)) == sorted(map(bytes, rows))


@pytest.mark.parametrize("count", [0, 1, 2, 3000])
@pytest.mark.parametrize("step_m", [0.0, 0.0001, 0.01, 0.3])
def test_the_order_is_that_of_both_keys(count: int, step_m: float) -> None:
    rng = np.random.default_rng(count)
    rows = np.concatenate([rng.uniform(-1, 1, (count, 3)), rng.integers(0, 3, (count, 1))], axis=1).astype(np.float32)
    if step_m:
        rows[:, :3] = np.round(rows[:, :3] / np.float32(step_m)) * np.float32(step_m)
    rows = np.concatenate([rows, rows[::2], rng.permutation(rows)[:5]])
    places = value_keys(np.round(rows[:, :3] * np.float32(1024)))
    np.testing.assert_array_equal(canonical_order(rows), np.lexsort((value_keys(rows), places)))


def test_the_order_does_not_follow_the_coordinates() -> None:
    rows = np.stack([np.arange(4000), np.zeros(4000)], axis=1).astype(np.float32)
    order = canonical_order(rows)
    assert abs(np.corrcoef(order, np.arange(4000))[0, 1]) < 0.1
    assert 0.4 < (order[:1000] < 2000).mean() < 0.6


def test_a_scan_in_millimetres_keeps_its_order() -> None:
    metres = RNG.uniform(-5, 5, (2000, 3)).astype(np.float32)
    rounded = (metres * np.float32(1000)) * np.float32(0.001)
    assert (rounded != metres).any()
    same = canonical_order(metres) == canonical_order(rounded)
    assert same.mean() > 0.5 and same[:20].all()  # a point that is rounded to another millimetre shifts those behind it


def test_a_negative_zero_is_a_zero() -> None:
    rows = RNG.integers(-1, 2, (50, 3)).astype(np.float32)
    assert np.array_equal(canonical_order(rows), canonical_order(np.where(rows == 0, np.float32(-0.0), rows)))


def test_triangles_end_in_one_order_with_the_same_sides_up() -> None:
    xyz = RNG.normal(size=(40, 3)).astype(np.float32)
    xyz = np.concatenate([xyz, xyz[:10]])  # corners that each of two surfaces has
    faces = np.stack([RNG.permutation(50)[:3] for _ in range(60)])
    once = xyz[canonical_faces(xyz, faces)]

    place = RNG.permutation(50)
    turned = np.array([np.roll(face, RNG.integers(3)) for face in RNG.permutation(np.argsort(place)[faces])])
    assert xyz[place][canonical_faces(xyz[place], turned)].tobytes() == once.tobytes()

    def normals(corners: np.ndarray) -> list[list[float]]:
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return sorted(cross.astype(np.float64).round(4).tolist())

    assert normals(once) == normals(xyz[faces])
