"""Which predicted mask belongs to which of the truth: by name, in two folders or of two files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medical.datasets.cases import may_be_scan, stem
from vol3d.dataset_tools.fault import listed
from vol3d.errors import DataError, UsageError
from vol3d.scans.paths import matching, walk_all

_FORMATS = "NIfTI, NRRD, MetaImage or DICOM-SEG"


@dataclass(frozen=True)
class MaskPair:
    """A predicted mask and the truth, files that have not been opened."""

    name: str
    predicted: Path
    truth: Path


def find_pairs(predicted: str | Path, truth: str | Path) -> tuple[list[MaskPair], dict[str, str]]:
    """The pairs in order of their names, and for each name that cannot be scored the reason.

    Args:
        predicted, truth: two files, or two folders or patterns. A mask is called as its file without the format, with
            the folders on the way to it (`P1/T1.nii.gz` -> `P1/T1`); one alone in its folder also as that folder
            (`P1/seg.dcm` -> `P1`).

    Raises:
        UsageError: no such path, or a file and a folder.
        DataError: a folder without a mask, or no name that both have.
    """
    found = matching([predicted]), matching([truth])
    single = [len(paths) == 1 and paths[0].is_file() for paths in found]
    if all(single):
        return [MaskPair(stem(found[1][0]), found[0][0], found[1][0])], {}
    if any(single):
        file, folder = (predicted, truth) if single[0] else (truth, predicted)
        raise UsageError("masks are compared file with file or folder with folder", got=f"{file} and {folder}")
    ours, theirs = (_named(paths) for paths in found)
    pairs, left_out = _paired(ours, theirs)
    if not pairs:
        got = f"{listed(sorted(ours), 3)} and {listed(sorted(theirs), 3)}"
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items() if "files" in why)
        do = reasons or "A mask and its truth have the same name, whatever their formats."
        raise DataError(f"{predicted} and {truth} share no name", got=got, do=do)
    return pairs, left_out


def _named(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Name -> the files that have it."""
    masks: list[tuple[Path, Path]] = []  # with the folder that names are relative to
    for path in paths:
        masks += [(path, file) for file in _in_folder(path)] if path.is_dir() else [(path.parent, path)]
    if not masks:
        raise DataError("no mask in this folder", where=paths[0], wanted=_FORMATS)
    named: dict[str, list[Path]] = {}
    for root, file in masks:
        named.setdefault((file.parent.relative_to(root) / stem(file)).as_posix(), []).append(file)
    return named


def _in_folder(folder: Path) -> list[Path]:
    return [file for _, names in walk_all(folder) for file in names if may_be_scan(file)]


def _paired(ours: dict[str, list[Path]], theirs: dict[str, list[Path]]) -> tuple[list[MaskPair], dict[str, str]]:
    pairs, left_out = [], {}
    ours, theirs = _by_folder(ours, theirs), _by_folder(theirs, ours)
    for name in sorted({*ours, *theirs}):
        mine, real = ours.get(name, []), theirs.get(name, [])
        if len(mine) == len(real) == 1:
            pairs.append(MaskPair(name, mine[0], real[0]))
        elif not mine or not real:
            left_out[name] = "has no truth" if mine else "was not predicted"
        else:
            side, files = ("predicted", mine) if len(mine) > 1 else ("of the truth", real)
            names = listed(file.name for file in files)
            left_out[name] = f"{len(files)} files are {side}, {names}: keep one, or give a pattern such as '*.nii.gz'"
    return pairs, left_out


def _by_folder(names: dict[str, list[Path]], others: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """Masks that the other side does not know by their own name under that of their folder, where they are alone."""
    found: dict[str, list[Path]] = {}
    for name, files in names.items():
        folder = name.rpartition("/")[0]
        alone = sum(len(there) for other, there in names.items() if other.rpartition("/")[0] == folder) == 1
        found.setdefault(folder if folder and alone and name not in others else name, []).extend(files)
    return found
