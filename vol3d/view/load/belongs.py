"""Which scan a result belongs to: found by what the result says, recognised by its SHA-256 where the result has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vol3d.errors import UsageError
from vol3d.scans.digest import is_scan_of
from vol3d.scans.results.record import Record

GIVE = "Give it with --scan."


@dataclass(frozen=True)
class Origin:
    """What a result says of its scan.

    Args:
        name: its file name; None where nothing is known.
        way: the path to it from the result's folder, where that is known.
        record: its hash; None for what has no record.
    """

    name: str | None
    way: str | None = None
    record: Record | None = None

    @property
    def is_known(self) -> bool:
        """Whether it has the hash of its scan."""
        return self.record is not None and self.record.input_sha256 is not None

    def is_scan(self, path: Path) -> bool:
        """Whether a file may be the scan: True where the result has no hash of it."""
        return self.record is None or is_scan_of(self.record, path)


def find_scan(result: Path, origin: Origin, may_be: Callable[[Path], bool]) -> Path:
    """The scan of a result: where it says, beside it, in the folder above, or in the current one.

    Args:
        may_be: whether a path outside of these folders is of the right kind, by its name.

    Raises:
        UsageError: it is not there, or only another one of its name.
    """
    if origin.name is None:
        raise UsageError("this result does not say which scan it belongs to", where=result, do=GIVE)
    there = [place for place in _places(result, origin, may_be) if place.exists() and not place.samefile(result)]
    for place in there:
        if origin.is_scan(place):
            return place
    if there:
        what = "the scan of this result was not found, only another one of its name"
        raise UsageError(what, where=result, got=there[0], do=GIVE)
    raise UsageError("the scan of this result was not found", where=result, wanted=Path(origin.name).name, do=GIVE)


def _places(result: Path, origin: Origin, may_be: Callable[[Path], bool]) -> list[Path]:
    name = Path(origin.name or "").name  # a name, never a way to another place
    places = [folder / name for folder in (result.parent, result.parent.parent, Path())]
    way = Path(origin.way or "")
    if way.name == name and not way.is_absolute() and may_be(way):
        places.insert(0, result.parent / way)
    return places


def check_scan(result: Path, origin: Origin, scans: Sequence[Path], stem: Callable[[Path], str]) -> None:
    """Raises UsageError if the result belongs to none of the scans: by hash, or without one by name.

    Args:
        stem: of a scan's name, which it shares with those that are it in another format.
    """
    alike = origin.name is not None and stem(Path(origin.name)) in map(stem, scans)
    if not origin.is_known:
        if alike or origin.name is None:
            return
    elif any(map(origin.is_scan, scans)):
        return
    got = ", ".join(scan.name for scan in scans) + (", of that name but with another content" if alike else "")
    do = "To see them together all the same, give the scan with --scan."
    raise UsageError("this result belongs to another scan", where=result, got=got, wanted=origin.name, do=do)


def note_of_other(result: Path, origin: Origin, scan: Path | None) -> list[str]:
    """The note of a scan that a person gave for a result of another one; [] if it is its own."""
    if scan is None:
        return []
    if origin.is_known:
        other = f"{scan.name} is not the scan that {result.name} was found in: its SHA-256 is another one"
        return [] if origin.is_scan(scan) else [other]
    own = origin.name is None or Path(origin.name).name == scan.name
    return [] if own else [f"{result.name} belongs to {origin.name} by its own account, and is shown on {scan.name}"]
