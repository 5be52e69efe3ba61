"""Cases of a tree of folders, by patterns for images and labels, as BIDS and many studies lay them out.

    "images": "sub-*/anat/{case}_{channel}.nii.gz"                 sub-01/anat/sub-01_T1w.nii.gz
    "labels": "derivatives/manual/sub-*/anat/{case}_dseg.nii.gz"   derivatives/manual/sub-01/anat/sub-01_dseg.nii.gz

`{case}` is the name of the case, the same wherever it stands; `{channel}` one of the channels (without it a file has
all of them); `*` is any text within one name, `**/` any folders. Patterns are relative to the data set's folder, and a
folder with one DICOM series is matched as a file is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from medical.datasets.cases import may_be_scan
from vol3d.dataset_tools.fault import Fault, listed
from vol3d.errors import DataError
from vol3d.scans.paths import walk_all

CASE, CHANNEL = "{case}", "{channel}"
_PARTS = re.compile(r"(\{case\}|\{channel\}|\*\*/|\*)")


def is_pattern(text: str) -> bool:
    """Whether it is a pattern rather than the name of a folder."""
    return CASE in text


def matching_files(
    root: Path, pattern: str, channels: Sequence[str], kind: str
) -> tuple[dict[str, dict[str, Path]], list[Fault]]:
    """Case -> channel -> file or folder, the channel `""` where the pattern has none; and what matches twice.

    Args:
        kind: what is looked for, `image` or `label`, for messages.

    Raises:
        DataError: nothing matches, or a folder cannot be listed.
    """
    if CHANNEL in pattern and not channels:
        raise DataError(f"a pattern for a {kind} has no {CHANNEL}", where=root / "dataset.json", got=pattern)
    wanted = compiled(pattern, channels)
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in _entries(root):
        match = wanted.fullmatch(path.relative_to(root).as_posix())
        if match and may_be_scan(path):
            found[match["case"], match.groupdict().get("channel") or ""].append(path)
    if not found:
        do = "Correct the pattern in dataset.json; it is relative to this folder."
        got = f"{pattern} with channels {', '.join(channels)}" if CHANNEL in pattern else pattern
        raise DataError(f"no {kind} matches the pattern", where=root, got=got, do=do)

    cases: dict[str, dict[str, Path]] = defaultdict(dict)
    for (case, channel), paths in sorted(found.items()):
        cases[case][channel] = paths[0]
    faults = [_twice(case, kind, paths, root) for (case, _), paths in sorted(found.items()) if len(paths) > 1]
    return dict(cases), faults


def compiled(pattern: str, channels: Sequence[str]) -> re.Pattern[str]:
    """The pattern as a regular expression with the groups `case` and `channel`.

    >>> compiled("{case}/anat/{case}_{channel}.nii*", ["T1w", "T2w"]).fullmatch("a/anat/a_T2w.nii.gz").groups()
    ('a', 'T2w')
    """
    ordered = sorted(map(re.escape, channels), key=len, reverse=True)
    first = {CASE: r"(?P<case>[^/]+)", CHANNEL: f"(?P<channel>{'|'.join(ordered)})"}
    again = {CASE: r"(?P=case)", CHANNEL: r"(?P=channel)"}
    text, seen = "", set[str]()
    for part in _PARTS.split(pattern):
        if part in first:
            text += again[part] if part in seen else first[part]
            seen.add(part)
        else:
            text += {"*": "[^/]*", "**/": "(?:[^/]+/)*"}.get(part, re.escape(part))
    return re.compile(text)


def _entries(root: Path) -> list[Path]:
    """All files and folders below, hidden ones left out."""
    return [path for folder, files in walk_all(root) for path in (folder, *files) if path != root]


def _twice(case: str, kind: str, paths: Sequence[Path], root: Path) -> Fault:
    names = listed(path.relative_to(root).as_posix() for path in paths)
    what, numbers = f"{len(paths)} files are its {kind}: {names}", {"files": len(paths)}
    do = "Make the pattern narrower, or keep one of them."
    return Fault(case, "error", what, do, code="same-name-twice", numbers=numbers)
