"""NIfTI: what is written comes back to the bit, labels are whole numbers, and the input is never overwritten."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vol3d.scans.volumes.nifti_maker import OBLIQUE, patch, save
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.scans import Grid, Segmentation, Volume, read_labels, read_volume, write_nifti, write_segmentation
from vol3d.scans.volumes.grid import crop, reorient, reorient_to


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    save(tmp_path / "scan.nii.gz", rng.integers(-1000, 2000, (7, 6, 5)).astype(np.int16))
    return tmp_path / "scan.nii.gz"


@given(
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    channels=st.integers(1, 3),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "int32", "float32"]),
    affine=st.lists(st.floats(-3, 3, width=32), min_size=12, max_size=12),
    codes=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
    order=st.sampled_from("<>"),
)
@settings(max_examples=80, deadline=None)
def test_a_file_read_and_written_is_the_same(  # type: ignore[no-untyped-def]
    tmp_path_factory, shape, channels, dtype, affine, codes, suffix, order
) -> None:
    matrix = np.vstack([np.reshape(affine, (3, 4)), [0, 0, 0, 1]]) + 4 * np.diag([1, 1, 1, 0])
    folder = tmp_path_factory.mktemp("nifti")
    array = np.random.default_rng(0).integers(0, 200, (*shape, channels)).astype(dtype)
    header = nibabel.Nifti1Header(endianness=order)
    image = nibabel.Nifti1Image(array[..., 0] if channels == 1 else array, matrix, header, dtype=dtype)
    image.set_sform(matrix, codes[0])
    image.set_qform(matrix, codes[1], strip_shears=True)
    image.to_filename(folder / f"in{suffix}")

    volume = read_volume(folder / f"in{suffix}")
    read = nibabel.load(folder / f"in{suffix}")
    assert np.array_equal(volume.affine, read.affine)
    assert np.array_equal(np.moveaxis(volume.array, 0, -1).reshape(array.shape), array)
    assert volume.array.dtype == np.float32 and volume.array.flags.c_contiguous

    write_nifti(folder / f"out{suffix}", volume)
    written = nibabel.load(folder / f"out{suffix}")
    assert np.array_equal(written.affine, read.affine)
    for name in (
        "sform_code",
        "qform_code",
        "quatern_b",
        "quatern_c",
        "quatern_d",
        "qoffset_x",
        "qoffset_y",
        "qoffset_z",
    ):
        assert written.header[name] == read.header[name], name
    assert np.array_equal(written.header["pixdim"][:4], read.header["pixdim"][:4])
    assert np.array_equal(np.asarray(written.dataobj), np.asarray(read.dataobj))
    assert written.header.get_xyzt_units()[0] == "mm"
    assert (written.dataobj.slope, written.dataobj.inter) == (1, 0)


def test_every_orientation_survives_a_mask(tmp_path: Path) -> None:
    for number, code in enumerate(("RAS", "LPS", "SAR", "IPL", "PIR")):
        path = tmp_path / f"{number}.nii.gz"
        volume = reorient(Volume(np.zeros((1, 4, 5, 6), np.float32), Grid((4, 5, 6), OBLIQUE)), code)
        save(path, volume.array[0], volume.affine, (2, 1))
        scan = read_volume(path)
        work = reorient(scan, "RAS")
        labels = reorient_to(work.with_array((work.array + 1).astype(np.uint8)), scan.grid)
        write_segmentation(tmp_path / "mask.nii.gz", Segmentation(labels.array[0], labels.grid, ("b", "organ"), path))
        before, after = nibabel.load(path), nibabel.load(tmp_path / "mask.nii.gz")
        assert np.array_equal(before.affine, after.affine)
        for name in ("sform_code", "qform_code"):
            assert before.header[name] == after.header[name]
        assert np.array_equal(before.get_qform(), after.get_qform())


def test_masks_are_small_unsigned_integers(tmp_path: Path) -> None:
    grid = Grid((2, 2, 2), np.eye(4))
    for highest, dtype in ((0, "uint8"), (255, "uint8"), (256, "uint16"), (65535, "uint16")):
        labels = np.zeros(grid.shape, np.int64)
        labels[1, 1, 1] = highest
        write_segmentation(tmp_path / "m.nii.gz", Segmentation(labels, grid, ("background",)))
        written = nibabel.load(tmp_path / "m.nii.gz")
        assert written.get_data_dtype() == dtype and written.get_fdata().max() == highest
        assert read_labels(tmp_path / "m.nii.gz").array.dtype == dtype
    with pytest.raises(DataError, match="cannot hold"):
        write_segmentation(tmp_path / "m.nii.gz", Segmentation(np.full((2, 2, 2), 70000), grid, ("background",)))
    with pytest.raises(DataError, match="cannot hold"):
        write_segmentation(tmp_path / "m.nii.gz", Segmentation(np.zeros((2, 2, 2)), grid, ("background",)))


def test_equal_volumes_make_equal_files(tmp_path: Path, scan: Path) -> None:
    volume = read_volume(scan)
    write_nifti(tmp_path / "a.nii.gz", volume)
    write_nifti(tmp_path / "b.nii.gz", volume)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_cropped_grid_without_codes_gets_an_sform(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.zeros((4, 5, 6), np.float32), np.diag([-2.0, 2, 2, 1]), (0, 0))
    volume = read_volume(tmp_path / "a.nii")
    assert "no position" in str(volume.notes[0]) and volume.grid.sform_code == 0
    part = crop(volume, (1, 1, 1), (4, 4, 4))
    write_nifti(tmp_path / "b.nii", part)
    assert np.array_equal(read_volume(tmp_path / "b.nii").affine, part.affine)


def test_scaled_image(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    patch(tmp_path / "a.nii", 112, "<ff", 0.5, -1000)
    assert np.array_equal(read_volume(tmp_path / "a.nii").array[0], np.arange(24).reshape(2, 3, 4) * 0.5 - 1000)
    for slope, intercept in ((np.inf, 0), (1, np.nan)):
        with pytest.raises(DataError, match="scaling is not finite"):
            read_volume(patch(tmp_path / "a.nii", 112, "<ff", slope, intercept))


def test_large_integers_are_rounded_once(tmp_path: Path) -> None:
    array = np.array([2**31 - 1, 2**24 + 1, -(2**31)], np.int32).reshape(3, 1, 1)
    save(tmp_path / "a.nii", array)
    assert np.array_equal(read_volume(tmp_path / "a.nii").array[0], array.astype(np.float32))


def test_vector_image_and_trailing_axes(tmp_path: Path) -> None:
    array = np.arange(2 * 3 * 4 * 2, dtype=np.float32)
    save(tmp_path / "v.nii", array.reshape((2, 3, 4, 1, 2)))
    assert read_volume(tmp_path / "v.nii").array.shape == (2, 2, 3, 4)
    save(tmp_path / "t.nii", array.reshape((2, 3, 8, 1, 1)))
    assert read_volume(tmp_path / "t.nii").array.shape == (1, 2, 3, 8)
    for shape in ((6, 8), (2, 2, 2, 2, 3)):
        save(tmp_path / "x.nii", array.reshape(shape))
        with pytest.raises(DataError, match=f"{len(shape)} axes"):
            read_volume(tmp_path / "x.nii")
    with pytest.raises(DataError, match="several channels"):
        read_labels(tmp_path / "v.nii")


def test_nifti2(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    nibabel.Nifti2Image(array, OBLIQUE).to_filename(tmp_path / "a.nii.gz")
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").array[0], array)
    long = Volume(np.zeros((1, 33000, 1, 1), np.uint8), Grid((33000, 1, 1), np.eye(4)))
    write_nifti(tmp_path / "long.nii.gz", long)
    assert read_volume(tmp_path / "long.nii.gz").grid.shape == (33000, 1, 1)


# ---- labels


def test_labels_of_any_storage(tmp_path: Path) -> None:
    values = np.array([0, 1, 2, 255] * 2).reshape(2, 2, 2)
    for dtype in ("uint8", "int16", "int32", "uint16", "float32", "float64", "int64"):
        nibabel.Nifti1Image(values.astype(dtype), np.eye(4), dtype=dtype).to_filename(tmp_path / "a.nii.gz")
        labels = read_labels(tmp_path / "a.nii.gz")
        assert labels.array.dtype == np.uint8 and np.array_equal(labels.array[0], values)
    save(tmp_path / "b.nii", values.astype(np.uint8))
    scaled = patch(tmp_path / "b.nii", 112, "<ff", 1 / 255, 0)
    with pytest.raises(DataError, match=r"0\.0039.*voxel \(0, 0, 1\)"):
        read_labels(scaled)
    save(tmp_path / "c.nii", np.where(values > 0, 255, 0).astype(np.uint8))
    assert set(np.unique(read_labels(tmp_path / "c.nii").array)) == {0, 255}
    assert set(np.unique(read_labels(patch(tmp_path / "c.nii", 112, "<ff", 1 / 255, 0)).array)) == {0, 1}


@pytest.mark.parametrize(("bad", "dtype"), [(-1, "int16"), (1.5, "float32"), (np.nan, "float32"), (3e9, "float64")])
def test_labels_that_are_none(tmp_path: Path, bad: float, dtype: str) -> None:
    array = np.zeros((3, 4, 5), dtype)
    array[2, 3, 1] = bad
    save(tmp_path / "a.nii.gz", array)
    with pytest.raises(DataError, match=r"a\.nii\.gz: a label is not a whole number.*\(2, 3, 1\)"):
        read_labels(tmp_path / "a.nii.gz")


# ---- writing


def test_output_is_never_the_input(scan: Path) -> None:
    volume, before = read_volume(scan), scan.read_bytes()
    for path in (scan, scan.parent / "." / scan.name):
        with pytest.raises(UsageError, match="overwrite the input"):
            write_nifti(path, volume)
    link = scan.parent / "link.nii.gz"
    link.symlink_to(scan)
    with pytest.raises(UsageError, match="overwrite the input"):
        write_nifti(link, volume)
    assert scan.read_bytes() == before


def test_bad_targets_leave_nothing(scan: Path, tmp_path: Path) -> None:
    volume = read_volume(scan)
    with pytest.raises(UsageError, match=r"ends in \.nii"):
        write_nifti(tmp_path / "a.png", volume)
    with pytest.raises(Vol3dError, match="no such folder"):
        write_nifti(tmp_path / "none" / "a.nii", volume)
    with pytest.raises(DataError, match="type that is not written"):
        write_nifti(tmp_path / "a.nii", volume.with_array(volume.array.astype(np.complex64)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.nii.gz"]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_volume(tmp_path / "none.nii.gz")


# ---- real files


def test_real_files_equal_nibabel(data_root: Path) -> None:
    folder = data_root / "medical_formats"
    scans = sorted(folder.rglob("*.nii.gz")) + sorted((data_root / "brats").rglob("*.nii.gz"))
    assert len(scans) >= 8
    for path in [*scans, data_root / "msd/Task04_Hippocampus/imagesTr/hippocampus_001.nii.gz"]:
        volume, expected = read_volume(path), nibabel.load(path)
        assert np.array_equal(volume.affine, expected.affine)
        assert np.array_equal(volume.array[0], np.asarray(expected.dataobj, dtype=np.float32))


def test_float_labels_of_the_hippocampus(data_root: Path) -> None:
    path = data_root / "msd/Task04_Hippocampus/labelsTr/hippocampus_003.nii.gz"
    if not path.exists():
        pytest.skip("hippocampus_003 is not among the samples")
    assert nibabel.load(path).get_data_dtype() == np.float32
    labels = read_labels(path)
    assert labels.array.dtype == np.uint8 and set(np.unique(labels.array)) == {0, 1, 2}
