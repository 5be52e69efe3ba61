"""DICOM: series in folders and archives, enhanced files, deflated and compressed ones, segmentations."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from tests.vol3d.scans.dicom.maker import slice_dataset, write_enhanced, write_seg, write_series
from vol3d.scans import find_scans, read_labels, read_volume


def _series(path: Path) -> None:
    write_series(path, 3, PixelPaddingValue=-1000)


def _zip(path: Path) -> None:
    write_series(path.parent / "s", 3)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((path.parent / "s").iterdir()):
            archive.write(file, file.name)
            file.unlink()


def _in_syntax(syntax: str) -> Callable[[Path], None]:
    """A series stored in another transfer syntax."""

    def make(path: Path) -> None:
        write_series(path, 3)
        for file in path.iterdir():
            dataset = pydicom.dcmread(file)
            if pydicom.uid.UID(syntax).is_compressed and syntax != DeflatedExplicitVRLittleEndian:
                dataset.compress(syntax)
            else:
                dataset.file_meta.TransferSyntaxUID = syntax
            dataset.save_as(file, enforce_file_format=True)

    return make


def _jpeg2000(path: Path) -> None:
    path.mkdir()
    for k in range(2):
        plane = np.arange(32 * 24, dtype=np.uint8).reshape(32, 24) + k
        dataset = slice_dataset(plane, np.array([0.0, 0, k]), "1.2.3", PixelRepresentation=0)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        buffer = io.BytesIO()
        Image.fromarray(plane).save(buffer, "JPEG2000", no_jp2=True)
        dataset.PixelData = pydicom.encaps.encapsulate([buffer.getvalue()])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
        dataset.save_as(path / f"{k}.dcm", enforce_file_format=True)


def _bare(path: Path) -> None:
    """Without preamble and meta information."""
    path.mkdir()
    for k in range(3):
        dataset: Dataset = slice_dataset(np.full((4, 3), k, np.int16), np.array([0.0, 0, k]), "1.2.3")
        del dataset.file_meta
        dataset.save_as(path / f"IM{k}", implicit_vr=True, little_endian=True)


def _found(path: Path) -> None:
    for source in find_scans([path]):
        read_volume(source.path, series=source.series)


READERS = {
    "series": (_found, _series),
    "series.zip": (_found, _zip),
    "enhanced.dcm": (read_volume, write_enhanced),
    "deflated": (read_volume, _in_syntax(DeflatedExplicitVRLittleEndian)),
    "implicit": (read_volume, _in_syntax(ImplicitVRLittleEndian)),
    "bare": (read_volume, _bare),
    "rle": (read_volume, _in_syntax(RLELossless)),
    "jpeg2000": (read_volume, _jpeg2000),  # a process for each file takes its time: one such format is enough
    "segmentation.dcm": (read_labels, lambda path: write_seg(path, "BINARY")),
    "labelmap.dcm": (read_labels, lambda path: write_seg(path, "LABELMAP")),
}
