"""Which of the DICOM series of many folders are scans: one that was cut into folders is put together again.

An export of so many files a folder gives every folder an evenly spaced part, which nothing else would tell from a scan.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Part:
    """The slices of a series in one place.

    Args:
        place: the folder, or the archive.
        uid, number, description: of the series; empty where it cannot be read.
        alone: whether the place holds no other files, in it or below.
        whole: whether these slices may be a scan by themselves.
        plane: orientation and size of the slices.
        positions: where they are.
    """

    place: Path
    uid: str = ""
    number: str = ""
    description: str = ""
    alone: bool = False
    whole: bool = True
    plane: str = ""
    positions: frozenset[str] = frozenset()


def parts_in(path: Path) -> list[Part]:
    """The series of a folder, without those of the folders below, or of an archive; localisers only if they are alone.

    Raises:
        DataError: as `find_series`.
    """
    from vol3d.scans.dicom.files import entries
    from vol3d.scans.dicom.frames import frame_count
    from vol3d.scans.dicom.series import find_series, volumes

    with entries(path) as files:
        own = [file for file in files if not path.is_dir() or Path(file.name).parent == path]
        found = find_series(own, path)
    scans = volumes(found)
    parts = []
    for series in found:
        headers = [header for _, header in series.members]
        if series not in scans and sum(map(frame_count, headers)) > 1:
            continue
        plane = "; ".join(headers[0].text(name) for name in ("ImageOrientationPatient", "Rows", "Columns"))
        positions = frozenset(header.text("ImagePositionPatient") or header.name for header in headers)
        names = (series.uid, series.number, series.description)
        alone = len(own) == len(files) and scans == [series]
        parts.append(Part(path, *names, alone, series in scans, plane, positions))
    return parts


def gathered(parts: Iterable[Part]) -> list[Part]:
    """The parts that are scans; those of one series whose slices lie beside each other are one, in the folder of all.

    Slices that lie in the same places are copies or time points: each is a scan of its own.
    """
    alike: dict[tuple[str, ...], list[Part]] = {}
    for part in parts:
        alike.setdefault((part.uid, part.plane) if part.uid else (str(part.place),), []).append(part)
    result: list[Part] = []
    for group in alike.values():
        positions = [position for part in group for position in part.positions]
        if len(group) > 1 and len(set(positions)) == len(positions):
            common = Path(os.path.commonpath([part.place for part in group]))
            result.append(replace(group[0], place=common, alone=False, whole=True))
        else:
            result += [part for part in group if part.whole]
    return result
