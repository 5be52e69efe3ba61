"""NIfTI: what is written comes back to the bit, and every damaged file is named instead of loaded."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.scans import Grid, Segmentation, Volume, read_labels, read_volume, write_nifti, write_segmentation
from vol3d.scans import voxels as voxel_module
from vol3d.scans.grid import crop, reorient, reorient_to

OBLIQUE = np.array([[0.9, -0.1, 0.2, -40], [0.1, 1.1, 0.0, 12.5], [-0.1, 0.05, 2.5, 7], [0, 0, 0, 1]])


def save(
    path: Path, array: np.ndarray, affine: np.ndarray | None = OBLIQUE, codes: tuple[int, int] = (1, 0)
) -> nibabel.Nifti1Image:
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, codes[0])
    image.set_qform(affine, codes[1])
    image.to_filename(path)
    return image


def patch(path: Path, offset: int, form: str, *values: float) -> Path:
    """Overwrite header bytes of a `.nii` or `.nii.gz`."""
    packed = path.suffix == ".gz"
    data = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    struct.pack_into(form, data, offset, *values)
    path.write_bytes(gzip.compress(bytes(data)) if packed else bytes(data))
    return path


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
    assert "no position" in volume.notes[0] and volume.grid.sform_code == 0
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


# ---- damaged files


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_cut_file(tmp_path: Path, share: float, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    save(path, np.random.default_rng(0).random((9, 9, 9), dtype=np.float32))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=f"cut{suffix}.*(empty|cut|not a NIfTI|can hold)"):
        read_volume(path)


@pytest.mark.parametrize("last", range(1, 9))
def test_last_bytes_missing(scan: Path, last: int) -> None:
    scan.write_bytes(scan.read_bytes()[:-last])
    with pytest.raises(DataError, match="damaged or cut"):
        read_volume(scan)


def test_wrong_crc(scan: Path) -> None:
    data = bytearray(scan.read_bytes())
    data[-6] ^= 1
    scan.write_bytes(data)
    with pytest.raises(DataError, match=r"damaged.*CRC"):
        read_volume(scan)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_flipped_bit_is_noticed_or_harmless(tmp_path_factory, data) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("flip") / "a.nii.gz"
    array = np.random.default_rng(0).integers(0, 9, (4, 4, 4)).astype(np.uint8)
    save(path, array)
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[at // 8] ^= 1 << at % 8
    path.write_bytes(whole)
    try:
        volume = read_volume(path)
    except DataError as fault:
        assert "a.nii.gz" in str(fault)
    else:  # name, time and flags of the gzip header carry no voxel
        assert np.array_equal(volume.array[0], array) and np.array_equal(volume.affine, OBLIQUE.astype(np.float32))


@pytest.mark.parametrize("content", [b"hello, this is not a scan\n" * 40, b"x", bytes(4000)])
def test_text_named_nifti(tmp_path: Path, content: bytes) -> None:
    for name in ("a.nii.gz", "a.nii"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="not a NIfTI"):
            read_volume(tmp_path / name)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=r"not a NIfTI|is cut"):
        read_volume(tmp_path / "b.nii.gz")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_header_of_terabytes_takes_no_memory(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"a{suffix}", np.zeros((2, 2, 2), np.float32))
    with pytest.raises(DataError, match="more voxels than the file can hold"):
        read_volume(patch(tmp_path / f"a{suffix}", 42, "<hhh", 30000, 30000, 30000))


def test_gzip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.nii", np.zeros((2, 2, 2), np.uint8))
    head = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "tail.nii.gz").write_bytes(gzip.compress(head + bytes(1 << 24)))
    with pytest.raises(DataError, match="goes on after the voxels"):
        read_volume(tmp_path / "tail.nii.gz")
    # A header that agrees with a bomb: refused by the memory that its voxels would take.
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(head[:352] + bytes(1 << 24)))
    patch(tmp_path / "bomb.nii.gz", 42, "<hhh", 256, 256, 256)
    monkeypatch.setattr(voxel_module.os, "sysconf", lambda name: 4096)
    with pytest.raises(DataError, match="does not fit into this machine's memory"):
        read_volume(tmp_path / "bomb.nii.gz")


def test_impossible_header_fields(tmp_path: Path) -> None:
    def fresh() -> Path:
        save(tmp_path / "a.nii", np.zeros((2, 2, 2), np.float32))
        return tmp_path / "a.nii"

    for offset, form, values, message in (
        (40, "<h", (0,), "sizes in the header"),
        (40, "<h", (9,), "sizes in the header"),
        (42, "<h", (-3,), "sizes in the header"),
        (42, "<h", (0,), "sizes in the header"),
        (70, "<h", (32,), "complex64"),
        (70, "<h", (128,), "RGB"),
        (70, "<h", (12345,), "code 12345"),
        (108, "<f", (float("nan"),), "position in the file"),
        (108, "<f", (10.0,), "position in the file"),
        (344, "<4s", (b"ni1\0",), "pair"),
        (344, "<4s", (b"abcd",), "not a NIfTI"),
        (123, "<b", (7,), "unknown unit"),
    ):
        with pytest.raises(DataError, match=message):
            read_volume(patch(fresh(), offset, form, *values))


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.diag([1, 1, 0, 1.0]), "spacing is zero"),
        (np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "singular"),
        (np.diag([1, np.nan, 1, 1.0]), "not finite"),
        (np.diag([1, np.inf, 1, 1.0]), "not finite"),
    ],
)
def test_affine_that_places_nothing(tmp_path: Path, affine: np.ndarray, message: str) -> None:
    save(tmp_path / "a.nii", np.zeros((2, 2, 2), np.float32))
    with pytest.raises(DataError, match=message):
        read_volume(patch(tmp_path / "a.nii", 280, "<12f", *affine[:3].ravel()))


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("codes", [(0, 0), (0, 1)])
def test_spacing_that_is_no_length(tmp_path: Path, spacing: float, codes: tuple[int, int]) -> None:
    save(tmp_path / "a.nii", np.zeros((2, 2, 2), np.float32), np.eye(4), codes)
    with pytest.raises(DataError, match="spacing is zero, negative"):
        read_volume(patch(tmp_path / "a.nii", 84, "<f", spacing))


def test_sheared_and_left_handed_affines_are_kept(tmp_path: Path) -> None:
    sheared = np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])
    save(tmp_path / "a.nii", np.zeros((2, 2, 2), np.float32), sheared)
    volume = read_volume(tmp_path / "a.nii")
    assert np.allclose(volume.affine, sheared) and "right angles" in volume.notes[0]
    save(tmp_path / "b.nii", np.zeros((2, 2, 2), np.float32), np.diag([-1, 1, 1, 1.0]))
    assert read_volume(tmp_path / "b.nii").notes == ()


def test_sform_and_qform_that_disagree(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4))
    image.set_sform(OBLIQUE, 1)
    image.set_qform(np.eye(4), 1)
    image.to_filename(tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert "mm apart; the sform was used" in volume.notes[0]
    write_nifti(tmp_path / "b.nii", volume)
    assert np.array_equal(nibabel.load(tmp_path / "b.nii").get_qform(), image.get_qform())


def test_micrometres_become_millimetres(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.zeros((2, 2, 2), np.float32), np.diag([50.0, 50, 50, 1]), (1, 1))
    volume = read_volume(patch(tmp_path / "a.nii", 123, "<b", 3))
    assert np.allclose(volume.grid.spacing_mm, 0.05) and "converted to mm" in volume.notes[0]
    write_nifti(tmp_path / "b.nii", volume)
    assert np.allclose(read_volume(tmp_path / "b.nii").grid.spacing_mm, 0.05)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_voxels(tmp_path: Path, bad: float) -> None:
    array = np.ones((3, 4, 50), np.float32)
    array[1, 2, 40] = bad
    save(tmp_path / "a.nii.gz", array)
    with pytest.raises(DataError, match=r"a\.nii\.gz: a voxel is not a finite.*\(1, 2, 40\)"):
        read_volume(tmp_path / "a.nii.gz")
    array[1, 2, 40] = -5
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz", fill_nonfinite=-5).array[0], array)


def test_float64_beyond_float32(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.full((2, 2, 2), 1e300))
    with pytest.raises(DataError, match="finite float32"):
        read_volume(tmp_path / "a.nii")


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
    with pytest.raises(DataError, match="No such file"):
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
