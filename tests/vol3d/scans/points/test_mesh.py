"""Points on surfaces: on the triangles, as dense everywhere, with the corners' colours and normals between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans import PointCloud, sample_surface
from vol3d.scans.points.read import read_points

CORNERS = np.array([[0, 0, 0], [3, 0, 0], [0, 3, 0], [0, 0, 1], [0, 1, 1], [9, 9, 9]], np.float32)
FACES = np.array([[0, 1, 2], [0, 3, 4], [5, 5, 5], [0, 1, 1]])  # areas 4.5 and 0.5, and two without


def mesh(faces: np.ndarray | None = FACES) -> PointCloud:
    columns = {
        "rgb": np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 0], [0, 0, 0], [9, 9, 9]], np.uint8),
        "normal": np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1]], np.float32),
        "class": np.arange(6),
    }
    return PointCloud(CORNERS, columns, faces, notes=(Note.from_text("read"),))


def test_points_lie_on_the_faces_in_proportion_to_their_area() -> None:
    cloud = sample_surface(mesh(), 20_000, np.random.default_rng(0))
    flat = cloud.xyz[:, 2] == 0
    assert len(cloud) == 20_000 and abs(flat.mean() - 0.9) < 0.01
    assert (cloud.xyz[flat] >= 0).all() and (cloud.xyz[flat].sum(1) <= 3 + 1e-5).all()
    assert np.allclose(cloud.xyz[~flat, 0], 0) and (cloud.xyz[~flat, 1] <= cloud.xyz[~flat, 2] + 1e-6).all()
    # Uniform: the mean of a triangle's points is its centroid.
    assert np.allclose(cloud.xyz[flat].mean(0), [1, 1, 0], atol=0.03)
    assert cloud.faces is None and [str(note) for note in cloud.notes] == [
        "read",
        "20000 points were drawn from the surface of 4 triangles",
    ]


def test_colours_and_normals_are_interpolated_and_classes_are_not() -> None:
    cloud = sample_surface(mesh(FACES[:1]), 500, np.random.default_rng(1))
    assert np.abs(cloud.columns["rgb"][:, 0] - cloud.xyz[:, 0] * 85).max() <= 0.51
    assert np.abs(cloud.columns["rgb"][:, 1] - cloud.xyz[:, 1] * 85).max() <= 0.51
    assert cloud.columns["rgb"].dtype == np.uint8 and cloud.columns["class"].dtype == np.int64
    assert np.allclose(np.linalg.norm(cloud.columns["normal"], axis=1), 1, atol=1e-6)
    weights = np.stack((3 - cloud.xyz[:, 0] - cloud.xyz[:, 1], cloud.xyz[:, 0], cloud.xyz[:, 1]), 1)
    assert np.array_equal(cloud.columns["class"], weights.argmax(1))


@given(st.integers(0, 50), st.integers(0, 100))
def test_the_same_generator_gives_the_same_points(n: int, seed: int) -> None:
    first, second = (sample_surface(mesh(), n, np.random.default_rng(seed)) for _ in range(2))
    assert len(first) == n and np.array_equal(first.xyz, second.xyz)
    assert set(first.columns) == {"rgb", "normal", "class"}


@pytest.mark.parametrize(
    ("faces", "message"),
    [
        (None, "not a mesh"),
        (FACES[:0], "not a mesh"),
        (FACES[2:], "the mesh has no area; got 2 flat faces"),
        (np.array([[0, 1, 6]]), "names a point that is not there"),
        (np.array([[0, 1, -1]]), "names a point that is not there"),
    ],
)
def test_meshes_that_cannot_be_sampled(faces: np.ndarray | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sample_surface(mesh(faces), 10, np.random.default_rng(0))


def test_points_that_no_triangle_has_are_not_lost(tmp_path: Path) -> None:
    """A scan with a stray face: a mesh of one triangle would be drawn from that triangle alone."""
    points = np.random.default_rng(0).uniform(0, 4, (500, 3)).astype(np.float32)
    np.savez(tmp_path / "few.npz", points=points, faces=np.array([[0, 1, 2]]))
    np.savez(tmp_path / "half.npz", points=points, faces=np.arange(252).reshape(-1, 3))
    cloud = read_points(tmp_path / "few.npz", up="z", units="m")
    assert cloud.faces is None and len(cloud) == 500
    (note,) = (note for note in cloud.notes if note.code == "faces-ignored")
    assert str(note).startswith("497 of 500 points belong to no triangle")
    mesh = read_points(tmp_path / "half.npz", up="z", units="m")
    assert mesh.faces is not None and "faces-ignored" not in {note.code for note in mesh.notes}
