"""The image series among the files of a folder, an archive or one file: none of their slices is ever left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from vol3d.errors import DataError, UsageError
from vol3d.notes import Note
from vol3d.scans.dicom.files import Entry, must_be_dicom
from vol3d.scans.dicom.frames import frame_count
from vol3d.scans.dicom.header import Header
from vol3d.scans.dicom.kinds import is_image, is_known, is_side_image, kind_name, may_be_slice, sop_class

Member = tuple[Entry, Header]
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"%PDF", b"PK", b"\x1f\x8b", b"MZ", b"\x7fELF", b"SQLite")


class NoImagesError(DataError):
    """There are only files that hold no slices: reports, doses, segmentations, an index."""


@dataclass(frozen=True, eq=False)
class Series:
    """One image series.

    Args:
        uid, number, description, modality: as in the files.
        members: its files with their headers, without pixels.
        notes: what was found beside it and left out.
    """

    uid: str
    number: str
    description: str
    modality: str
    members: tuple[Member, ...]
    notes: tuple[Note, ...] = ()

    def __str__(self) -> str:
        what = " ".join(part for part in (self.modality, self.description and f"'{self.description}'") if part)
        files = f"{len(self.members)} file{'s' if len(self.members) > 1 else ''}"
        return f"{what or 'series'} (number {self.number or 'unknown'}, {files}, {self.uid})"


@dataclass
class _Found:
    """What the files are, as far as they have been looked at."""

    groups: dict[tuple[str, bool], list[Member]] = field(default_factory=dict)
    unplaced: list[Member] = field(default_factory=list)
    foreign: list[Entry] = field(default_factory=list)


def find_series(files: Sequence[Entry], where: Path) -> list[Series]:
    """Every image series among the files, in the order of their numbers.

    Localisers and screenshots in the series of a scan are a series of their own.

    Raises:
        DataError: no image in any (`NoImagesError` if other objects are all there is); a file that must be a slice and
            is none: named as one, or with a damaged header.
    """
    found = _Found()
    for entry in files:
        header = entry.header()
        if header is None:
            found.foreign.append(entry)
        elif is_image(header):
            key = (header.text("SeriesInstanceUID"), is_side_image(header))
            found.groups.setdefault(key, []).append((entry, header))
        else:
            found.unplaced.append((entry, header))
    _check_unplaced(found)
    _check_foreign(found)
    left_out = _left_out(found)
    if not found.groups:
        unplaced = any(may_be_slice(header) for _, header in found.unplaced)
        kind = DataError if unplaced or not found.unplaced else NoImagesError
        raise kind(
            "no image series", where=where, got=left_out or "an empty folder", wanted="DICOM slices with positions"
        )
    notes = (Note("files-left-out", "left out: {value}", value=left_out),) if left_out else ()
    series = [_series(uid, members, notes) for (uid, _), members in found.groups.items()]
    return sorted(series, key=lambda one: (one.number.zfill(9), one.uid))


def volumes(found: Sequence[Series]) -> list[Series]:
    """The series that a scan may be: of several slices, and no localisers unless there is nothing else."""
    several = [one for one in found if sum(frame_count(header) for _, header in one.members) > 1]
    return [one for one in several if not _is_side_series(one)] or several


def choose(found: Sequence[Series], wanted: str | None, where: Path) -> Series:
    """The only series that may be a scan, or the one whose UID, number or description is `wanted`.

    Raises:
        DataError: several, and none is named; none of several slices; a slice that has got out of the series.
        UsageError: the named one is not there, or not alone.
    """
    candidates = volumes(found)
    if wanted is not None:
        chosen = _named(found, candidates, wanted, where)
    elif len(candidates) == 1:
        chosen = candidates[0]
    elif candidates:
        raise DataError(
            f"{len(candidates)} series in one folder", where=where, got=_listed(candidates), wanted="one",
            do="Name one by its UID, number or description (--series), or give a folder with only that one.",
        )  # fmt: skip
    else:
        entry, _ = found[0].members[0]
        raise DataError("one slice is not a volume", where=entry.name, do="Give the folder with the whole series.")

    others = [one for one in found if one is not chosen]
    _check_others(chosen, others)
    no_volumes = [one for one in others if one not in candidates]
    if not no_volumes:
        return chosen
    note = Note("series-left-out", "left out, since no volumes: {value}", value=_listed(no_volumes))
    return replace(chosen, notes=(*chosen.notes, note))


def _named(found: Sequence[Series], candidates: Sequence[Series], wanted: str, where: Path) -> Series:
    matches = [one for one in found if wanted in (one.uid, one.number, one.description)]
    if len(matches) > 1:  # a scan and its localisers may share all of these
        matches = [one for one in matches if one in candidates]
    if len(matches) != 1:
        raise UsageError(
            "no such series" if not matches else "several such series", where=where, got=wanted, wanted=_listed(found)
        )
    return matches[0]


def _check_others(chosen: Series, others: Sequence[Series]) -> None:
    """Refuses to leave out one slice that seems to belong to the chosen series."""
    for one in others:
        if len(one.members) == 1 and _is_alike(one.members[0][1], chosen.members[0][1]):
            raise DataError(
                "a slice has another SeriesInstanceUID than those like it", where=one.members[0][0].name, got=one.uid,
                wanted=chosen.uid, do="Copy it again, or move it away.",
            )  # fmt: skip


def _is_alike(one: Header, other: Header) -> bool:
    names = ("SeriesNumber", "SeriesDescription", "ImageType", "ImageOrientationPatient", "PixelSpacing", "Rows")
    return sop_class(one) == sop_class(other) and all(one.text(name) == other.text(name) for name in names)


def _is_side_series(series: Series) -> bool:
    """Localisers, screenshots and colour; slices in three directions are a localiser that does not say so."""
    headers = [header for _, header in series.members]
    if all(is_side_image(header) or header.whole("SamplesPerPixel", 1) != 1 for header in headers):
        return True
    placed = [header for header in headers if header.has("ImageOrientationPatient")]
    directions = Counter(
        tuple(header.reals("ImageOrientationPatient", 6).round(1)) for header in placed
    )  # a scan with one odd slice stays a scan, to be refused
    return len(directions) > 1 and 2 * max(directions.values()) <= len(placed)


def _check_unplaced(found: _Found) -> None:
    """Refuses to leave out a file of the same kind and series as the slices, whose header has been damaged."""
    uids = {uid for uid, _ in found.groups}
    if "" in uids and len(uids) > 1:
        header = next(members[0][1] for (uid, _), members in found.groups.items() if not uid)
        raise header.wrong("SeriesInstanceUID", "one, as the other files have")
    classes = {sop_class(header) for group in found.groups.values() for _, header in group}
    for _, header in found.unplaced:
        of_a_series = header.text("SeriesInstanceUID") in {"", *uids}
        if of_a_series and (sop_class(header) in classes or not is_known(header)):
            raise header.wrong(_missing(header), "what places a slice, as the other files have")


def _check_foreign(found: _Found) -> None:
    """Refuses to leave out a file that is not DICOM where slices have such names."""
    members = [entry for group in found.groups.values() for entry, _ in group]
    suffixes = {(PurePath(entry.name).parent, entry.suffix) for entry in members}
    for entry in found.foreign:
        beside = (PurePath(entry.name).parent, entry.suffix) in suffixes
        if must_be_dicom(entry.name) or (beside and not _is_another_kind(entry)):
            raise DataError("not a DICOM file in spite of its name", where=entry.name, do="Copy it again or remove it.")


def _missing(header: Header) -> str:
    names = ("SOPClassUID", "SeriesInstanceUID", "Rows", "ImagePositionPatient")
    return next(name for name in names if not header.has(name) or name == names[-1])


def _is_another_kind(entry: Entry) -> bool:
    """True for text and for what begins as a picture, an archive, a program does."""
    content = entry.content()[:1024]
    text = content.decode("utf-8", "ignore")
    is_text = len(text.encode()) > len(content) - 4 and "".join(text.split()).isprintable()  # cut within a letter
    return content.startswith(_MAGIC) or (bool(text.strip()) and is_text)


def _left_out(found: _Found) -> str:
    counts = Counter(kind_name(header) for _, header in found.unplaced)
    if found.foreign:
        counts["files that are not DICOM"] = len(found.foreign)
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _listed(found: Sequence[Series]) -> str:
    return "; ".join(map(str, found))


def _series(uid: str, members: list[Member], notes: tuple[Note, ...]) -> Series:
    number, description, modality = (
        members[0][1].text(name) for name in ("SeriesNumber", "SeriesDescription", "Modality")
    )
    return Series(uid, number, description, modality, tuple(members), notes)
