"""The SHA-256 of a scan: of what it is read from, wherever it lies and whatever it is called."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from vol3d.errors import DataError
from vol3d.files import sha256
from vol3d.scans.read import is_dicom_source
from vol3d.scans.recordings.find import is_recording, recording_files
from vol3d.scans.results.record import Record
from vol3d.scans.source import ScanSource
from vol3d.scans.volumes.itk import voxel_files


def scan_sha256(source: ScanSource) -> str:
    """Hexadecimal SHA-256 of one scan.

    Of a file that of its content. Of several files - channels, a header with the file of its voxels, the slices of a
    DICOM series, the files of a bag - that of their hashes: channels in the model's order, slices sorted, so that their
    names, their order and whether they are packed in an archive do not matter.

    Raises:
        DataError: a file cannot be read, or the DICOM series is none that could be.
        UsageError: no such series.
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
    if is_recording(path):
        return _joined([sha256(file) for file in recording_files(path)])
    if is_dicom_source(path):
        return _joined(sorted(_slices(path, series)))
    return _joined([sha256(file) for file in (path, *voxel_files(path))])


def _joined(digests: list[str]) -> str:
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _slices(path: Path, series: str | None) -> list[str]:
    """The hash of each file of the series that is read from a folder, an archive or a file."""
    from vol3d.scans.dicom.files import entries
    from vol3d.scans.dicom.series import choose, find_series

    with entries(path) as files:
        members = choose(find_series(files, path), series, path).members
        return [hashlib.sha256(entry.content()).hexdigest() for entry, _ in members]
