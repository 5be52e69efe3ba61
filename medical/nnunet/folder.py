"""A model folder of nnU-Net v2 on the disk: its two JSON files and its folds.

TRAINER__PLANS__CONFIGURATION/plans.json  dataset.json  fold_0/checkpoint_final.pth  fold_1/...  fold_all/...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medical.nnunet.labels import Labels, read_labels
from vol3d.errors import CheckpointError, UsageError
from vol3d.files import read_json

Fold = int | Literal["all"]
PLANS, DATASET, FINAL = "plans.json", "dataset.json", "checkpoint_final.pth"
_OF_V1 = ("plans.pkl", "fold_*/*.model", "fold_*/*.model.pkl")


@dataclass(frozen=True)
class ModelFolder:
    """What a folder says without its weights.

    Args:
        path: the folder with `plans.json`.
        plans: the content of `plans.json`.
        labels: what the outputs stand for.
        channels: names of the image's channels, in the order of the files `_0000`, `_0001` ...
        folds: those that are there, in order.
    """

    path: Path
    plans: Any
    labels: Labels
    channels: tuple[str, ...]
    folds: tuple[Fold, ...]

    def weights(self, folds: Sequence[Fold] | None, name: str = FINAL) -> list[Path]:
        """The files of some folds; None is all that are numbered and have the file, or `fold_all` without those.

        Raises:
            UsageError: a fold that is not there.
            CheckpointError: no fold at all, or one without the file.
        """
        files = [self._file(fold, name) for fold in self._chosen(folds, name)]
        for file in files:
            if not file.is_file():
                found = ", ".join(sorted(one.name for one in file.parent.glob("*.pth"))) or "no .pth file"
                do = f"Choose others with folds=, or another file with checkpoint=. Folds: {self._there}."
                raise CheckpointError("a fold without its weights", where=file.parent, got=found, wanted=name, do=do)
        return files

    def without_weights(self, name: str = FINAL) -> tuple[Fold, ...]:
        """Numbered folds that are there without the file, of trainings that have not ended."""
        return tuple(fold for fold in self.folds if fold != "all" and not self._file(fold, name).is_file())

    def _file(self, fold: Fold, name: str) -> Path:
        return self.path / f"fold_{fold}" / name

    def _chosen(self, folds: Sequence[Fold] | None, name: str) -> Sequence[Fold]:
        if not self.folds:
            raise CheckpointError("no fold of weights", where=self.path, got="no fold_*", wanted=f"fold_0/{FINAL}")
        if folds is None:
            unused = {"all", *self.without_weights(name)}
            return [fold for fold in self.folds if fold not in unused] or self.folds[-1:]
        absent = [f"fold_{fold}" for fold in folds if fold not in self.folds]
        if absent or not folds or len(set(folds)) < len(folds):
            got, wanted = ", ".join(absent) or list(folds), f"some of {self._there}"
            raise UsageError("no such folds", where=self.path, got=got, wanted=wanted)
        return folds

    @property
    def _there(self) -> str:
        return ", ".join(f"fold_{fold}" for fold in self.folds)


def open_folder(where: Path) -> ModelFolder:
    """The model in a folder, or in the only one of its kind below it.

    Raises:
        UsageError: several models below the folder.
        CheckpointError: a folder of nnU-Net v1, of one fold, without its JSON files, or with wrong ones.
    """
    path = _model_folder(where)
    plans, dataset = _json(path / PLANS), _json(path / DATASET)
    labels = read_labels(dataset, path / DATASET)
    folds: list[Fold] = sorted(
        int(folder.name.removeprefix("fold_"))
        for folder in path.glob("fold_*")
        if folder.is_dir() and folder.name.removeprefix("fold_").isdecimal()
    )
    if (path / "fold_all").is_dir():
        folds.append("all")
    return ModelFolder(path, plans, labels, _channels(dataset, path / DATASET), tuple(folds))


def _model_folder(where: Path) -> Path:
    if (where / PLANS).is_file():
        return where
    if any(next(where.glob(pattern), None) for pattern in _OF_V1):
        do = "Train it again with nnU-Net v2; its converter of data sets is nnUNetv2_convert_old_nnUNet_dataset."
        raise CheckpointError("a model of nnU-Net v1, which is not read", where=where, wanted=PLANS, do=do)
    if next(where.glob("checkpoint_*.pth"), None) and (where.parent / PLANS).is_file():
        fold = where.name.removeprefix("fold_")
        do = f"Give {where.parent}, and folds=[{fold}] for this fold alone."
        raise CheckpointError("the folder of one fold, not of the model", where=where, wanted=PLANS, do=do)
    below = sorted(file.parent for file in where.glob(f"*/{PLANS}"))
    if len(below) > 1:
        names = ", ".join(folder.name for folder in below)
        raise UsageError("several models in the folder", where=where, got=names, do=f"Give one, {below[0]}.")
    if not below:
        do = "Copy it from where the model was trained: the weights alone do not say what they need."
        raise CheckpointError("no plans of nnU-Net v2", where=where, wanted=PLANS, do=do)
    return below[0]


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        do = "Copy it from where the model was trained."
        raise CheckpointError("a model folder without its JSON file", where=path.parent, wanted=path.name, do=do)
    found = read_json(path)
    if not isinstance(found, dict):
        raise CheckpointError("the JSON is no object", where=path, got=type(found).__name__)
    return found


def _channels(dataset: dict[str, Any], path: Path) -> tuple[str, ...]:
    """Names in the order of the channels; `modality` in older files.

    nnU-Net only counts them: numbers may begin with 1 or have zeros in front, and other keys count as they stand.
    """
    found = dataset.get("channel_names", dataset.get("modality"))
    if not isinstance(found, (dict, list)) or not found:
        wanted = '{"0": "CT"}'
        raise CheckpointError("no 'channel_names'", where=path, got=found, wanted=wanted)
    if isinstance(found, list):
        return tuple(map(str, found))
    keys = sorted(found, key=int) if all(key.isdecimal() for key in found) else list(found)
    return tuple(str(found[key]) for key in keys)
