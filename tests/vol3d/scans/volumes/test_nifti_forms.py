"""NIfTI: two statements of the place, of which one may be damaged, and units that a mask keeps."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.vol3d.scans.volumes.nifti_maker import OBLIQUE, patch, save
from vol3d.errors import DataError
from vol3d.scans import Segmentation, read_volume, write_segmentation
from vol3d.scans.volumes.grid import crop, reorient, reorient_to, resample

PIXDIM, QUATERNION, SROW = 76, 256, 280  # offsets of qfac, quatern_b and srow_x in the header
ROTATED = np.array([[0, -1.0, 0, 5], [1.5, 0, 0, 6], [0, 0, 2, 7], [0, 0, 0, 1]])


def scan(path: Path, codes: tuple[int, int] = (1, 1), affine: np.ndarray = ROTATED) -> Path:
    save(path, np.arange(60, dtype=np.float32).reshape(3, 4, 5), affine, codes)
    return path


def notes(path: Path) -> dict[str, str]:
    return {note.code: str(note) for note in read_volume(path).notes}


DAMAGED_QFORMS: list[tuple[int, str, tuple[float, ...], str]] = [
    (QUATERNION, "<3f", (3.0, 0.0, 0.0), "rotation is damaged, quaternion (3, 0, 0)"),
    (QUATERNION, "<f", (float("nan"),), "rotation is damaged"),
    (QUATERNION + 12, "<f", (float("inf"),), "not finite"),
    (PIXDIM, "<f", (2.0,), "handedness is wrong, pixdim[0] 2"),
    (PIXDIM, "<f", (float("nan"),), "handedness is wrong"),
    (PIXDIM + 4, "<f", (-1.0,), "spacing is zero, negative or not finite"),
    (PIXDIM + 8, "<f", (0.0,), "spacing is zero"),
    (PIXDIM + 12, "<f", (float("nan"),), "not finite"),
]


@pytest.mark.parametrize(("offset", "form", "values", "words"), DAMAGED_QFORMS)
def test_a_damaged_qform(tmp_path: Path, offset: int, form: str, values: tuple[float, ...], words: str) -> None:
    beside = patch(scan(tmp_path / "both.nii"), offset, form, *values)
    assert np.array_equal(read_volume(beside).affine, ROTATED)
    assert list(notes(beside)) == ["qform-damaged"] and words in notes(beside)["qform-damaged"]
    assert notes(beside)["qform-damaged"].endswith("; the sform was used")
    alone = patch(scan(tmp_path / "alone.nii", (0, 1)), offset, form, *values)
    with pytest.raises(DataError):
        read_volume(alone)
    unused = patch(scan(tmp_path / "unused.nii", (1, 0)), offset, form, *values)
    assert np.array_equal(read_volume(unused).affine, ROTATED)
    assert set(notes(unused)) <= {"sform-and-pixdim-differ"}


@pytest.mark.parametrize("row", [(0.0, 0.0, 0.0, 0.0), (float("nan"), 0.0, 0.0, 0.0), (1.0, 1e30, 0.0, float("inf"))])
def test_a_damaged_sform(tmp_path: Path, row: tuple[float, ...]) -> None:
    beside = patch(scan(tmp_path / "both.nii"), SROW, "<4f", *row)
    assert np.allclose(read_volume(beside).affine, ROTATED, atol=1e-5)
    assert list(notes(beside)) == ["sform-damaged"] and "the qform was used" in notes(beside)["sform-damaged"]
    with pytest.raises(DataError):
        read_volume(patch(scan(tmp_path / "alone.nii", (1, 0)), SROW, "<4f", *row))
    assert not notes(patch(scan(tmp_path / "unused.nii", (0, 1)), SROW, "<4f", *row))


def test_both_damaged(tmp_path: Path) -> None:
    path = patch(scan(tmp_path / "a.nii"), QUATERNION, "<f", float("nan"))
    with pytest.raises(DataError, match="the affine is not finite"):
        read_volume(patch(path, SROW, "<f", float("nan")))


def test_a_quaternion_that_rounding_made_too_long(tmp_path: Path) -> None:
    half_turn = np.diag([1.0, -1.5, -2, 1])
    for b, c in ((1.0000003, 0.0004), (1.001, 0.0)):
        path = patch(scan(tmp_path / "a.nii", (0, 1), half_turn), QUATERNION, "<3f", b, 0.0, c)
        assert np.allclose(read_volume(path).affine, half_turn, atol=3e-3)
        assert list(notes(path)) == ["quaternion-rounded"] and "as ITK does" in notes(path)["quaternion-rounded"]
        segmentation = mask_of(path)
        write_segmentation(tmp_path / "mask.nii", segmentation)
        assert np.array_equal(read_volume(tmp_path / "mask.nii").affine, segmentation.grid.affine)


def test_a_handedness_that_is_not_set(tmp_path: Path) -> None:
    path = patch(scan(tmp_path / "a.nii", (0, 1)), PIXDIM, "<f", 0.0)
    assert np.allclose(read_volume(path).affine, ROTATED, atol=1e-5)
    assert list(notes(path)) == ["handedness-assumed"]


def test_pixdim_of_time_and_other_unused_fields(tmp_path: Path) -> None:
    array = np.zeros((3, 4, 5, 2), np.float32)
    for odd in (0.0, -1.0, float("nan"), float("inf")):
        save(tmp_path / "a.nii", array, ROTATED, (1, 1))
        patch(tmp_path / "a.nii", PIXDIM + 16, "<4f", odd, odd, odd, odd)
        for offset in (124, 128, 132, 136):  # cal_max, cal_min, slice_duration, toffset
            patch(tmp_path / "a.nii", offset, "<f", odd)
        volume = read_volume(tmp_path / "a.nii")
        assert np.array_equal(volume.affine, ROTATED) and volume.notes == () and len(volume.array) == 2


def test_pixdim_that_disagrees_with_an_sform_alone(tmp_path: Path) -> None:
    path = patch(scan(tmp_path / "a.nii", (1, 0)), PIXDIM + 4, "<3f", 1, 1, 1)
    assert notes(path) == {
        "sform-and-pixdim-differ": "pixdim states the spacing 1 x 1 x 1, the sform another; the sform was used"
    }


def test_codes_that_nifti_lacks(tmp_path: Path) -> None:
    path = patch(scan(tmp_path / "a.nii"), 254, "<h", 77)
    assert "sform_code 77 is none of NIfTI's; it was taken as set" in notes(path)["form-code-unknown"]
    path = patch(scan(tmp_path / "b.nii"), 252, "<h", -3)
    assert "qform_code -3 is none of NIfTI's; it was taken as not set" in notes(path)["form-code-unknown"]
    write_segmentation(tmp_path / "mask.nii", mask_of(path))
    assert struct.unpack("<2h", (tmp_path / "mask.nii").read_bytes()[252:256]) == (-3, 1)


# ---- units


def mask_of(path: Path) -> Segmentation:
    volume = read_volume(path)
    return Segmentation(np.ones(volume.grid.shape, np.uint8), volume.grid, ("background", "a"), path)


@pytest.mark.parametrize(("code", "mm"), [(1, 1000.0), (2, 1.0), (3, 0.001), (3 | 8, 0.001), (2 | 16, 1.0)])
@pytest.mark.parametrize("codes", [(1, 0), (0, 2), (2, 1), (0, 0)])
def test_a_mask_has_the_scans_own_numbers_and_unit(
    tmp_path: Path, code: int, mm: float, codes: tuple[int, int]
) -> None:
    affine = np.array(OBLIQUE) if codes[0] else ROTATED
    affine = np.diag([-2.7, 1.3, 2.1, 1]) if codes == (0, 0) else affine
    path = patch(scan(tmp_path / "a.nii", codes, affine.astype(np.float32)), 123, "<B", code)
    volume = read_volume(path)
    expected = nibabel.load(path).affine
    assert np.allclose(volume.affine[:3], expected[:3] * mm, rtol=1e-12)
    assert ("lengths-converted" in notes(path)) == (mm != 1.0)

    write_segmentation(tmp_path / "mask.nii", mask_of(path))
    scanned, masked = path.read_bytes(), (tmp_path / "mask.nii").read_bytes()
    for name, start, stop in (("pixdim", 76, 92), ("units", 123, 124), ("codes, quaternion", 252, 280)):
        assert scanned[start:stop] == masked[start:stop], name
    if codes[0]:
        assert scanned[SROW : SROW + 48] == masked[SROW : SROW + 48]
    assert np.array_equal(read_volume(tmp_path / "mask.nii").affine, volume.affine)


@pytest.mark.parametrize(
    "change",
    [
        lambda volume: crop(volume, (0, 1, 1), (3, 4, 5)),
        lambda volume: resample(volume, (0.002, 0.002, 0.002)),
        lambda volume: reorient(volume, "PIR"),
        lambda volume: reorient_to(reorient(volume, "PIR"), volume.grid),
    ],
)
def test_other_grids_of_a_scan_in_micrometres(tmp_path: Path, change: Callable) -> None:
    volume = change(read_volume(patch(scan(tmp_path / "a.nii"), 123, "<B", 3)))
    made = Segmentation(np.ones(volume.grid.shape, np.uint8), volume.grid, ("background", "a"))
    write_segmentation(tmp_path / "mask.nii", made)
    assert nibabel.load(tmp_path / "mask.nii").header.get_xyzt_units()[0] == "micron"
    assert np.allclose(read_volume(tmp_path / "mask.nii").affine, volume.affine, rtol=1e-6)


def test_a_unit_that_is_not_stated(tmp_path: Path) -> None:
    assert not notes(scan(tmp_path / "a.nii"))
    far = scan(tmp_path / "b.nii", (1, 1), np.diag([1000.0, 1000, 1000, 1]))
    assert "mm was assumed, though the longest side is 5000 mm then" in notes(far)["unit-assumed"]
    assert "unit-assumed" not in notes(patch(far, 123, "<B", 2))


# ---- files that are none


def test_halves_of_pairs(tmp_path: Path) -> None:
    nibabel.Nifti1Pair(np.zeros((3, 4, 5), np.float32), np.eye(4)).to_filename(tmp_path / "a.img")
    nibabel.AnalyzeImage(np.zeros((3, 4, 5), np.float32), np.eye(4)).to_filename(tmp_path / "b.img")
    for name in ("a.img", "a.hdr", "b.img", "b.hdr"):
        with pytest.raises(
            DataError, match=rf"one half of a .hdr/.img pair.*Convert {name[0]}\.hdr and {name[0]}\.img"
        ):
            read_volume(tmp_path / name)


def test_a_slice_that_the_header_does_not_count(tmp_path: Path) -> None:
    path = patch(scan(tmp_path / "a.nii.gz"), 46, "<h", 4)
    with pytest.raises(DataError, match="goes on after the voxels"):
        read_volume(path)
    padded = scan(tmp_path / "b.nii")
    padded.write_bytes(padded.read_bytes() + bytes(40))
    assert read_volume(padded).grid.shape == (3, 4, 5)
