"""Surfaces of masks: closed, where the mask is, and of its volume."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from medical.results.surfaces import surface, write_surface
from vol3d.prediction import MaskPrediction
from vol3d.scans.volumes.volume import Grid, Segmentation, Volume

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("skimage")

TURNED = np.array([[0, -1.0, 0, 5], [2, 0, 0, -7], [0, 0, 3.0, 1], [0, 0, 0, 1]])
MIRRORED = TURNED @ np.diag([-1.0, 1, 1, 1])


def ball(affine: np.ndarray = TURNED, radius: float = 9) -> Segmentation:
    away = np.linalg.norm(np.indices((24, 25, 26)).transpose(1, 2, 3, 0) - (12, 11, 13), axis=-1)
    return Segmentation((away < radius).astype(np.uint8), Grid(away.shape, affine), ("background", "ball", "none"))


@pytest.mark.parametrize("affine", [TURNED, MIRRORED, np.eye(4)])
@pytest.mark.parametrize("smooth", [0, 10])
def test_a_ball(affine: np.ndarray, smooth: int) -> None:
    found = ball(affine)
    vertices, faces = surface(found, 1, smooth)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume / 1000 == pytest.approx(found.volumes_ml()["ball"], rel=0.02)  # positive: normals point outwards
    middle = (affine @ [12, 11, 13, 1])[:3] * (-1, -1, 1)  # RAS to LPS
    assert np.allclose(mesh.center_mass, middle, atol=0.05)


def test_one_voxel_at_the_border_is_closed() -> None:
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[0, 0, 2] = 1
    vertices, faces = surface(Segmentation(labels, Grid((3, 3, 3), np.eye(4)), ("background", "a")), 1)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight and np.allclose(mesh.bounds.mean(axis=0), (0, 0, 2))


def test_nothing_has_no_surface(tmp_path: Path) -> None:
    vertices, faces = surface(ball(), 2)
    assert vertices.shape == faces.shape == (0, 3)
    (note,) = write_surface(predicted(), tmp_path / "none.stl", 2, "stl", 0)
    assert note.code == "no-surface" and "none was not found" in str(note)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["stl", "ply", "obj"])
def test_files_are_read_again_and_say_their_axes(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"ball.{form}"
    assert write_surface(predicted(), path, 1, form, 0) == ()  # type: ignore[arg-type]
    data = path.read_bytes()
    assert b"SPACE=LPS" in data[:200]
    mesh = trimesh.load(io.BytesIO(data), file_type=form, process=True)
    assert mesh.is_watertight and mesh.volume / 1000 == pytest.approx(ball().volumes_ml()["ball"], rel=0.02)


def predicted() -> MaskPrediction:
    found = ball()
    return MaskPrediction(found, Volume(np.zeros((1, *found.grid.shape), np.float32), found.grid))
