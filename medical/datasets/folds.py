"""Which labelled cases train and which validate: a published split, nnU-Net's folds, or folds from a JSON file."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from medical.datasets.cases import Case, DataSplit
from vol3d.dataset_tools.fault import listed
from vol3d.engine.settings import Settings
from vol3d.errors import DataError, UsageError
from vol3d.files import read_json

SEED = 12345  # nnU-Net's, so that its folds and these are the same cases
Names = tuple[str, ...]


class DatasetSettings(Settings):
    """Where a data set lies and how it is split; each data set adds its `name`.

    `known` are its classes and its channels, of a data set whose cases all have the same.
    """

    known: ClassVar[tuple[Names, Names] | None] = None

    root: Path = Field(description="the data set's folder")
    fold: int | Literal["all"] | None = Field(
        None,
        description="the fold that validates, from 0; null: the published split, or fold 0 where none is published "
        "(of fewer folds where there are fewer cases); all: every labelled case trains and none validates",
    )
    folds: int | Path = Field(
        5,
        description="number of folds by nnU-Net's rule, or a JSON file: a list of lists of validation names, or "
        "nnU-Net's splits_final.json; a relative path is looked for here and in the data set's folder",
    )

    def fold_count(self) -> int:
        """Number of folds of a cross-validation."""
        return self.folds if isinstance(self.folds, int) else len(read_json(_find(self.folds, self.root)))

    @abstractmethod
    def split(self) -> DataSplit:
        """The cases. Opens no volume, so that it is instant and works on a damaged data set too.

        Raises:
            DataError: the folder or its JSON cannot be understood, or has no labelled case.
            UsageError: the fold does not exist or names other cases.
        """


def choose(
    settings: DatasetSettings,
    cases: Sequence[Case],
    folder: Path,
    published: tuple[Names, Names] | None = None,
) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Labelled cases -> (training, validation), each sorted by name, as the settings want it.

    Args:
        folder: the data set's own folder, where a relative `folds` file may lie.
        published: names of the training and validation cases of the data set's own split, if it has one.

    Raises:
        UsageError: see `DatasetSettings.split`.
    """
    by_name = {case.name: case for case in sorted(cases, key=lambda case: case.name)}
    if settings.fold == "all":
        return tuple(by_name.values()), ()
    if settings.fold is None and published is not None:
        train, validation = published
    else:
        train, validation = _fold(settings, tuple(by_name), folder)
    return _take(by_name, train), _take(by_name, validation)


def nnunet_folds(names: Sequence[str], count: int) -> list[Names]:
    """Validation names of each fold: the shuffled k-fold rule of nnU-Net (scikit-learn's KFold, seed 12345).

    The first `len(names) % count` folds have one case more; names within a fold are sorted.

    Raises:
        UsageError: fewer than two folds, or more folds than cases.
    """
    if not 2 <= count <= len(names):
        raise UsageError(
            "the cases cannot be split into so many folds",
            where="folds",
            got=count,
            wanted=f"2 to {len(names)}, the number of labelled cases",
            do="Set fewer folds, or fold: all to train on every case.",
        )
    ordered = sorted(names)
    index = np.arange(len(ordered))
    np.random.RandomState(SEED).shuffle(index)
    return [tuple(ordered[i] for i in sorted(part)) for part in np.array_split(index, count)]


def read_folds(path: Path, names: Sequence[str]) -> list[tuple[Names, Names]]:
    """(training, validation) names of each fold in a JSON file.

    Args:
        path: a list of lists of validation names, where every other case trains; or nnU-Net's `splits_final.json`, a
            list of `{"train": [...], "val": [...]}`.
        names: all labelled cases.

    Raises:
        DataError: not such a file.
        UsageError: a name that is no labelled case, twice in a fold, or in more places than it may be.
    """
    document = read_json(path)
    if not isinstance(document, list) or not document:
        raise DataError("no folds in the file", where=path, wanted="a list with one entry per fold")
    folds = [_one_fold(entry, number, names, path) for number, entry in enumerate(document)]
    if isinstance(document[0], list):
        held = [name for _, validation in folds for name in validation]
        _refuse(_repeated(held), "in the validation list of two folds", path)
    return folds


def _one_fold(entry: Any, number: int, names: Sequence[str], path: Path) -> tuple[Names, Names]:
    where = f"{path}, fold {number}"
    if isinstance(entry, dict) and {"train", "val"} <= set(entry):
        train, validation = _names(entry["train"], where), _names(entry["val"], where)
    else:
        validation = _names(entry, where)
        train = tuple(name for name in names if name not in set(validation))

    known, twice = set(names), [*_repeated(train), *_repeated(validation)]
    _refuse([name for name in (*train, *validation) if name not in known], "no labelled case", where)
    _refuse(sorted(set(train) & set(validation)), "both in training and in validation", where)
    _refuse(twice, "listed twice", where)
    if not train or not validation:
        empty = "validates" if train else "trains"
        raise UsageError(f"no case {empty}", where=where, do="List at least one case for each.")
    return train, validation


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _names(value: Any, where: str) -> Names:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        wanted = "a list of case names, or an object with the lists 'train' and 'val'"
        raise DataError("not a fold", where=where, got=type(value).__name__, wanted=wanted)
    return tuple(value)


def _refuse(names: Sequence[str], why: str, where: str | Path) -> None:
    if names:
        do = "Correct the file; names are those of the files, without .nii.gz."
        raise UsageError(f"{len(names)} names are {why}", where=where, got=listed(names), do=do)


def _fold(settings: DatasetSettings, names: Names, folder: Path) -> tuple[Names, Names]:
    """Names of the fold that `settings` asks for; fold 0 where it asks for none."""
    if settings.fold is None and isinstance(settings.folds, int) and len(names) == 1:
        return names, ()
    folds = _folds(settings, names, folder)
    number = settings.fold or 0
    if not isinstance(number, int) or not 0 <= number < len(folds):
        raise UsageError("no such fold", where="fold", got=number, wanted=f"0 to {len(folds) - 1}, all or null")
    return folds[number]


def _folds(settings: DatasetSettings, names: Names, folder: Path) -> list[tuple[Names, Names]]:
    """Training and validation names of every fold."""
    if not isinstance(settings.folds, int):
        return read_folds(_find(settings.folds, folder), names)
    # Nobody asked for a fold: a data set of few cases is split as finely as it can be, so that it can be looked at.
    few = settings.fold is None and 2 <= len(names) < settings.folds
    held = nnunet_folds(names, len(names) if few else settings.folds)
    return [(tuple(name for name in names if name not in part), part) for part in held]


def _find(path: Path, folder: Path) -> Path:
    inside = folder / path
    return inside if not path.is_file() and inside.is_file() else path


def _take(cases: dict[str, Case], names: Names) -> tuple[Case, ...]:
    return tuple(cases[name] for name in sorted(names))
