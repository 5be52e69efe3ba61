"""NIfTI: every damaged, hostile or doubtful file is named instead of loaded."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.vol3d.scans.volumes.nifti_maker import OBLIQUE, patch, save
from vol3d.errors import DataError
from vol3d.scans import read_volume, write_nifti


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    save(tmp_path / "scan.nii.gz", rng.integers(-1000, 2000, (7, 6, 5)).astype(np.int16))
    return tmp_path / "scan.nii.gz"


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


def test_a_flipped_bit_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    array = np.random.default_rng(0).integers(0, 9, (4, 4, 4)).astype(np.uint8)
    save(path, array)
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 7):  # all of them were run once, in minutes
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            volume = read_volume(path)
        except DataError as fault:
            assert "a.nii.gz" in str(fault)
        else:  # name, time and flags of the gzip header carry no voxel
            assert np.array_equal(volume.array[0], array) and np.array_equal(volume.affine, OBLIQUE.astype(np.float32))


@pytest.mark.filterwarnings("ignore")  # NumPy's, on numbers near the ends of float32
def test_a_flipped_bit_of_a_plain_header_gives_a_volume_or_a_named_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    for codes in ((1, 1), (0, 1), (0, 0)):
        save(path, np.ones((3, 4, 5), np.float32), OBLIQUE, codes)
        whole = path.read_bytes()
        for bit in range(codes[0] + codes[1], 8 * 352, 17):  # as above
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            try:
                volume = read_volume(path)
            except DataError as fault:
                assert "a.nii" in str(fault)
            else:
                assert np.isfinite(volume.affine).all() and abs(np.linalg.det(volume.affine)) > 0


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
    monkeypatch.setattr("vol3d.memory.free_memory", lambda: 1 << 26)
    with pytest.raises(DataError, match="does not fit into the free memory"):
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
        (70, "<h", (12345,), "NIfTI type 12345"),
        (70, "<h", (0,), "NIfTI type none"),
        (70, "<h", (1,), "NIfTI type binary"),
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
    assert np.allclose(volume.affine, sheared) and "right angles" in str(volume.notes[0])
    save(tmp_path / "b.nii", np.zeros((2, 2, 2), np.float32), np.diag([-1, 1, 1, 1.0]))
    assert read_volume(tmp_path / "b.nii").notes == ()


def test_sform_and_qform_that_disagree(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4))
    image.set_sform(OBLIQUE, 1)
    image.set_qform(np.eye(4), 1)
    image.to_filename(tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert "mm apart; the sform was used" in str(volume.notes[0])
    write_nifti(tmp_path / "b.nii", volume)
    assert np.array_equal(nibabel.load(tmp_path / "b.nii").get_qform(), image.get_qform())


def test_micrometres_become_millimetres(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.zeros((2, 2, 2), np.float32), np.diag([50.0, 50, 50, 1]), (1, 1))
    volume = read_volume(patch(tmp_path / "a.nii", 123, "<b", 3))
    assert np.allclose(volume.grid.spacing_mm, 0.05) and "converted to mm" in str(volume.notes[0])
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


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a"])
def test_a_file_of_another_kind_is_called_so(tmp_path, name):
    (tmp_path / name).write_bytes(b"II*\0" + bytes(1000))
    with pytest.raises(DataError, match=r"no volume of a format that is read; got .*wanted NIfTI, NRRD, MetaImage or"):
        read_volume(tmp_path / name)
