"""DICOM series: the right order and place, and every reason to refuse one said by name."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vol3d.scans.dicom.maker import slice_dataset, write_series
from vol3d.errors import DataError, UsageError
from vol3d.scans import read_labels, read_volume
from vol3d.scans.dicom.read import list_series
from vol3d.scans.volumes.grid import orientation


def by_simpleitk(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (i, j, k) and affine (RAS) of the only series of a folder."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, np.diag([-1, -1, 1, 1]) @ affine


def edit(folder: Path, index: int, **attributes: object) -> Path:
    """Change attributes of the slice that is `index`-th along the normal."""
    path = in_order(folder)[index]
    dataset = pydicom.dcmread(path)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def in_order(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.dcm"), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])


def test_series_in_scrambled_files(tmp_path: Path) -> None:
    values = write_series(tmp_path / "s")
    volume = read_volume(tmp_path / "s")
    assert np.array_equal(volume.array[0], values)
    expected = np.array([[-0.75, 0, 0, 10], [0, -0.5, 0, -5], [0, 0, 2.5, 30], [0, 0, 0, 1]])
    assert np.allclose(volume.affine, expected) and volume.source == tmp_path / "s"
    assert volume.array.dtype == np.float32 and volume.array.flags.c_contiguous


@given(st.tuples(*[st.floats(-180, 180)] * 3), st.integers(2, 5), st.floats(0.3, 9.0))
@settings(max_examples=25, deadline=None)
def test_oblique_series_equal_simpleitk(tmp_path_factory, angles, count, step) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("oblique")
    turn = sitk.Euler3DTransform((0, 0, 0), *np.deg2rad(angles)).GetMatrix()
    columns = [round(x, 9) for x in (*turn[0::3], *turn[1::3])]
    write_series(folder, count, step, ImageOrientationPatient=columns)
    volume = read_volume(folder)
    voxels, affine = by_simpleitk(folder)
    assert np.array_equal(volume.array[0], voxels)
    assert np.abs(volume.affine - affine).max() < 1e-4


def test_slope_and_intercept_are_per_slice(tmp_path: Path) -> None:
    values = write_series(tmp_path / "s") + 1000
    for k in range(6):
        edit(tmp_path / "s", k, RescaleSlope=0.5 * (k + 1), RescaleIntercept=k)
    expected = values * (0.5 * np.arange(1, 7)) + np.arange(6)
    assert np.allclose(read_volume(tmp_path / "s").array[0], expected)


def test_zip_equals_folder_and_unpacks_nothing(tmp_path: Path) -> None:
    values = write_series(tmp_path / "s")
    with zipfile.ZipFile(tmp_path / "scan.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (tmp_path / "s").iterdir():
            archive.write(path, f"../../{path.name}")  # a name that would leave the folder if it were unpacked
        archive.writestr("__MACOSX/._a.dcm", b"x")
        archive.writestr("readme.txt", b"hello")
    before = sorted(tmp_path.rglob("*"))
    volume = read_volume(tmp_path / "scan.zip")
    assert np.array_equal(volume.array[0], values) and "1 files that are not DICOM" in str(volume.notes[0])
    assert sorted(tmp_path.rglob("*")) == before


def test_damaged_archives(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in (tmp_path / "s").iterdir():
            archive.write(path, path.name)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    (tmp_path / "cut.zip").write_bytes(data[:-200])
    with pytest.raises(DataError, match="not a zip archive"):
        read_volume(tmp_path / "cut.zip")
    data[1200] ^= 1
    (tmp_path / "bit.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"bit\.zip.*CRC"):
        read_volume(tmp_path / "bit.zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(DataError, match="no image series"):
        read_volume(tmp_path / "empty.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(DataError, match="not a zip archive"):
        read_volume(tmp_path / "text.zip")


def test_missing_slice(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    files = in_order(tmp_path / "s")
    files[3].unlink()
    with pytest.raises(DataError, match=r"not evenly spaced.*5\.000 mm between .* and .*wanted 2\.500") as fault:
        read_volume(tmp_path / "s")
    assert files[2].name in str(fault.value) and files[4].name in str(fault.value)


def test_evenly_thinned_slices_are_noted_by_their_numbers(tmp_path: Path) -> None:
    write_series(tmp_path, count=6)
    for path in tmp_path.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.InstanceNumber = 2 * round((dataset.ImagePositionPatient[2] - 30) / 2.5) + 1
        dataset.save_as(path)
    (note,) = [one for one in read_volume(tmp_path).notes if one.code == "slices-numbered-apart"]
    assert note.numbers == {"slices": 6, "step": 2}


def test_positions_rounded_to_one_decimal_are_even(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 6, 0.625)
    for k, path in enumerate(in_order(tmp_path / "s")):
        dataset = pydicom.dcmread(path)
        dataset.ImagePositionPatient = [-10, 5, round(30 + 0.625 * k, 1)]
        dataset.save_as(path)
    assert read_volume(tmp_path / "s").grid.spacing_mm[2] == pytest.approx(0.62, abs=0.01)


def test_duplicate_slice(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    shutil.copy(in_order(tmp_path / "s")[2], tmp_path / "s" / "copy.dcm")
    with pytest.raises(DataError, match=r"share a place.*copy\.dcm"):
        read_volume(tmp_path / "s")


def test_several_series_are_listed_and_chosen(tmp_path: Path) -> None:
    first = write_series(tmp_path / "s", 4)
    second = write_series(tmp_path / "s", 5, series="9.9", prefix="b", SeriesNumber=8, SeriesDescription="lung")
    with pytest.raises(DataError, match=r"2 series in one folder.*'made by hand' \(number 3, 4 files.*'lung'.*9\.9"):
        read_volume(tmp_path / "s")
    for wanted, expected in (("1.2.3", first), ("9.9", second), ("8", second), ("lung", second)):
        assert np.array_equal(read_volume(tmp_path / "s", series=wanted).array[0], expected)
    with pytest.raises(UsageError, match=r"no such series.*got liver, wanted .*lung"):
        read_volume(tmp_path / "s", series="liver")
    assert [series.number for series in list_series(tmp_path / "s")] == ["3", "8"]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "two orientations"),
        ({"PixelSpacing": [0.5, 0.8]}, "two pixel spacings"),
        ({"Rows": 3, "PixelData": bytes(18)}, "two sizes"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "no pair of unit vectors"),
        ({"PixelSpacing": [0, 0.8]}, "not above 0"),
        ({"PixelSpacing": None}, "PixelSpacing is missing"),
        ({"ImagePositionPatient": [1, 2]}, "ImagePositionPatient is missing or damaged"),
        ({"RescaleSlope": 0}, "scaling is impossible"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "a colour image"),
        ({"ImagePositionPatient": [40, 5, 35]}, "do not stand in one line"),
        ({"PixelData": bytes(10)}, "damaged or cut"),
    ],
)
def test_slice_that_does_not_fit(tmp_path: Path, attributes: dict[str, object], message: str) -> None:
    write_series(tmp_path / "s")
    path = edit(tmp_path / "s", 2, **attributes)
    with pytest.raises(DataError, match=message) as fault:
        read_volume(tmp_path / "s")
    assert path.name in str(fault.value)


def test_tilted_gantry_keeps_its_shear(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    for k, path in enumerate(in_order(tmp_path / "s")):
        dataset = pydicom.dcmread(path)
        dataset.ImagePositionPatient = [-10, 5 + 0.4 * k, 30 + 2.5 * k]
        dataset.save_as(path)
    volume = read_volume(tmp_path / "s")
    assert np.allclose(volume.affine[:3, 2], [0, -0.4, 2.5]) and "right angles" in str(volume.notes[0])


def test_other_objects_are_named(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    other = slice_dataset(np.zeros((4, 3)), np.zeros(3), "5.5", Modality="RTSTRUCT")
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    for name in ("Rows", "Columns", "PixelData", "ImagePositionPatient"):
        delattr(other, name)
    (tmp_path / "only").mkdir()
    for folder in ("s", "only"):
        other.save_as(tmp_path / folder / "rt.dcm", enforce_file_format=True)
    assert "1 RTSTRUCT objects (RT Structure Set Storage)" in str(read_volume(tmp_path / "s").notes[0])
    with pytest.raises(DataError, match=r"no image series.*RT Structure Set"):
        read_volume(tmp_path / "only")


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    path = in_order(tmp_path / "s")[2]
    whole = path.read_bytes()
    for content in (b"", b"hello" * 100, whole[:100]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{path.name}: not a DICOM file in spite of its name"):
            read_volume(tmp_path / "s")
    for share in (0.3, 0.6, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError):
            read_volume(tmp_path / "s")
    path.write_bytes(whole)
    (tmp_path / "s" / "._hidden.dcm").write_bytes(b"x")
    (tmp_path / "s" / "notes.txt").write_text("hello")
    read_volume(tmp_path / "s")


def test_one_slice_is_no_volume(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    with pytest.raises(DataError, match=r"one slice is not a volume.*Give the folder"):
        read_volume(in_order(tmp_path / "s")[0])
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"no image series.*an empty folder"):
        read_volume(tmp_path / "none")


def test_compressed_with_and_without_a_decoder(tmp_path: Path) -> None:
    values = write_series(tmp_path / "s")
    for path in (tmp_path / "s").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.RLELossless)
        dataset.save_as(path)
    assert np.array_equal(read_volume(tmp_path / "s").array[0], values)
    path = edit(tmp_path / "s", 0)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless  # and no JPEG 2000 inside
    dataset.save_as(path)
    with pytest.raises(DataError, match=r"no decoder for pixels compressed as 'JPEG 2000.*pip install pylibjpeg"):
        read_volume(tmp_path / "s")


def test_labels_from_dicom(tmp_path: Path) -> None:
    values = write_series(tmp_path / "s")
    with pytest.raises(DataError, match="not a whole number from 0"):
        read_labels(tmp_path / "s")
    for k in range(6):
        edit(tmp_path / "s", k, RescaleIntercept=0)
    labels = read_labels(tmp_path / "s")
    assert labels.array.dtype == np.uint16 and np.array_equal(labels.array[0], values + 1000)


# ---- real series


@pytest.mark.parametrize(
    ("folder", "shape"),
    [
        ("dicom/hippocampus_crop_study1", (35, 51, 32)),
        ("dicom/hippocampus_crop_study2", (36, 48, 35)),
        ("dicom/brain_t1post_study3", (280, 320, 22)),
        ("dicom/abdomen_ct_chaos/DICOM_anon", (512, 512, 78)),
        ("medical_formats/totalsegmentator/example_ct_dicom", (512, 512, 20)),
    ],
)
def test_real_series_equal_simpleitk(data_root: Path, folder: str, shape: tuple[int, int, int]) -> None:
    volume = read_volume(data_root / folder)
    voxels, affine = by_simpleitk(data_root / folder)
    assert volume.grid.shape == shape
    assert np.array_equal(volume.array[0], voxels)
    assert np.abs(volume.affine - affine).max() < 1e-6
    assert orientation(volume.affine) == "LPS"


def test_step_comes_from_positions(data_root: Path) -> None:
    volume = read_volume(data_root / "dicom/abdomen_ct_chaos")
    assert volume.grid.spacing_mm == (0.7265625, 0.7265625, 2.0)  # SliceThickness says 3.2
    assert volume.array.min() == -1000  # stored 0, intercept -1000
    assert [str(note) for note in volume.notes] == ["left out: 78 files that are not DICOM"]
    oblique = read_volume(data_root / "dicom/brain_t1post_study3")
    assert oblique.grid.spacing_mm[2] == pytest.approx(6.5, abs=1e-5)  # SliceThickness says 5
    assert np.abs(oblique.affine[:3, :3]).min() < 1e-3 < np.abs(oblique.affine[1, 2])


def test_enhanced_file_equals_its_slices(data_root: Path) -> None:
    folder = data_root / "medical_formats/dicom_seg/data/segmentations/23x38x3"
    one, many = read_volume(folder / "multiframe/mf.dcm"), read_volume(folder / "image")
    assert np.array_equal(one.array, many.array) and one.grid.same_place(many.grid)
