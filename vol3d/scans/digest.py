"""The SHA-256 of a scan: of what it is read from, wherever it lies and whatever it is called."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from vol3d.errors import DataError
from vol3d.files import sha256
from vol3d.scans.results.record import Record
from vol3d.scans.source import ScanSource


def scan_sha256(source: ScanSource) -> str:
    """Hexadecimal SHA-256 of one scan.

    Of a file that of its content. Of several files - channels, a header with the file of its voxels, the slices of a
    DICOM series - that of their hashes: channels in the model's order, slices sorted, so that neither the names nor the
    order of slices matter.

    Raises:
        DataError: a file cannot be read, or a DICOM file is damaged.
    """
    try:
        return _joined([_sha256(path, source.series) for path in source.files])
    except OSError as error:
        raise DataError(f"cannot read the file ({error.strerror})", where=error.filename or source.path) from error


def of_scan(record: Record, source: ScanSource) -> Record:
    """The record of a result of this scan; raises as `scan_sha256`."""
    channels = tuple(path.name for path in source.channels)
    return replace(record, input_sha256=scan_sha256(source), series=source.series, channels=channels)


def is_scan_of(record: Record, path: Path) -> bool:
    """Whether the scan at `path` is the one that a record is of; True for a record that does not say."""
    if record.input_sha256 is None:
        return True
    channels = tuple(path.parent / name for name in record.channels)
    return scan_sha256(ScanSource(path, path.name, record.series, channels)) == record.input_sha256


def _sha256(path: Path, series: str | None) -> str:
    if path.is_dir():
        return _joined(sorted(_slices(path, series)))
    return _joined([sha256(path), *(sha256(file) for file in _voxel_files(path))])


def _voxel_files(path: Path) -> list[Path]:
    """The files of voxels that a header names, without the header."""
    if path.suffix.lower() not in (".mhd", ".nhdr"):
        return []
    from vol3d.scans.volumes.itk import read_itk_header

    return [part for part in read_itk_header(path).parts if part != path]


def _joined(digests: list[str]) -> str:
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _slices(folder: Path, series: str | None) -> list[str]:
    """The hash of each image of the folder, or of those of one series; results and other files are none."""
    from vol3d.scans.dicom.files import entries
    from vol3d.scans.dicom.kinds import is_image

    digests = []
    with entries(folder) as files:
        for entry in files:
            header = entry.header()
            if header is not None and is_image(header) and series in (None, header.text("SeriesInstanceUID")):
                digests.append(hashlib.sha256(entry.content()).hexdigest())
    return digests
