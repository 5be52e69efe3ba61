"""Volumes on other grids: the same world point keeps the same value, and what is undone is undone to the bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import interpolate as slow
from vol3d.errors import DataError, UsageError
from vol3d.scans.volumes import grid as ours
from vol3d.scans.volumes.volume import Grid, Volume

CODES = [
    "".join(letters)
    for axes in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*axes)
]  # fmt: skip


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    result = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        turn = np.eye(3)
        a, b = [other for other in range(3) if other != axis]
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        result = result @ turn
    return result


def make(
    shape: tuple[int, int, int] = (5, 6, 7),
    spacing: tuple[float, float, float] = (1.0, 2.0, 0.5),
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0),
    origin: tuple[float, float, float] = (-10.0, 20.0, 30.0),
    channels: int = 1,
    dtype: str = "float32",
) -> Volume:
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) * spacing
    affine[:3, 3] = origin
    array = np.random.default_rng(0).integers(0, 5, (channels, *shape)).astype(dtype)
    if dtype == "float32":
        array += np.random.default_rng(1).random(array.shape, dtype=np.float32)
    return Volume(array, Grid(shape, affine))


def smooth(shape: tuple[int, int, int], affine: np.ndarray) -> Volume:
    """A volume whose value is a linear function of the world position, so that linear interpolation is exact."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    return Volume((world @ [1.0, -2.0, 0.5] + 3.0).astype(np.float32)[None], Grid(shape, affine))


def world_values(volume: Volume) -> dict[tuple[float, ...], float]:
    index = np.argwhere(np.ones(volume.grid.shape, bool))
    world = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    values = volume.array[0][tuple(index.T)]
    return {tuple(np.round(place, 5) + 0.0): float(value) for place, value in zip(world, values, strict=True)}


def test_there_are_48_orientations() -> None:
    assert len(set(CODES)) == 48


@pytest.mark.parametrize("code", CODES)
def test_reorient_moves_no_voxel_in_the_world_and_back_is_bit_equal(code: str) -> None:
    volume = make(degrees=(8.0, -5.0, 12.0))
    turned = ours.reorient(volume, code)
    assert ours.orientation(turned.affine) == code
    assert turned.array.flags.c_contiguous
    assert world_values(turned) == world_values(volume)
    back = ours.reorient_to(turned, volume.grid)
    assert np.array_equal(back.array, volume.array)
    assert back.grid is volume.grid
    again = ours.reorient(turned, "RAS")
    assert np.array_equal(again.array, volume.array)
    assert np.abs(again.affine - volume.affine).max() < 1e-12


@given(st.sampled_from(CODES), st.sampled_from(CODES), st.integers(1, 4), st.integers(1, 5), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_reorient_from_any_to_any(first: str, second: str, i: int, j: int, k: int) -> None:
    volume = ours.reorient(make((i, j, k), channels=2), first)
    turned = ours.reorient(volume, second)
    assert ours.orientation(turned.affine) == second
    # With float32 affines, which is what files hold, the way back is exact in the affine too.
    back = ours.reorient(turned, first)
    assert np.array_equal(back.array, volume.array) and np.array_equal(back.affine, volume.affine)


@pytest.mark.parametrize("code", ["RA", "RAR", "RAX", "ras", "RASL", ""])
def test_reorient_refuses_what_is_no_orientation(code: str) -> None:
    with pytest.raises(UsageError, match="not an orientation"):
        ours.reorient(make(), code)


def test_reorient_to_refuses_another_place() -> None:
    volume = make()
    with pytest.raises(DataError, match="not the same voxels"):
        ours.reorient_to(ours.crop(volume, (1, 0, 0), (5, 6, 7)), volume.grid)


@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.floats(0.3, 4.0)] * 3),
    st.tuples(*[st.floats(0.3, 4.0)] * 3),
    st.tuples(*[st.floats(-40.0, 40.0)] * 3),
)
@settings(max_examples=100, deadline=None)
def test_resample_keeps_the_outer_faces(shape, spacing, wanted, degrees) -> None:  # type: ignore[no-untyped-def]
    volume = make(shape, spacing, degrees)
    result = ours.resample(volume, wanted, order=1)
    for corner in itertools.product((0, 1), repeat=3):
        ends = [v.affine[:3, :3] @ (np.array(corner) * v.grid.shape - 0.5) + v.affine[:3, 3] for v in (volume, result)]
        assert np.abs(ends[0] - ends[1]).max() < 1e-9
    side = np.array(shape) * spacing
    assert np.all(
        np.abs(np.array(result.grid.shape) * wanted - side) <= np.maximum(0.5 * np.array(wanted), wanted) + 1e-9
    )
    assert np.allclose(np.array(result.grid.spacing_mm) * result.grid.shape, side)


@pytest.mark.parametrize("degrees", [(0.0, 0.0, 0.0), (20.0, -10.0, 5.0)])
def test_linear_function_of_the_world_is_kept(degrees: tuple[float, float, float]) -> None:
    source = make((12, 11, 10), (1.0, 1.5, 2.0), degrees)
    volume = smooth(source.grid.shape, source.affine)
    result = ours.resample(volume, (0.7, 0.8, 1.1), order=1)
    expected = smooth(result.grid.shape, result.affine)
    inner = (slice(None), *[slice(2, -2)] * 3)
    assert np.abs(result.array[inner] - expected.array[inner]).max() < 1e-4


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize(
    ("shape", "spacing", "degrees", "moved"),
    [
        ((4, 5, 6), (0.9, 1.7, 0.8), (0, 0, 0), (0.3, -0.4, 0.2)),
        ((4, 5, 6), (0.9, 1.7, 0.8), (25, 10, -30), (0.3, -0.4, 0.2)),
        ((3, 1, 2), (2.0, 9.0, 1.0), (0, 0, 90), (5.0, 1.0, 0.0)),
        ((1, 1, 1), (1.0, 1.0, 1.0), (0, 0, 0), (1.0, 1.0, 1.0)),
    ],
)
@pytest.mark.parametrize("source_shape", [(5, 6, 7), (1, 4, 1), (2, 2, 2)])
def test_equals_the_slow_twin(order, shape, spacing, degrees, moved, source_shape) -> None:  # type: ignore[no-untyped-def]
    volume = make(source_shape, channels=2)
    target = make(shape, spacing, degrees, tuple(np.add((-10.0, 20.0, 30.0), moved))).grid
    fast = ours.resample_to(volume, target, order, outside=-7.0)
    assert fast.array.dtype == np.float32
    assert np.abs(fast.array - slow.resample_to(volume, target, order, outside=-7.0)).max() < 2e-5


def test_slabs_give_what_one_piece_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    volume, labels = make((9, 8, 7)), make((9, 8, 7), dtype="uint8")
    target = make((8, 9, 10), (1.3, 1.4, 0.4), (10, 0, 0)).grid
    for order, scan in ((0, volume), (1, volume), (3, volume), (1, labels)):
        for grid in (target, ours.resampled_grid(volume.grid, (0.7, 1.1, 0.9))):
            whole = ours.resample_to(scan, grid, order).array
            with monkeypatch.context() as patch:
                patch.setattr(ours, "SLAB_VOXELS", 1)
                assert np.array_equal(ours.resample_to(scan, grid, order).array, whole)


@pytest.mark.parametrize("degrees", [(0.0, 0.0, 0.0), (15.0, 0.0, 5.0)])
def test_labels_take_the_largest_share(degrees: tuple[float, float, float]) -> None:
    labels = make((5, 6, 7), dtype="uint8")
    target = make((7, 8, 9), (0.7, 1.4, 0.4), degrees).grid
    result = ours.resample_to(labels, target, order=1)
    assert result.array.dtype == np.uint8
    values = np.unique(labels.array)
    shares = np.stack(
        [slow.resample_to(labels.with_array((labels.array == v).astype(np.float32)), target, 1)[0] for v in values]
    )
    inside = shares.sum(axis=0) > 0.5
    got = np.take_along_axis(shares, np.searchsorted(values, result.array)[:1].astype(np.intp), axis=0)[0]
    assert np.abs(got - shares.max(axis=0))[inside].max() < 1e-5
    assert not result.array[0][~inside].any()


def test_labels_never_invent_a_value() -> None:
    labels = Volume(np.array([0, 4], np.uint16).reshape(1, 2, 1, 1), Grid((2, 1, 1), np.eye(4)))
    for order in (0, 1):
        assert set(np.unique(ours.resample(labels, (0.2, 1, 1), order).array)) == {0, 4}
    with pytest.raises(UsageError, match="interpolation order"):
        ours.resample(labels, (0.5, 1, 1), order=3)


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, -1, 1), (1, 1, float("nan")), (1, 1)])
def test_resample_refuses_bad_spacing(spacing) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match="lengths above 0"):
        ours.resample(make(), spacing)


def test_resample_to_own_spacing_returns_the_volume() -> None:
    volume = make()
    assert ours.resample(volume, volume.grid.spacing_mm) is volume


@given(st.tuples(*[st.integers(0, 3)] * 3), st.tuples(*[st.integers(0, 3)] * 3))
@settings(max_examples=40, deadline=None)
def test_crop_undoes_pad(before, after) -> None:  # type: ignore[no-untyped-def]
    volume = make(degrees=(3.0, 4.0, 5.0), channels=2)
    padded = ours.pad(volume, before, after, value=-1.0)
    stop = tuple(np.add(before, volume.grid.shape))
    back = ours.crop(padded, before, stop)
    assert np.array_equal(back.array, volume.array)
    assert back.grid.same_place(volume.grid, 1e-9)
    assert (padded.array == -1).sum() == padded.array.size - volume.array.size


def test_crop_refuses_a_box_outside() -> None:
    for start, stop in (((0, 0, 0), (6, 6, 7)), ((-1, 0, 0), (5, 6, 7)), ((2, 0, 0), (2, 6, 7))):
        with pytest.raises(UsageError, match="must lie inside"):
            ours.crop(make(), start, stop)
    with pytest.raises(UsageError, match="must not be negative"):
        ours.pad(make(), (0, -1, 0), (0, 0, 0))
