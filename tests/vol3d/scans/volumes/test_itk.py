"""NRRD, MHA and MHD: the place in the world, channels, and damaged files."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from vol3d.errors import DataError
from vol3d.scans import read_labels, read_volume
from vol3d.scans.volumes.grid import orientation


def save(path: Path, array: np.ndarray, vector: bool = False, compress: bool = True) -> sitk.Image:
    image = sitk.GetImageFromArray(array, isVector=vector)
    image.SetSpacing([0.5, 1.5, 2.5, 1.0][: image.GetDimension()])
    image.SetOrigin([10.0, 20.0, 30.0, 0.0][: image.GetDimension()])
    sitk.WriteImage(image, str(path), compress)
    return image


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
@pytest.mark.parametrize("compress", [False, True])
def test_formats(tmp_path: Path, suffix: str, compress: bool) -> None:
    array = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
    save(tmp_path / f"a{suffix}", array, compress=compress)
    volume = read_volume(tmp_path / f"a{suffix}")
    assert np.array_equal(volume.array[0], array.T) and volume.array.flags.c_contiguous
    assert np.allclose(
        volume.affine, np.diag([-0.5, -1.5, 2.5, 1]) + np.array([[0, 0, 0, v] for v in (-10, -20, 30, 0)])
    )


@given(st.tuples(*[st.floats(-180, 180)] * 3), st.sampled_from([".nrrd", ".mha"]))
@settings(max_examples=30, deadline=None)
def test_same_place_as_nifti(tmp_path_factory, angles, suffix) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("itk")
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), *np.deg2rad(angles)).GetMatrix())
    image.SetSpacing((0.5, 1.5, 2.5))
    image.SetOrigin((3, -4, 5))
    sitk.WriteImage(image, str(folder / f"a{suffix}"))
    sitk.WriteImage(image, str(folder / "a.nii"))
    volume, expected = read_volume(folder / f"a{suffix}"), nibabel.load(folder / "a.nii")
    assert np.allclose(volume.affine, expected.affine, atol=1e-5)
    assert np.array_equal(volume.array[0], expected.get_fdata())


def test_channels(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((3, 4, 5, 2)).astype(np.float32)
    save(tmp_path / "v.nrrd", array, vector=True)
    assert np.array_equal(read_volume(tmp_path / "v.nrrd").array, np.moveaxis(array, -1, 0).transpose(0, 3, 2, 1))
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(array[..., t]) for t in (0, 1)]), str(tmp_path / "t.mha"))
    assert np.array_equal(read_volume(tmp_path / "t.mha").array, np.moveaxis(array, -1, 0).transpose(0, 3, 2, 1))


def test_labels(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 5, (3, 4, 5)).astype(np.int16)
    save(tmp_path / "a.nrrd", array)
    labels = read_labels(tmp_path / "a.nrrd")
    assert labels.array.dtype == np.uint8 and np.array_equal(labels.array[0], array.T)
    save(tmp_path / "b.mha", array + np.float32(0.5))
    with pytest.raises(DataError, match=r"b\.mha.*\.5 at voxel"):
        read_labels(tmp_path / "b.mha")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95])
def test_cut(tmp_path: Path, suffix: str, compress: bool, share: float) -> None:
    path = tmp_path / f"cut{suffix}"
    save(path, np.random.default_rng(0).random((9, 9, 9)), compress=compress)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=f"cut{suffix}"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_last_bytes_missing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    for compress in (False, True):
        for last in (1, 4, 8):
            save(path, np.random.default_rng(0).random((9, 9, 9)), compress=compress)
            path.write_bytes(path.read_bytes()[:-last])
            with pytest.raises(DataError, match=f"cut{suffix}"):
                read_volume(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_wrong_checksum(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"flip{suffix}"
    save(path, np.random.default_rng(0).random((9, 9, 9)))
    data = bytearray(path.read_bytes())
    data[-6 if suffix == ".nrrd" else -2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"flip{suffix}"):
        read_volume(path)


def test_hostile_and_wrong_headers(tmp_path: Path) -> None:
    for suffix in (".nrrd", ".mha", ".mhd", ".nhdr"):
        (tmp_path / f"text{suffix}").write_text("hello\n" * 50)
        with pytest.raises(DataError, match=f"text{suffix}"):
            read_volume(tmp_path / f"text{suffix}")
    save(tmp_path / "a.nrrd", np.zeros((5, 6, 7), np.float32))
    data = (tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "a.nrrd").write_bytes(data.replace(b"sizes: 7 6 5", b"sizes: 30000 30000 30000"))
    with pytest.raises(DataError, match="more voxels than the file can hold"):
        read_volume(tmp_path / "a.nrrd")
    save(tmp_path / "a.mha", np.zeros((5, 6, 7), np.float32))
    data = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(data.replace(b"DimSize = 7 6 5", b"DimSize = 30000 30000 30000"))
    with pytest.raises(DataError, match="more voxels than the file can hold"):
        read_volume(tmp_path / "a.mha")


def test_kinds_of_voxels(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.complex64)), str(tmp_path / "c.nrrd"))
    with pytest.raises(DataError):
        read_volume(tmp_path / "c.nrrd")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5), np.float32)), str(tmp_path / "two.mha"))
    with pytest.raises(DataError, match="2 axes"):
        read_volume(tmp_path / "two.mha")
    save(tmp_path / "nan.mha", np.full((3, 4, 5), np.nan))
    with pytest.raises(DataError, match="not a finite"):
        read_volume(tmp_path / "nan.mha")


def test_directions_that_are_not_at_right_angles(tmp_path: Path) -> None:
    save(tmp_path / "a.nrrd", np.zeros((5, 6, 7), np.float32))
    data = (tmp_path / "a.nrrd").read_bytes()
    assert b"space directions: (0.5,0,0) (0,1.5,0) (0,0,2.5)" in data
    sheared = data.replace(b"(0.5,0,0) (0,1.5,0)", b"(0.5,0,0) (0.3,1.5,0)")
    (tmp_path / "b.nrrd").write_bytes(sheared)
    volume = read_volume(tmp_path / "b.nrrd")
    assert np.allclose(volume.affine[:3, 1], [-0.3, -1.5, 0]) and "right angles" in str(volume.notes[0])
    (tmp_path / "c.nrrd").write_bytes(data.replace(b"(0.5,0,0) (0,1.5,0)", b"(0.5,0,0) (1.5,0,0)"))
    with pytest.raises(DataError, match=r"c\.nrrd"):
        read_volume(tmp_path / "c.nrrd")


def test_real_nrrd(data_root: Path) -> None:
    folder = data_root / "medical_formats/nrrd/data"
    brain, label = read_volume(folder / "brain1_image.nrrd"), read_labels(folder / "brain1_label.nrrd")
    assert brain.grid.same_place(label.grid) and orientation(brain.affine) == "LAS"
    for path in folder.glob("*.nrrd"):
        image = sitk.ReadImage(str(path))
        volume = read_volume(path)
        assert np.array_equal(volume.array[0], sitk.GetArrayFromImage(image).T)
        last = np.array(volume.grid.shape) - 1
        world = np.array(image.TransformIndexToPhysicalPoint([int(n) for n in last])) * [-1, -1, 1]
        assert np.allclose((volume.affine @ [*last, 1])[:3], world)
