"""Weights on the disk: one safe reader, strict loading, and checkpoints that say what they are.

A checkpoint is one safetensors file. Its metadata carry the format number, the task with its resolved settings, class
names, versions, score and a SHA-256 over all of that and the tensors, so that a flipped bit is noticed (safetensors and
torch load it in silence). `config.json` beside it is a copy for readers.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import safetensors
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

import vol3d
from vol3d import catalog, files, foreign
from vol3d.config import changed
from vol3d.config.chosen import LATER
from vol3d.engine.derived import TERMS
from vol3d.engine.memory_format import to_channels_last
from vol3d.engine.seen import Seen
from vol3d.engine.task import CompleteTask, Evaluation, ModelTask
from vol3d.engine.trained_on import TRAINED_ON, recorded
from vol3d.errors import CheckpointError, UsageError, first_line
from vol3d.files import require_file
from vol3d.paths import user_path
from vol3d.pickled import LONGEST_WORD, STARTS, longest_word
from vol3d.shipped import about

FORMAT = 1
WEIGHTS, CONFIG = "best.safetensors", "config.json"
SEEN, STARTED_FROM = "seen", "started_from"
_KEY = "vol3d"
_LISTED = 8
_FOLD = re.compile(r"fold_?\d+")
_PICKLES = (".pt", ".pth", ".ckpt")  # resume points, and weights of other projects
# Metrics beside released weights are often NumPy's numbers; before NumPy 2 their maker had another name.
_NUMBERS: list[Any] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)),
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]


@dataclass(frozen=True)
class Loaded:
    """A model, or an ensemble, ready to predict.

    Args:
        task: built from the first checkpoint's settings; it predicts without the data set.
        models: in evaluation mode, on the device.
        info: per model, what its checkpoint says about itself.
    """

    task: CompleteTask[Any]
    models: list[nn.Module]
    info: list[dict[str, Any]]


def resolve(where: str | Path) -> list[Path]:
    """The weights files that a person means: a shipped model's name, a run's folder, a folder of folds, or a file.

    Raises:
        UsageError: none of these; proposes the nearest shipped name.
        CheckpointError: a run's resume point, or weights of another project.
    """
    path = user_path(where)
    if path.exists() and not path.is_dir():
        require_file(path, CheckpointError)
        if path.suffix in _PICKLES:
            return _refuse_pickle(path)
        _refuse_foreign(path)
        return [path]
    if path.is_dir():
        if (path / WEIGHTS).is_file():
            return [path / WEIGHTS]
        if found := _of_folds(path):
            return found
        seeds = sorted(file.parent for file in path.glob(f"seed*/{WEIGHTS}"))
        if seeds:  # no ensemble: they are there to show how far chance moves a score
            raise UsageError("runs of several seeds", where=path, do=f"Give one of them, {seeds[0]} for example.")
        _refuse_foreign(path)
        raise UsageError(f"the folder has no {WEIGHTS} and no fold*/{WEIGHTS}", where=path, do="Give a run's folder.")
    names = {name: folder / WEIGHTS for name, folder in catalog.shipped().items()}
    if str(where) in names:
        return [names[str(where)]]
    what = "no such checkpoint: neither a shipped model nor a file or folder"
    raise UsageError(what, where=where, do=catalog.model_hint(str(where)))


def _of_folds(folder: Path) -> list[Path]:
    """The weights of `fold0` ..., not those of `fold0_old`."""
    return sorted(path for path in folder.glob(f"fold*/{WEIGHTS}") if _FOLD.fullmatch(path.parent.name))


def _refuse_foreign(path: Path) -> None:
    """Raises UsageError for a model that is no checkpoint."""
    if path.suffix == ".pt2":
        do = "Take the checkpoint, or export it as .onnx."
        raise UsageError("an archive of torch.export, which other programs run", where=path, do=do)
    if (kind := foreign.kind_of(path)) is not None:
        raise UsageError(f"a {kind.title}, which predicts only", where=path, wanted="a model that vol3d trained")


def _refuse_pickle(path: Path) -> NoReturn:
    """What a person may have meant by a file that is no checkpoint of vol3d, whatever is in it."""
    if (path.parent / "config.yaml").is_file():  # a run's folder
        do = f"Give the run's folder: its {WEIGHTS} is there from the first evaluation on."
        raise CheckpointError("the point from which a run goes on, not a model", where=path, wanted=path.parent, do=do)
    do = "`vol3d import` reads weights of other projects."
    raise CheckpointError("not a vol3d checkpoint", where=path, wanted="a .safetensors file or a run's folder", do=do)


def load(where: str | Path, device: str | torch.device | None = None, changes: Sequence[str] = ()) -> Loaded:
    """The model or the ensemble behind `where` (see `resolve`).

    Args:
        device: None is the CPU.
        changes: settings in place of those that it was trained with, `key.path=value`.

    Raises:
        UsageError: `where` is nothing that could be loaded; a change is no setting.
        CheckpointError: damaged, from a later release, or of models that do not belong together.
    """
    paths = resolve(where)
    loaded = [_load_one(path, device, changes) for path in paths]
    task, _, first = loaded[0]
    for path, (other, _, info) in zip(paths, loaded, strict=True):
        if (info["task"], info["class_names"]) != (first["task"], first["class_names"]):
            got, wanted = info["class_names"], first["class_names"]
            raise CheckpointError("the models of an ensemble have other classes", where=path, got=got, wanted=wanted)
        _require_shared(task, other, path)
    return Loaded(task, [model for _, model, _ in loaded], [info for _, _, info in loaded])


def _require_shared(first: ModelTask, other: ModelTask, path: Path) -> None:
    """Raises CheckpointError where a model of an ensemble would be given what another one was trained on."""
    for name in sorted(first.shared):
        wanted, got = (one.settings.model_dump(mode="json", include={name})[name] for one in (first, other))
        if json.dumps(got) != json.dumps(wanted):  # as text: of regions the order counts
            what, do = f"the models of an ensemble have another '{name}'", "Train all folds with one recipe."
            raise CheckpointError(what, where=path, got=got, wanted=wanted, do=do)


def _load_one(
    path: Path, device: str | torch.device | None, changes: Sequence[str]
) -> tuple[CompleteTask[Any], nn.Module, dict[str, Any]]:
    tensors, info = read_checkpoint(path)
    if info["task"] not in catalog.TASKS:
        raise CheckpointError("unknown task", where=path, got=info["task"], wanted=", ".join(catalog.TASKS))
    info = _completed(path, info)
    task = task_of(path, info, info.get(SEEN), changes)
    if list(task.class_names) != info["class_names"]:
        raise CheckpointError("other classes", where=path, got=info["class_names"], wanted=list(task.class_names))
    model = task.model()
    load_strictly(model, tensors, path)
    if task.settings.train.channels_last:
        to_channels_last(model, {2})  # 3D convolutions without gradients are slower so
    return task, model.to(device or "cpu").eval(), info


def task_of(path: Path, info: Mapping[str, Any], seen: Any, changes: Sequence[str]) -> CompleteTask[Any]:
    """The task that a file of weights states, of those in the catalogue.

    Args:
        info: what the file says about itself.
        seen: what its training scans were like, as JSON, or None.
        changes: settings to change, `key=value`.

    Raises:
        CheckpointError: settings that this release does not have.
        UsageError: a change that does not fit.
    """
    task_type = catalog.load(catalog.TASKS[info["task"]])
    try:
        text = json.dumps(info["settings"])
        settings = task_type.settings_type.model_validate_json(text, strict=True, context={LATER: True})
        scans = None if seen is None else Seen.model_validate(seen)
    except ValidationError as error:
        raise CheckpointError(f"its settings do not fit this release: {error}", where=path) from error
    settings = changed(settings, changes, str(path)) if changes else settings
    return task_type(settings.model_copy(update={SEEN: scans}))


def said_by(where: str | Path) -> list[dict[str, Any]]:
    """What each file of weights behind `where` (see `resolve`) says about itself, without loading the weights."""
    return [_completed(path, read_info(path)) for path in resolve(where)]


def _completed(path: Path, info: dict[str, Any]) -> dict[str, Any]:
    """With what stands in files beside weights: their terms, and what was measured later of their training scans."""
    for key in (SEEN, TRAINED_ON):
        beside = path.with_name(f"{key}.json")
        if not info.get(key) and beside.is_file():
            info = info | {key: files.read_json(beside)}
    try:
        known = about(path.parent, info)
        recorded(info)
    except ValueError as error:  # pydantic's, too
        raise CheckpointError("damaged: its record of training scans or terms cannot be read", where=path) from error
    stated = {key: getattr(known, key) for key in TERMS}
    return info | {key: value for key, value in stated.items() if value is not None}


def save_best(
    folder: str | Path,
    model: nn.Module,
    task: ModelTask,
    evaluation: Evaluation,
    step: int,
    seen: Seen | None = None,
    history: Mapping[str, Any] | None = None,
) -> None:
    """Writes the model and what it is to `best.safetensors`, and the latter once more to `config.json`.

    Args:
        seen: what its training scans were like; None takes what the task's settings say.
        history: ready for JSON: `started_from`, the `checkpoint` whose weights the training began with, and its
            `sha256`; `derived_from`, see `vol3d.engine.derived`; `trained_on`, the scans that it has learned from.
    """
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    info = describe(task) | {
        "step": step,
        "score": float(evaluation.score) if math.isfinite(evaluation.score) else None,
        "score_name": evaluation.score_name,
    }
    seen = seen or task.resolved().seen
    info |= {} if seen is None else {SEEN: seen.model_dump(mode="json")}
    info |= {key: value for key, value in (history or {}).items() if value}
    write_checkpoint(Path(folder) / WEIGHTS, state, info)


def describe(task: ModelTask) -> dict[str, Any]:
    """What every file of weights says: format, task, resolved settings, class names, versions."""
    return {
        "format": FORMAT,
        "task": task.name,
        "settings": task.resolved().model_dump(mode="json"),
        "class_names": list(task.class_names),
        "versions": {"vol3d": vol3d.__version__, "torch": str(torch.__version__), "python": platform.python_version()},
    }


def write_checkpoint(path: Path, tensors: dict[str, Tensor], info: dict[str, Any]) -> None:
    """Writes tensors and info as one safetensors file, and the info to `config.json` beside it."""
    info = {**info, "sha256": _fingerprint(tensors, info)}
    with files.atomic(path) as temporary:
        save_file(tensors, temporary, metadata={_KEY: json.dumps(info, allow_nan=False)})
    files.write_json(path.parent / CONFIG, info)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and info of a file that `write_checkpoint` wrote.

    Raises:
        CheckpointError: cut, changed, from a later release, or bare weights without info.
    """
    info = read_info(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (OSError, safetensors.SafetensorError) as error:
        _unreadable(path, error)
    stated = {key: value for key, value in info.items() if key != "sha256"}
    if info["sha256"] != _fingerprint(tensors, stated):
        do = "Copy or train it again."
        raise CheckpointError("damaged: the SHA-256 differs from the one it was saved with", where=path, do=do)
    return tensors, info


def read_info(path: Path) -> dict[str, Any]:
    """What a file of weights says about itself, its `sha256` too; whether its tensors are whole is not looked at.

    Raises:
        CheckpointError: cut, from a later release, or bare weights without info.
    """
    require_file(path, CheckpointError)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        _unreadable(path, error)
    if _KEY not in metadata:
        do = "`vol3d.load_released` reads weights of other projects."
        raise CheckpointError("not a vol3d checkpoint: the file does not say what it is", where=path, do=do)
    try:
        info: dict[str, Any] = json.loads(metadata[_KEY])
        number, _ = info["format"], info["sha256"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError("damaged: what it says about itself cannot be read", where=path) from error
    if number != FORMAT:
        raise CheckpointError("format of another release", where=path, got=number, wanted=FORMAT, do="Update vol3d.")
    return info


def _fingerprint(tensors: dict[str, Tensor], info: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(info, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_weights(path: str | Path, allow: Sequence[type | tuple[type, str]] = ()) -> Any:
    """What a weights file holds: name -> tensor for safetensors, whatever was saved for `.pt`, `.pth`, `.ckpt`.

    No code of the file is run: pickles may hold tensors, plain values, NumPy's numbers and the types in `allow`, where
    a type with a name stands for what the file calls so.

    Raises:
        CheckpointError: missing, damaged, or a pickle that asks for anything else.
    """
    source = require_file(path, CheckpointError)
    if source.suffix != ".safetensors":
        _require_pickle(source)
    try:
        if source.suffix == ".safetensors":
            with safetensors.safe_open(source, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
        with torch.serialization.safe_globals([*_NUMBERS, *allow]):
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        do = "Weights are tensors and plain values; do not load this file with other tools either."
        what = "refused: the file asks for code to be run, or is no file of weights"
        raise CheckpointError(what, where=source, do=do) from error
    except Exception as error:  # what a damaged pickle raises has no end: IndexError, AttributeError, struct.error
        _unreadable(source, error)


def is_own(path: Path) -> bool:
    """Whether a file is a model that vol3d wrote, whole or changed since."""
    if not path.is_file():
        return False
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return _KEY in (file.metadata() or {})
    except (OSError, safetensors.SafetensorError):
        return False


def _require_pickle(path: Path) -> None:
    """Raises CheckpointError for a file that torch did not write; torch would search it in vain, and long."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        _unreadable(path, error)
    if not head.startswith(STARTS):
        what = "a web page, and no checkpoint file" if head.lstrip().startswith(b"<") else "no checkpoint file"
        raise CheckpointError(what, where=path, got=f"{head!r}", wanted="a .safetensors, .pt, .pth or .ckpt file")
    if (letters := longest_word(path)) > LONGEST_WORD:
        raise CheckpointError("damaged or no file of weights", where=path, got=f"a word of {letters} letters")


def _unreadable(path: Path, error: Exception) -> NoReturn:
    raise CheckpointError(f"damaged or no file of weights ({first_line(error)})", where=path) from error


def load_strictly(model: nn.Module, tensors: dict[str, Tensor], where: str | Path) -> None:
    """Loads all tensors into all of the model's.

    Raises:
        CheckpointError: names the missing and unexpected keys and the differing shapes.
    """
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    faults = {
        "missing": [name for name in own if name not in tensors],
        "unexpected": [name for name in tensors if name not in own],
        "other shape": [
            f"{name} {tuple(tensor.shape)} for {own[name]}"
            for name, tensor in tensors.items()
            if name in own and tuple(tensor.shape) != own[name]
        ],
    }
    told = [f"{len(names)} {kind}: {listed(names)}" for kind, names in faults.items() if names]
    if told:
        raise CheckpointError("weights of another model; " + "; ".join(told), where=where)
    model.load_state_dict(tensors)


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
