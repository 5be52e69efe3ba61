"""The files that a header names for its voxels, and the header that a file of voxels belongs to.

A header may come from anybody, so it names files of its own folder only: not by an absolute path, not through `..`, and
not through a link that leads out.
"""

from __future__ import annotations

import re
from pathlib import Path

from vol3d.errors import DataError
from vol3d.scans.paths import file_size

MOST_PARTS = 65536
_NUMBERED = re.compile(r"%(0?)([0-9]?)d")
_HEADERS = {
    **dict.fromkeys((".raw.gz", ".raw", ".zraw"), (".mhd", ".nhdr")),
    **dict.fromkeys((".img.gz", ".hdr.gz", ".img", ".hdr"), ()),
}


def part_beside(header: Path, name: str) -> Path:
    """The file of that name in the header's folder or below.

    Raises:
        DataError: no such file, none that can be read as one, or one that lies outside of the folder.
    """
    if not name or any(ord(letter) < 32 for letter in name) or len(name.encode("utf-8", "replace")) > 1024:
        raise DataError("the header names no file of voxels", where=header, got=repr(name[:60]))
    part = header.parent / name
    inside = {header.parent.resolve(), header.resolve().parent}
    try:
        real, there = part.resolve(), part.exists()
    except (OSError, RuntimeError) as fault:  # a name that is too long, or links in a circle
        raise DataError("the file of voxels cannot be found", where=header, got=repr(name[:60])) from fault
    if Path(name).is_absolute() or not any(real.is_relative_to(folder) for folder in inside):
        raise DataError(
            "the file of voxels lies outside of the header's folder",
            where=header,
            got=name,
            wanted="a file beside the header",
            do="Copy both into one folder and write the plain name into the header.",
        )
    if not there:
        raise DataError("the file of voxels is missing", where=header, wanted=name)
    file_size(part)
    return part


def numbered(header: Path, words: list[str], wanted: int) -> list[str]:
    """The names that `PATTERN FIRST LAST STEP` stands for, the pattern with one %d or %03d.

    Raises:
        DataError: another pattern, or not as many names as `wanted`.
    """
    pattern, *numbers = words
    found = _NUMBERED.findall(pattern)
    if len(found) != 1 or "%" in _NUMBERED.sub("", pattern) or not 2 <= len(numbers) <= 3:
        got, form = " ".join(words)[:60], "a name with one %d, and first, last and step"
        raise DataError("the pattern of file names is wrong", where=header, got=got, wanted=form)
    if not all(re.fullmatch(r"[0-9]{1,9}", number) for number in numbers):
        raise DataError("the pattern of file names is wrong", where=header, got=" ".join(numbers)[:60], wanted="counts")
    first, last, step = (int(number) for number in (*numbers, "1")[:3])
    counted = range(first, last + 1, step) if step else range(0)
    check_count(header, len(counted), wanted)
    (zero, width), (before, after) = found[0], re.split(_NUMBERED.pattern, pattern)[:: len(found[0]) + 1]
    return [f"{before}{number:{zero}{width}d}{after}" for number in counted]


def check_count(header: Path, got: int, wanted: int) -> None:
    """Raises DataError where the header names another number of files than its sizes need."""
    if got != wanted or got > MOST_PARTS:
        what = "the header names another number of files than its sizes need"
        raise DataError(what, where=header, got=f"{got} files", wanted=f"{wanted} files")


def refuse_half(path: Path) -> None:
    """Raises DataError for a file that is one half of a pair, naming the other."""
    name = path.name.lower()
    suffix = next((suffix for suffix in _HEADERS if name.endswith(suffix)), None)
    if suffix is None:
        return
    stem = path.name[: -len(suffix)]
    if not _HEADERS[suffix]:
        raise DataError(
            "one half of a .hdr/.img pair",
            where=path,
            wanted="one .nii or .nii.gz file",
            do=f"Convert {stem}.hdr and {stem}.img to .nii; an Analyze pair states no orientation, so check it then.",
        )
    there = [stem + end for end in _HEADERS[suffix] if path.with_name(stem + end).exists()]
    raise DataError(
        "voxels without their header",
        where=path,
        wanted=there[0] if there else " or ".join(stem + end for end in _HEADERS[suffix]),
        do="Give the header's file; it names this one.",
    )
