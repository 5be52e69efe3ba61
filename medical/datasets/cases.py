"""What a data set is to the rest of the package: named cases, split, with the faults that listing them showed.

Listing reads JSON and folder entries only; a volume is opened where it is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vol3d.dataset_tools.fault import Fault, absent_file, listed, refuse_errors
from vol3d.errors import DataError

UNUSED = "unused "  # a label number without a class is called so, then the number


@dataclass(frozen=True)
class Case:
    """One patient's scan.

    Args:
        name: unique in its data set; names the files written for it.
        images: one file or DICOM folder with all channels, or one per channel in the order of the channel names.
        label: its segmentation, or None for a case without.
    """

    name: str
    images: tuple[Path, ...]
    label: Path | None = None


@dataclass(frozen=True)
class DataSplit:
    """The cases of a data set as one run uses them.

    Args:
        name: the data set's name.
        class_names: `class_names[label]`, background first.
        channel_names: in the order of the image's channels.
        train, validation: cases with labels; the two share none.
        test: cases to predict only, without labels.
        listing: faults found without opening a volume; `check` reports them with its own.
    """

    name: str
    class_names: tuple[str, ...]
    channel_names: tuple[str, ...]
    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...] = ()
    listing: tuple[Fault, ...] = ()

    @property
    def labelled(self) -> tuple[Case, ...]:
        """Training and validation cases: what to evaluate on where a model has seen none of them."""
        return self.train + self.validation

    def require(self) -> DataSplit:
        """The split itself, if nothing that a run needs is missing.

        Raises:
            DataError: listing showed an error, such as an image without its label.
        """
        refuse_errors(self.listing, self.name)
        return self


def stem(path: Path) -> str:
    """File name without its format: `a.b.nii.gz` -> `a.b`; a folder's name as it is."""
    if path.is_dir():
        return path.name
    return path.name[:-7] if path.name.lower().endswith(".nii.gz") else path.stem


def visible(folder: Path) -> list[Path]:
    """Entries of a folder by name, without hidden ones (`._case.nii.gz` of archives made on a Mac); [] if missing."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def missing_files(cases: Iterable[Case]) -> list[Fault]:
    """One error for each listed file that is not there."""
    do = "Copy it from the original data set, or remove the case from the JSON."
    return [
        absent_file(case.name, f"the {part} {path}", do)
        for case in cases
        for part, paths in (("image", case.images), ("label", (case.label,) if case.label else ()))
        for path in paths
        if not path.exists()
    ]


def unlisted_files(cases: Iterable[Case], folders: Iterable[Path]) -> list[Fault]:
    """One warning for each scan in `folders` that no case uses."""
    do = "Add it to the JSON or move it away."
    used = {path for case in cases for path in (*case.images, case.label) if path is not None}
    return [
        Fault(stem(path), "warning", f"{path} is in the folder but no case uses it", do, code="unlisted-file")
        for folder in folders
        for path in visible(folder)
        if path not in used and not any(path in one.parents for one in used)
    ]


def named_once(cases: Sequence[Case], where: Path) -> None:
    """Raises DataError if a name is given to two cases, or is no file name."""
    twice = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    if twice:
        raise DataError("two cases have the same name", where=where, got=listed(twice), do="Name each case once.")
    odd = [case.name for case in cases if not case.name or case.name.startswith(".") or set(case.name) & set("/\\:\0")]
    if odd:
        raise DataError("a case's name must be a file name", where=where, got=listed(odd))


def some_labelled(cases: Sequence[Case], where: Path) -> None:
    """Raises DataError if there is no labelled case."""
    if not any(case.label for case in cases):
        raise DataError(
            "the data set has nothing in it",
            where=where,
            got=f"{len(cases)} cases, none of them with a label",
            wanted="at least one image with its label",
            do="Check that the download is complete and that this is its folder.",
        )
