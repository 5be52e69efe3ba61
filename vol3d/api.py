"""The Python front door: load, predict, train, evaluate. The command line is one of its users.

Nothing here prints; what goes wrong raises one of `vol3d.errors`. Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vol3d import catalog
from vol3d.errors import UsageError
from vol3d.examples import generate as generate
from vol3d.examples import samples as samples
from vol3d.model import Model, no_progress
from vol3d.released.readers import RELEASED

if TYPE_CHECKING:
    from torch import nn

    from vol3d.comparison.result import Comparison
    from vol3d.engine.task import Evaluation
    from vol3d.scans.points.cloud import PointCloud
    from vol3d.scans.results.detections import Detections
    from vol3d.scans.volumes.volume import Volume
    from vol3d.terminal import Progress
    from vol3d.view.theme import Background


def load(name: str | Path, device: str = "auto", settings: Mapping[str, Any] | Sequence[str] = ()) -> Model:
    """A model by name or path.

    Args:
        name: a shipped model (`vol3d.models()`), a run's folder, a folder of folds (an ensemble), a weights file, or
            a model folder of another toolbox (`vol3d.foreign`), or an ONNX file of `export`.
        device: `cpu`, `cuda`, `cuda:1`; `auto` takes CUDA where there is some.
        settings: in place of those that it has, `{"model.head.nms_iou": 0.2}`.

    Raises:
        UsageError: nothing is called so; the message proposes the nearest name.
        CheckpointError: damaged, from a later release, or models that do not belong together.
    """
    from vol3d import checkpoint, foreign
    from vol3d.engine.device import pick_device

    chosen = pick_device(device)
    if (kind := foreign.kind_of(name)) is not None:
        return foreign.load(kind, name, chosen, _words(settings))
    loaded = checkpoint.load(name, chosen, _words(settings))
    return Model(str(name), loaded.task, tuple(loaded.models), chosen, tuple(loaded.info))


def _words(settings: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """Settings as the words `key.path=value` of the command line; a value stays of the type that it has."""
    import json

    if not isinstance(settings, Mapping):
        return list(settings)
    return [f"{key}={json.dumps(value, default=_as_json)}" for key, value in settings.items()]


def _as_json(value: Any) -> Any:
    """NumPy's numbers as Python's, a path as text."""
    return value.item() if hasattr(value, "item") else str(value)


@dataclass(frozen=True)
class Run:
    """A training that has ended.

    Args:
        folder: holds the weights, the report, the metrics; `load`, `evaluate` and the command line take it.
        evaluation: of the best weights on the validation split.
    """

    folder: Path
    evaluation: Evaluation

    @property
    def score(self) -> float:
        """The number that ranks checkpoints, higher is better."""
        return self.evaluation.score

    @property
    def report(self) -> Path:
        """The page with scores, curves and pictures."""
        return self.folder / "report.html"

    def load(self, device: str = "auto") -> Model:
        """The trained model."""
        return load(self.folder, device)


def train(
    recipe: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    hours: float | None = None,
    settings: Mapping[str, Any] | Sequence[str] = (),
    device: str = "auto",
    overfit: int | None = None,
    verbose: bool = False,
) -> Run:
    """Trains a recipe in the folder `out`, evaluates it and writes the report; the same call again resumes.

    Args:
        recipe: a shipped recipe (`vol3d.recipes()`) or a YAML file.
        data: folder of the data set.
        epochs, batch, lr, seed: the settings used most.
        hours: how long it may train on this machine, in place of `epochs`.
        settings: any others, `{"model.depth": 6}`.
        overfit: train and evaluate on this many cases, to see that the model can learn at all.
        verbose: print progress on stderr.

    Raises:
        UsageError: no such recipe or setting.
        Stopped: SIGTERM or Ctrl-C; the state is saved.
        Vol3dError: the data, the folder or the numbers are at fault.
    """
    from vol3d import terminal
    from vol3d.config import load_task
    from vol3d.engine.loop import train as fit
    from vol3d.output import require_output
    from vol3d.words import SHORT

    folder = require_output(out)
    given = {"data": data, "epochs": epochs, "batch": batch, "lr": lr, "seed": seed, "time": hours}
    short = {SHORT[name]: value for name, value in given.items() if value is not None}
    task = load_task(recipe, [*_words(settings), *_words(short)])
    with terminal.speaking(verbose):
        return Run(folder, fit(task, folder, device=None if device == "auto" else device, overfit=overfit))


def evaluate(
    model: Model | Run | str | Path,
    data: str | Path,
    *,
    dataset: str | None = None,
    fold: int | None = None,
    split: Literal["validation", "train", "all", "test"] | None = None,
    out: str | Path | None = None,
    submission: str | Path | None = None,
    background: Background = "dark",
    device: str = "auto",
    data_settings: Sequence[str] = (),
    progress: Progress = no_progress,
) -> Evaluation:
    """The data set's official metrics of a model.

    Args:
        model: what `load` returned or takes, or a `Run`.
        data: folder of the data set.
        dataset: how it is laid out (`msd`, `nuscenes` ...); None is as the data that the model was trained on.
        fold: score the validation cases of this fold.
        split: which labelled cases. None is validation with `fold`, on the data that the model was trained on, or where
            the data set itself names validation cases; else all. `test` writes the submission and scores nothing.
        out: write evaluation, cases, pictures and report into this folder.
        submission: also write what the data set's benchmark takes; of the test set that alone.
        background: of the pictures; `light` for print and slides.
        data_settings: of the data set that is scored, `["up=y", "units=mm"]`.
        progress: called before each case, `progress(done, total, name)`.

    Raises:
        UsageError: no such model or data set, or options that do not go together.
        CheckpointError: the data set has none of the model's classes.
    """
    from vol3d.engine.score import score
    from vol3d.output import require_output
    from vol3d.paths import user_path
    from vol3d.view.theme import require_background

    written = None if submission is None else require_output(submission, user_path(submission).is_dir())
    folder = None if out is None else require_output(out)
    if isinstance(model, Run):
        model = model.folder
    ready = model if isinstance(model, Model) else load(model, device)
    shade = require_background(background)
    return score(ready, user_path(data), dataset, fold, split, folder, written, progress, data_settings, shade)


def score(
    predicted: str | Path,
    truth: str | Path,
    *,
    classes: str | Path | None = None,
    tolerance_mm: float = 1.0,
    lesion_iou: float = 0.1,
    out: str | Path | None = None,
    background: Background = "dark",
    progress: Progress = no_progress,
) -> Evaluation:
    """Masks that anybody made against the truth: Dice, HD95, NSD, volumes, and lesions as connected components.

    What cannot be scored (grids that differ, a damaged file, a name that only one side has) is in the summary under
    `not_scored` with its reason, and the other cases are scored.

    Args:
        predicted, truth: two folders, whose masks are paired by name, or two files; NIfTI, NRRD, MetaImage, DICOM-SEG.
        classes: JSON of a data set with names of the classes, regions and the number to ignore. None takes a
            `dataset.json` in or beside the folders, else the names in the masks, else each number as a class.
        tolerance_mm: how far apart surfaces may be for NSD.
        lesion_iou: least intersection over union of a detected lesion.
        out: write evaluation, cases, pictures and report into this folder.
        background: of the pictures; `light` for print and slides.
        progress: called before each case, `progress(done, total, name)`.

    Raises:
        UsageError: no such path, or options that mean nothing.
        DataError: a JSON that is none, or no case that can be scored.
    """
    from vol3d.engine import results
    from vol3d.files import make_folder
    from vol3d.output import require_output
    from vol3d.paths import user_path
    from vol3d.view.theme import require_background

    folder = None if out is None else require_output(out)
    if folder is not None:
        results.require_own(folder)
    document = None if classes is None else user_path(classes)
    paths = user_path(predicted), user_path(truth)
    pictures = None if folder is None else require_background(background)
    score_masks = catalog.load(catalog.SCORE_MASKS)
    evaluation: Evaluation = score_masks(*paths, document, tolerance_mm, lesion_iou, pictures, progress)
    if folder is not None:
        results.write(make_folder(folder), evaluation, step=0)
    return evaluation


def compare(a: str | Path, b: str | Path) -> Comparison:
    """Whether two evaluations of the same cases differ, or two trainings by more than their seeds do.

    Two folders of seeds (`vol3d train --seeds N`) are paired seed by seed: paired t-test and interval, and the number
    of seeds that could tell. Anything else is paired case by case: Wilcoxon's signed-rank test, and a bootstrap
    interval of the mean difference, per metric and class.

    Args:
        a, b: a run's folder, what `evaluate`, `score` or `train` with folds wrote, an `evaluation.json` or a
            `cases.csv`; or two folders of seeds.

    Raises:
        UsageError: no scores there, or scored on other cases or another truth.
        DataError: damaged.
    """
    from vol3d.comparison.compare import compare as compare_scores
    from vol3d.paths import user_path

    return compare_scores(user_path(a), user_path(b))


def export(
    model: Model | Run | str | Path,
    out: str | Path,
    *,
    scans: Sequence[str | Path] = (),
    data: str | Path | None = None,
    precision: Literal["float32", "half", "int8"] = "float32",
    overwrite: bool = False,
    stage: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """A model as one file for other programs: ONNX, which `load` takes too, or a `.pt2` archive of torch.export.

    The file states classes, preparation and window in its metadata, and how far its network is from the original.

    Args:
        model: what `load` returned or takes, or a `Run`; one network, no ensemble.
        out: a name in `.onnx` or `.pt2`.
        scans: files on which the results of both are compared too.
        data: a data set on which both are scored too.
        precision: of the ONNX graph; `int8` quantises matrix products.
        overwrite: replace a file that is there.
        stage: called with what is done next, in a few words.

    Returns:
        What was exported how, `inputs`, `outputs`, `dynamic`, `precision`, and under `differences` for random numbers
        and each scan the `largest` difference of an output beside the `largest_output`, and what became of the result.

    Raises:
        UsageError: a network that cannot be exported, a name of another ending, a file that is there already.
        Vol3dError: the extra `onnx` is not installed.
    """
    from vol3d.exported.export import export as write
    from vol3d.output import require_new_file

    do = "Choose another name, or overwrite it."
    target = require_new_file(out, overwrite, what="the file is there already", do=do)
    if isinstance(model, Run):
        model = model.folder
    ready = model if isinstance(model, Model) else load(model, "cpu")
    return write(ready, target, scans, None if data is None else Path(data).expanduser(), precision, stage)


def read(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    up: str = "auto",
    units: str = "auto",
    series: str | None = None,
) -> Volume | PointCloud | Detections:
    """A scan or a result: volumes in RAS millimetres, points in metres with z up, boxes.

    Args:
        path: NIfTI, NRRD, MHA, a DICOM folder or archive; PLY, PCD, NumPy, BIN, text, LAS; JSON with boxes.
        columns, up, units: of files of points that do not say it.
        series: UID, number or description of the DICOM series, of a folder with several.

    Raises:
        UsageError: the file does not exist, or is none of these.
        DataError: damaged, or of another kind than its name says.
    """
    from vol3d.paths import user_path
    from vol3d.scans import read_detections, read_points, read_volume
    from vol3d.view.load.read import kind_of

    file = user_path(path)
    kind = kind_of(file)
    if kind == "volume":
        return read_volume(file, series=series)
    if series is not None:
        raise UsageError("only DICOM has series to choose from", where=file, got=series)
    if kind == "boxes":
        return read_detections(file)
    return read_points(file, columns=None if columns is None else tuple(columns), up=up, units=units)


def models() -> list[str]:
    """Names of the models whose weights come with the package; `load` takes them."""
    return list(catalog.shipped())


def recipes() -> list[str]:
    """Names of the shipped recipes; `train` takes them."""
    from vol3d.config import recipes as shipped

    return list(shipped())


def load_released(
    name: str,
    path: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    download: bool = False,
    mirror: str | Path | None = None,
) -> nn.Module:
    """A model with the weights that the paper's authors or a common toolbox released, giving the original's numbers.

    The file is read without running code of it and strictly: every tensor is used, or known to be unused and ignored.

    Args:
        name: which model, `unetr`; `vol3d models` lists them.
        path: the released file; None takes the published one, from the cache (`VOL3D_CACHE`) or a mirror.
        settings: what the file does not say, such as the window of a UNETR that was not trained on cubes.
        download: whether a file that is not there may be fetched. Its licence is in `docs/released.md`.
        mirror: in place of the official address, a folder that holds the file, or an address.

    Raises:
        UsageError: no such name; the file is not there and must not, or cannot, be fetched.
        DataError: the download failed.
        CheckpointError: the file is damaged or not the published one, or a tensor is missing, unknown or of a wrong
            shape.
    """
    from vol3d.errors import CheckpointError
    from vol3d.files import require_file
    from vol3d.released.store import fetch
    from vol3d.released.table import identify

    entry = catalog.find(name, RELEASED, "released model")
    if path is None:
        file = fetch(name, mirror, (lambda offer: True) if download else None)
    else:
        file = require_file(path, CheckpointError)
    published = identify(file)
    if published is not None and published.name != name:
        do = f"Import it by that name: `vol3d import {published.name} {file} -o OUT`."
        raise CheckpointError(f"not weights of {name}", where=file, got=f"the published {published.name}", do=do)
    known = {} if published is None else published.settings
    return catalog.load(entry.target)(name, file, {**known, **(settings or {})})
