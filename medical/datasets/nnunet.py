"""nnU-Net's raw folder: a JSON without a list of cases, one file per channel.

    dataset.json   {"labels": {"background": 0, ...}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    imagesTr/NAME_0000.nii.gz  imagesTr/NAME_0001.nii.gz  labelsTr/NAME.nii.gz  imagesTs/NAME_0000.nii.gz

Its JSON may list cases under `dataset` instead, whose files lie anywhere: `{"NAME": {"images": [...], "label": ...}}`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medical.datasets.cases import Case, by_stem, data_path, scans_in, stem
from vol3d.dataset_tools.fault import Fault, listed
from vol3d.errors import DataError

_CHANNEL = re.compile(r"(.+)_(\d{4})")


def numbered(path: Path) -> tuple[str, int] | None:
    """Case and number of the channel of a file's name: `a_0001.nii.gz` -> ("a", 1); None for other names."""
    found = _CHANNEL.fullmatch(stem(path))
    return (found[1], int(found[2])) if found else None


def raw_cases(
    document: Mapping[str, Any], path: Path, channels: int, ignore: int | None
) -> tuple[tuple[Case, ...], tuple[Case, ...], list[Fault]]:
    """Training cases, test cases, faults of a JSON that has no `training`."""
    if (entries := document.get("dataset")) is not None:
        return _listed(entries, path, ignore), (), []
    root, ending = path.parent, document.get("file_ending", "")
    if not isinstance(ending, str):
        raise DataError("'file_ending' is no text", where=path, got=str(ending)[:80], wanted='".nii.gz"')
    if not (root / "imagesTr").is_dir():
        do = "List the cases under 'training', or name the files as nnU-Net does."
        raise DataError("no 'training' in the JSON and no imagesTr", where=path, wanted="one of both", do=do)

    labels, faults = by_stem(_of(root / "labelsTr", ending), "label")
    images, more = _images(root / "imagesTr", ending, channels)
    tests, least = _images(root / "imagesTs", ending, channels)
    faults += [*more, *least]
    train = [Case(name, files, labels.get(name), ignore) for name, files in images.items()]
    faults += [
        Fault(
            name,
            "error",
            f"the label {label} has no image",
            f"Add {root / 'imagesTr' / name}_0000, or remove the label.",
            code="absent-image",
        )
        for name, label in labels.items()
        if name not in images
    ]
    return tuple(train), tuple(Case(name, files) for name, files in tests.items()), faults


def _of(folder: Path, ending: str) -> list[Path]:
    return [path for path in scans_in(folder) if path.name.endswith(ending)]


def _images(folder: Path, ending: str, channels: int) -> tuple[dict[str, tuple[Path, ...]], list[Fault]]:
    """Case -> one file for each channel; a case that lacks one is a fault."""
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    files, faults = by_stem(_of(folder, ending), "image")
    for path in files.values():
        name, number = numbered(path) or (stem(path), -1)
        found[name][number] = path
    cases = {}
    for name, by_number in sorted(found.items()):
        wanted = [-1] if set(by_number) == {-1} else list(range(channels))  # one file with all of them
        absent = [f"{number:04d}" for number in wanted if number not in by_number]
        if absent:
            what, do = f"no image for the channels {listed(absent)}", f"Add them to {folder} or remove the case."
            faults.append(Fault(name, "error", what, do, code="absent-channels", numbers={"absent": len(absent)}))
        else:
            cases[name] = tuple(by_number[number] for number in wanted)
    return cases, faults


def _listed(entries: Any, path: Path, ignore: int | None) -> tuple[Case, ...]:
    wanted = '{"NAME": {"images": ["a_0000.nii.gz"], "label": "a.nii.gz"}}'
    if not isinstance(entries, dict):
        raise DataError("'dataset' is not understood", where=path, got=type(entries).__name__, wanted=wanted)
    cases = []
    for name, entry in entries.items():
        images, label = (entry.get("images"), entry.get("label")) if isinstance(entry, dict) else (None, None)
        images = images if isinstance(images, list) else []
        if not images or not isinstance(label, str) or not all(isinstance(one, str) for one in images):
            raise DataError(f"dataset.{name[:80]} names no image", where=path, got=str(entry)[:200], wanted=wanted)
        files = tuple(data_path(path.parent, one, path) for one in images)
        cases.append(Case(name, files, data_path(path.parent, label, path), ignore))
    return tuple(cases)


def channel_files(image: Path, channels: int) -> tuple[Path, ...]:
    """The files of a listed image: where `a.nii.gz` or `a_0000.nii.gz` is named, `a_0000.nii.gz`, `a_0001.nii.gz` ...

    The image alone where it has all channels, or where those files are not there.
    """
    name = image.name.removeprefix(stem(image)) if not image.is_dir() else ""
    first = numbered(image)
    case = first[0] if first and first[1] == 0 else stem(image)
    files = tuple(image.with_name(f"{case}_{number:04d}{name}") for number in range(channels))
    several = first is not None and channels > 1
    return files if files[0].is_file() and (several or not image.exists()) else (image,)


def case_name(images: Sequence[Path]) -> str:
    """The name of a case by its first image: without nnU-Net's number of the channel."""
    found = numbered(images[0])
    return found[0] if found and found[1] == 0 else stem(images[0])
