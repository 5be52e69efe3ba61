"""What stored numbers mean: padding is no tissue, bits above BitsStored are the sign, an overlay or an error."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.vol3d.scans.dicom.maker import damage, slice_dataset, write_series
from vol3d.errors import DataError
from vol3d.scans import read_labels, read_volume


def write(folder: Path, stored: np.ndarray, bits: int = 16, **attributes: object) -> Path:
    """Slices of (n, rows, columns) stored numbers, signed where their type is."""
    folder.mkdir()
    for k, plane in enumerate(stored):
        signed = int(stored.dtype.kind == "i")
        dataset = slice_dataset(plane, np.array([0.0, 0, k]), "1.2.3", PixelRepresentation=signed)
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        for name, value in attributes.items():
            setattr(dataset, name, value)
        dataset.save_as(folder / f"{k}.dcm", enforce_file_format=True)
    return folder


def tissue(dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(0).integers(100, 2000, (3, 4, 3)).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "padding", "attributes"),
    [
        ("uint16", 65535, {"PixelPaddingValue": 65535}),
        ("uint16", 0, {"PixelPaddingValue": 0}),
        ("int16", -2000, {"PixelPaddingValue": -2000}),
        ("uint16", 65535, {"PixelPaddingValue": 60000, "PixelPaddingRangeLimit": 65535}),
        ("uint16", 61000, {"PixelPaddingValue": 65535, "PixelPaddingRangeLimit": 60000}),
    ],
)
def test_padding_becomes_the_least_value(tmp_path: Path, dtype: str, padding: int, attributes: dict[str, int]) -> None:
    stored = tissue(dtype)
    padded = np.zeros(stored.shape, bool)
    padded[:, 0] = padded[1:, :, 0] = True
    least = int(stored[~padded].min())
    stored[padded] = padding
    folder = write(tmp_path / "s", stored, Modality="MR", **attributes)
    volume = read_volume(folder)
    expected = np.where(padded, least, stored).transpose(2, 1, 0).astype(np.float32) - 1000
    assert np.array_equal(volume.array[0], expected)
    assert [(note.code, note.numbers["padded"]) for note in volume.notes] == [("padding-filled", int(padded.sum()))]


def test_padding_with_the_other_sign(tmp_path: Path) -> None:
    stored = tissue("int16")
    stored[:, 0] = -2000
    folder = write(tmp_path / "s", stored, Modality="MR")
    for path in folder.iterdir():
        damage(path, "PixelPaddingValue", (63536).to_bytes(2, "little"), "US")  # the same 16 bits
    assert read_volume(folder).array.min() == stored[:, 1:].min() - 1000


def test_padding_of_a_ct(tmp_path: Path) -> None:
    stored = tissue("int16")
    stored[:, 0] = -2000
    body = read_volume(write(tmp_path / "body", stored, PixelPaddingValue=-2000, RescaleIntercept=-500))
    assert body.array[0, :, 0].max() == -1000 and "set to -1000" in str(body.notes[0])  # no air was measured
    stored[:, 0] = 0  # -1000 HU is air and stays what it is
    air = read_volume(write(tmp_path / "air", stored, PixelPaddingValue=0))
    assert air.array[0, :, 0].max() == -1000 and air.notes == ()


def test_nothing_but_padding_and_labels(tmp_path: Path) -> None:
    zeros = np.zeros((3, 4, 3), np.uint16)
    folder = write(tmp_path / "s", zeros, PixelPaddingValue=0, RescaleIntercept=0, Modality="MR")
    with pytest.raises(DataError, match="all voxels are padding"):
        read_volume(folder)
    assert read_labels(folder).array.max() == 0
    zeros[0, 0, 0] = 5
    labelled = write(tmp_path / "l", zeros, PixelPaddingValue=0, RescaleIntercept=0)
    assert np.unique(read_labels(labelled).array).tolist() == [0, 5]


def test_bits_above_bits_stored(tmp_path: Path) -> None:
    stored = tissue()
    stored[1, 2, 1] = 5000
    with pytest.raises(DataError, match=r"1\.dcm: .*PixelData.*BitsStored; got 5000, wanted 0 to 4095"):
        read_volume(write(tmp_path / "s", stored, 12))
    padded = write(tmp_path / "p", stored, 12, PixelPaddingValue=5000)
    assert read_volume(padded).array.max() < 2000
    signed = tissue("int16")
    expected = read_volume(write(tmp_path / "full", -signed)).array
    assert np.array_equal(read_volume(write(tmp_path / "extended", -signed, 12)).array, expected)
    assert np.array_equal(read_volume(write(tmp_path / "cut", -signed & 0xFFF, 12)).array, expected)


def test_an_overlay_in_the_pixels_is_taken_out(tmp_path: Path) -> None:
    stored = tissue()
    folder = write(tmp_path / "s", stored | 0x8000, 12)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.add_new(0x60000102, "US", 15)
        dataset.save_as(path)
    assert np.array_equal(read_volume(folder).array[0], stored.transpose(2, 1, 0).astype(np.float32) - 1000)


def test_run_length_encoded(tmp_path: Path) -> None:
    values = write_series(tmp_path / "s", 3)
    files = sorted((tmp_path / "s").iterdir())
    for path in files:
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.RLELossless)
        dataset.save_as(path)
    assert np.array_equal(read_volume(tmp_path / "s").array[0], values)
    dataset = pydicom.dcmread(files[1])
    dataset.PixelData = dataset.PixelData[:-20]
    dataset.save_as(files[1])
    with pytest.raises(DataError, match=files[1].name):
        read_volume(tmp_path / "s")


def test_deflated(tmp_path: Path) -> None:
    stored = np.tile(np.arange(3, dtype=np.int16)[:, None, None], (1, 64, 64))
    folder = write(tmp_path / "s", stored)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        dataset.save_as(path, enforce_file_format=True)
        assert path.stat().st_size < stored[0].nbytes / 4
    assert np.array_equal(read_volume(folder).array[0], stored.transpose(2, 1, 0).astype(np.float32) - 1000)


def test_jpeg_is_decoded_by_another_process(tmp_path: Path) -> None:
    stored = np.arange(3 * 32 * 24, dtype=np.uint8).reshape(3, 32, 24)
    folder = write(tmp_path / "s", stored.astype(np.uint16), RescaleIntercept=1)
    for path, plane in zip(sorted(folder.iterdir()), stored, strict=True):
        dataset = pydicom.dcmread(path)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        buffer = io.BytesIO()
        Image.fromarray(plane).save(buffer, "JPEG2000", no_jp2=True)
        dataset.PixelData = pydicom.encaps.encapsulate([buffer.getvalue()])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
        dataset.save_as(path)
    assert np.array_equal(read_volume(folder).array[0], stored.transpose(2, 1, 0).astype(np.float32) + 1)
    path.write_bytes(path.read_bytes().replace(b"\xff\x93", b"\xff\x00"))  # its last slice
    with pytest.raises(DataError, match=r"2\.dcm: "):
        read_volume(folder)
