"""Which scans a path means, and what to call the result."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from vol3d.errors import DataError
from vol3d.scans.dicom.parts import Part, gathered, parts_in
from vol3d.scans.paths import DICOM, SUFFIXES, is_dicom, matching, scan_stem, walk
from vol3d.scans.results.own import is_own
from vol3d.scans.source import ScanSource

LONGEST_LABEL = 48  # characters of the part of a name that tells series apart


def find_scans(paths: Iterable[str | Path]) -> list[ScanSource]:
    """Every scan that the paths mean, each once, in order.

    A file is one scan. A folder gives the volume files in it and below, and the DICOM series of each folder, of which
    localisers, single slices, doses, segmentations and the like are none; one whose slices lie in several folders is
    one scan. A pattern (`scans/*.nii.gz`) is expanded. Hidden files, `._*` copies and masks that vol3d wrote are
    skipped, linked folders followed once. A folder that holds no scan, or cannot be listed, is a scan whose reading
    says why.

    Raises:
        UsageError: a path that does not exist.
        DataError: no scan in any of the paths.
    """
    found: dict[ScanSource, None] = {}
    empty: list[Path] = []
    for path in matching(paths):
        here = _in_folder(path) if path.is_dir() else _in_file(path)
        found.update(dict.fromkeys(here))
        if not here:
            empty.append(path)
            found[ScanSource(path, scan_stem(path))] = None
    if empty and len(empty) == len(found):
        wanted = f"DICOM slices or one of {', '.join(SUFFIXES)}"
        raise DataError("no scan in this folder", where=empty[0], wanted=wanted)
    return list(found)


def with_series(sources: Iterable[ScanSource], wanted: str) -> list[ScanSource]:
    """The scans with the series that has this UID, number or description, one for each place; reading checks it."""
    chosen = (replace(source, name=scan_stem(source.path), series=wanted) for source in sources)
    return list(dict.fromkeys(chosen))


def _in_folder(folder: Path) -> list[ScanSource]:
    unlisted: list[Path] = []
    scans: list[ScanSource] = []
    parts: list[Part] = []
    order: dict[Path, int] = {}
    for here, files in walk(folder, lambda fault: unlisted.append(Path(fault.filename))):
        order[here] = len(order)
        volumes = [file for file in files if file.name.lower().endswith(SUFFIXES)]
        scans += [source for file in volumes for source in _unless_own(file)]
        others = (file for file in files if not file.name.lower().endswith(SUFFIXES))
        if any(file.name.lower().endswith(DICOM) or is_dicom(file) for file in others):
            parts += _parts_in(here)
    scans += _named(gathered(parts))
    scans.sort(key=lambda scan: order.get(scan.path, order.get(scan.path.parent, 0)))
    return scans + [ScanSource(path, scan_stem(path)) for path in unlisted]


def _unless_own(file: Path) -> list[ScanSource]:
    return [] if is_own(file) else _in_file(file)


def _in_file(path: Path) -> list[ScanSource]:
    """One scan, or the series of an archive."""
    if path.name.lower().endswith(".zip") and path.is_file() and zipfile.is_zipfile(path):
        return _named(gathered(_parts_in(path))) or [ScanSource(path, scan_stem(path))]
    return [ScanSource(path, scan_stem(path))]


def _parts_in(path: Path) -> list[Part]:
    """The series of an archive or of a folder without those below; of one that cannot be read a part that says so."""
    from vol3d.scans.dicom.series import NoImagesError

    try:
        return parts_in(path)
    except NoImagesError:
        return []
    except DataError:
        return [Part(path, alone=True)]  # reading it raises this again


def _named(parts: Iterable[Part]) -> list[ScanSource]:
    """A scan for each, named after its folder, and after the series where a folder has several."""
    by_place: dict[Path, list[Part]] = {}
    for part in parts:
        by_place.setdefault(part.place, []).append(part)
    scans: list[ScanSource] = []
    for place, here in by_place.items():
        name = scan_stem(place)
        if len(here) == 1:  # to be named only where reading would find others below
            scans.append(ScanSource(place, name, None if here[0].alone else here[0].uid))
        else:
            names = _names(name, [(part.number, part.description) for part in here])
            scans += [ScanSource(place, each, part.uid) for each, part in zip(names, here, strict=True)]
    return scans


def _names(folder: str, series: Sequence[tuple[str, str]]) -> list[str]:
    """A name for each, `folder_number-description` of letters that any file system takes; none twice.

    >>> _names("study", [("3", "T1 / axial"), ("3", "T1 / axial"), ("", "")])
    ['study_3-T1_axial', 'study_3-T1_axial-2', 'study_series']
    """
    names: list[str] = []
    for parts in series:
        label = "-".join(text for part in parts if (text := re.sub(r"[^\w.+-]+", "_", part).strip("._-")))
        name = first = f"{folder}_{label[:LONGEST_LABEL] or 'series'}"
        copies = 1
        while name.casefold() in map(str.casefold, names):
            copies += 1
            name = f"{first}-{copies}"
        names.append(name)
    return names
