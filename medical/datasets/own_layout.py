"""Where a person's own images and label maps lie, whatever their folders and files are called.

A label map is known by a word in the name of its file or of a folder above it (`masks/a.nrrd`, `a_seg.nii.gz`,
`a/label.nii.gz`). Its case is what of that name, or of the names of its folders, stands in the path of an image, too.
What is found is stated as folders or patterns of `medical.datasets.patterns`, or refused if it could mean several.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from os.path import commonpath
from pathlib import Path, PurePosixPath

from medical.datasets.cases import stem
from medical.datasets.patterns import CASE, CHANNEL
from vol3d.dataset_tools.fault import listed
from vol3d.errors import DataError
from vol3d.scans.paths import DICOM, SUFFIXES, is_dicom, walk_all
from vol3d.terminal import counted

_WORDS = r"(?:d?seg|segmentation|label|mask|annotation|delineation|contour|ground[\s_-]?truth|truth|gt)s?(?:tr)?"
LABEL_FOLDER = re.compile(rf"(?:.*[\s_.-])?{_WORDS}(?:[\s_.-].*)?", re.IGNORECASE)
_LABEL_WORD = re.compile(_WORDS, re.IGNORECASE)
_LABEL_FILE = re.compile(rf"(?:.+[\s_.-])?{_WORDS}(?:[\s_.-]*\d+)?", re.IGNORECASE)
_JOINTS = re.compile(r"[\s_.-]+")
STATE = "Name them: 'images=scans/{case}.nii.gz' 'labels=masks/{case}.nii.gz', patterns or folders."


Templates = dict[str, dict[str, str]]
"""Path with `{case}` in the place of the case -> case -> path."""


@dataclass(frozen=True)
class OwnLayout:
    """Folders, or patterns with `{case}`.

    Args:
        images, labels: relative to the data set's folder.
        channels: what `{channel}` stands for; none where an image has them all.
        remark: what was found, and what was left aside.
    """

    images: str
    labels: str
    channels: tuple[str, ...]
    remark: str


def find_layout(root: Path) -> OwnLayout | None:
    """The layout of a tree of scans; None where no label map and image of one case are found.

    Raises:
        DataError: label maps or images lie in several places, or a folder cannot be listed.
    """
    labels, images = _sorted_out(list(_scans(root)))
    merged = _merged(_labels_by_template(labels, images))
    if not merged:
        return None
    pattern, cases = _only(merged, "label maps", root)
    by_image = _merged(_images_by_template(images, cases))
    image, channels = _with_channels({one: has for one, has in by_image.items() if 2 * len(has) > len(cases)}, root)
    remark = f"{counted(len(cases), 'label map')} found as {pattern}, images as {image}"
    if aside := [path for path in labels if path not in cases.values()]:
        remark += f"; left aside, since no image is named so: {listed(aside, 3)}"
    return OwnLayout(*_as_folders(image, pattern), channels, remark)


def _sorted_out(scans: Sequence[str]) -> tuple[list[str], list[str]]:
    """Label maps and images."""
    shared = len(commonpath(scans).split("/")) if len(scans) > 1 and commonpath(scans) else 0
    labels = [path for path in scans if _is_label(path, shared)]
    return labels, sorted({*scans} - {*labels})


def _labels_by_template(labels: Sequence[str], images: Sequence[str]) -> Templates:
    found: Templates = defaultdict(dict)
    for path in labels:
        if (case := _case_of(path, images)) is not None:
            found[_template(path, case)].setdefault(case, path)
    return found


def _images_by_template(images: Sequence[str], cases: Iterable[str]) -> Templates:
    found: Templates = defaultdict(dict)
    for path in images:
        if own := [case for case in cases if _within(case, path)]:
            case = max(own, key=len)
            found[_template(path, case)][case] = path
    return found


def _scans(root: Path) -> Iterator[str]:
    """Relative paths of volume files and of folders with DICOM slices; DICOM files among label maps by themselves."""
    for folder, files in walk_all(root):
        inside = folder.relative_to(root)
        slices = False
        for file in files:
            path = (inside / file.name).as_posix()
            if file.name.lower().endswith(SUFFIXES):
                yield path
            elif file.name.lower().endswith(DICOM) or (not file.suffix[1:].isalpha() and is_dicom(file)):
                if _is_label(path):
                    yield path
                else:
                    slices = True
        if slices and folder != root:
            yield inside.as_posix()


def _is_label(path: str, shared: int = 0) -> bool:
    """By its name or a folder's, but for the first folders, which all scans have in common."""
    *folders, name = path.split("/")[shared:]
    return bool(_LABEL_FILE.fullmatch(_stem(name)) or any(map(LABEL_FOLDER.fullmatch, folders)))


def _stem(name: str) -> str:
    return stem(Path(name))


def _case_of(label: str, images: Sequence[str]) -> str | None:
    """The longest part of a label map's name that an image has in its path, else its nearest folder's name."""
    *folders, name = label.split("/")
    for case in (*_parts(_stem(name)), *reversed(folders)):
        if not _LABEL_WORD.fullmatch(case) and any(_within(case, image) for image in images):
            return case
    return None


def _parts(name: str) -> list[str]:
    """A name without more and more of its last words, then the number behind a word for label maps.

    >>> _parts("sub-1_seg"), _parts("label0012")
    (['sub-1_seg', 'sub-1', 'sub'], ['label0012', '0012'])
    """
    ends = [match.start() for match in _JOINTS.finditer(name) if match.start()]
    numbered = re.fullmatch(rf"{_WORDS}[\s_.-]*(\d+)", name, re.IGNORECASE)
    return [name, *(name[:end] for end in reversed(ends)), *(numbered.groups() if numbered else ())]


def _within(case: str, path: str) -> bool:
    return case in path and re.search(_bounded(case), path) is not None


def _bounded(case: str) -> str:
    """The case's name as a whole word: `a_1` is not in `a_12`; a number may follow letters, as in `img0001`."""
    before = r"(?<!\d)" if case.isdecimal() else r"(?<![^\W_])"
    return rf"{before}{re.escape(case)}(?![^\W_])"


def _template(path: str, case: str) -> str:
    return re.sub(_bounded(case), CASE, path)


def _merged(templates: Templates) -> Templates:
    """Templates of files of one name in folders of other names as one, with `*` in the place of those."""
    groups: dict[tuple[str, int], list[str]] = defaultdict(list)
    for template in templates:
        if CASE in template:
            folder, _, name = template.rpartition("/")
            groups[name, folder.count("/")].append(template)
    merged: Templates = {}
    for group in groups.values():
        apart = [template for template in group if len(templates[template]) > 1]
        for alike in [[one] for one in apart] or [group]:
            merged[_in_common(alike)] = {case: path for one in alike for case, path in templates[one].items()}
    return merged


def _in_common(templates: Sequence[str]) -> str:
    columns = zip(*(template.split("/") for template in templates), strict=True)
    return "/".join(column[0] if len(set(column)) == 1 else "*" for column in columns)


def _only(found: Mapping[str, Mapping[str, str]], what: str, root: Path) -> tuple[str, Mapping[str, str]]:
    """The pattern that has the cases; others are one case, or a quarter as many at most."""
    ordered = sorted(found, key=lambda pattern: -len(found[pattern]))
    if any(len(found[other]) > max(1, len(found[best]) // 4) for best, other in pairwise(ordered[:2])):
        got = listed((f"{pattern} ({len(found[pattern])})" for pattern in ordered), 4)
        do = f"{STATE} One file for each class is not read: merge those of a case into one label map."
        raise DataError(f"{what} lie in several places", where=root, got=got, do=do)
    return ordered[0], found[ordered[0]]


def _with_channels(found: Mapping[str, Mapping[str, str]], root: Path) -> tuple[str, tuple[str, ...]]:
    """The pattern of the images; several that differ in the last word only are channels."""
    if len(found) < 2:
        return _only(found, "images", root)[0], ()
    apart = [re.fullmatch(rf"(.*{re.escape(CASE)}[_/])([^/.]+)(\.[^/]*)?", pattern) for pattern in sorted(found)]
    known = [match.groups() for match in apart if match]
    if len(known) < len(apart) or len({(start, end) for start, _, end in known}) > 1:
        return _only(found, "images", root)[0], ()
    start, _, end = known[0]
    return f"{start}{CHANNEL}{end or ''}", tuple(channel for _, channel, _ in known)


def _as_folders(images: str, labels: str) -> tuple[str, str]:
    """Folders in place of patterns that say no more than they do."""
    folders = [_folder_of(pattern) for pattern in (images, labels)]
    return (folders[0], folders[1]) if all(folders) and folders[0] != folders[1] else (images, labels)


def _folder_of(pattern: str) -> str:
    path = PurePosixPath(pattern)
    plain = _stem(path.name) in (CASE, f"{CASE}_{CHANNEL}")
    return str(path.parent) if plain and not {"*", "{"} & set(str(path.parent)) and str(path.parent) != "." else ""
