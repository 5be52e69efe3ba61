"""The Python front door: load, predict, train, evaluate. The command line is one of its users.

Nothing here prints; what goes wrong raises one of `vol3d.errors`. Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vol3d import catalog
from vol3d.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from vol3d.engine.predict import PredictionRow
    from vol3d.engine.task import CompleteTask, Evaluation
    from vol3d.notes import Note
    from vol3d.prediction import BoxPrediction, MaskPrediction
    from vol3d.scans.points.cloud import PointCloud
    from vol3d.scans.results.detections import Detections
    from vol3d.scans.results.record import Record
    from vol3d.scans.source import ScanSource
    from vol3d.scans.volumes.volume import Volume
    from vol3d.terminal import Progress

    Scan = str | Path | np.ndarray | Volume | PointCloud

SETTING_OF = {
    "data": "data.root",
    "epochs": "train.epochs",
    "batch": "train.batch",
    "seed": "train.seed",
    "lr": "optim.lr",
}
"""Short words of `train`, and the settings that they stand for."""


def _ignored(done: int, total: int, name: str) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Model:
    """A model, or an ensemble, ready to predict; `vol3d.load` makes it.

    Args:
        name: what it was loaded by.
        task: what it solves, with the settings that it was trained with.
        models: its networks; several are an ensemble, averaged before the decision.
        device: where they are.
        info: per network, what its checkpoint says about itself: score, versions, SHA-256.
    """

    name: str
    task: CompleteTask[Any]
    models: tuple[nn.Module, ...]
    device: torch.device
    info: tuple[dict[str, Any], ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; those of volumes begin with the background."""
        return self.task.class_names

    @property
    def notes(self) -> tuple[Note, ...]:
        """What every result must be read with, whatever the scan: that the model never saw a real one, for example."""
        from vol3d.engine.seen import synthetic_note

        return synthetic_note(self.task.settings.seen)

    def predict(
        self,
        scan: Scan,
        *,
        affine: np.ndarray | None = None,
        columns: Sequence[str] | None = None,
        up: str | None = None,
        units: str | None = None,
        ground: float | Literal["auto"] | None = None,
        score: float | None = None,
        align: bool | None = None,
        mirror: str | None = None,
        series: str | None = None,
    ) -> MaskPrediction | BoxPrediction:
        """What the model finds in one scan.

        Args:
            scan: a file, a DICOM folder or archive, an array, or what `vol3d.read` returned. Arrays: voxels (i, j, k)
                or (channels, i, j, k) with their `affine`; points (N, 3 or more) with their `columns`. They are
                checked, scaled and turned as files are, with the same notes.
            affine: (4, 4), voxel index -> RAS millimetres, of an array of voxels.
            columns: of points without names of their own, `["x", "y", "z", "intensity"]`; `_` leaves one out.
            up: the axis of the points that is up, `z` or `-y`; found if it is not given.
            units: of the points, `m`, `mm`, `ft` ...; found if it is not given.
            ground: of a sweep, the height in metres at which its points have the ground, or `auto` to find it; the
                model sees it at the height that it was trained with. Boxes stay in the frame of the points.
            score: boxes of a lower score are left out.
            align: whether a room is turned so that its walls lie along the axes.
            mirror: axes that predictions of volumes are averaged over, some of `ijk`, or `none`.
            series: UID, number or description of the DICOM series, of a folder with several.

        Raises:
            UsageError: an option that this model does not have; a folder with several scans.
            DataError: the scan cannot be read, or lacks what the model needs.
        """
        from vol3d.scans.digest import of_scan

        asked = {"up": up, "units": units, "ground": ground, "score": score, "align": align, "mirror": mirror}
        asked |= {"series": series, "columns": None if columns is None else ",".join(columns)}
        model = self.with_options(asked)
        task, source = model.task, _source(self.task, scan, affine, series)
        record = model._record()
        if source is not None:
            record = of_scan(record, source)
        read = task.scan_of(scan, affine) if source is None else task.read(source)
        return replace(task.predict(self.models, read, self.device), record=record)  # type: ignore[return-value]

    def predict_files(
        self,
        inputs: Sequence[str | Path],
        out: str | Path,
        *,
        overwrite: bool = False,
        dicom_seg: bool = False,
        series: str | None = None,
        progress: Progress = _ignored,
        each: Callable[[PredictionRow], None] = lambda row: None,
    ) -> list[PredictionRow]:
        """Predicts files, folders and patterns into the folder `out`; one bad scan never stops the rest.

        Args:
            overwrite: predict again what is there already.
            dicom_seg: also write DICOM-SEG beside the mask of each DICOM series.
            series: UID, number or description of the DICOM series to predict; all of a folder without it.
            progress: called before each scan, `progress(done, total, name)`.
            each: called after each scan with its row.

        Raises:
            UsageError: an input that does not exist, no scan among them, a result that would replace an input.
            Vol3dError: `out` cannot be made.
        """
        from vol3d.engine.predict import predict_files, result_paths
        from vol3d.files import make_folder
        from vol3d.output import require_output
        from vol3d.scans.paths import matching

        folder = require_output(out)
        self.with_options({"series": series})  # raises where the model has no series
        found = [source for source in self.task.find_inputs(matching(inputs)) if not _is_result_in(folder, source.path)]
        results = result_paths(_of_series(found, series), self.task.result_suffix, folder)
        make_folder(folder)
        return predict_files(
            self.task,
            self.models,
            results,
            self.device,
            record=self._record(),
            overwrite=overwrite,
            dicom_seg=dicom_seg,
            progress=progress,
            each=each,
        )

    def with_options(self, options: Mapping[str, Any]) -> Model:
        """The same model with options of `predict` set for good; None leaves one as it is.

        Raises:
            UsageError: an option that this model does not have, or a value that is none.
        """
        given = {name: value for name, value in options.items() if value is not None}
        task: Any = self.task.with_options(given) if given else self.task
        return Model(self.name, task, self.models, self.device, self.info)

    def _record(self) -> Record:
        """What the records of all its results have in common."""
        from vol3d.engine.predict import model_record

        return model_record(self.task, self.info, self.name, str(self.device))

    def network(self) -> nn.Module:
        """The network, or of an ensemble all of them in an `nn.ModuleList`."""
        from torch import nn

        return self.models[0] if len(self.models) == 1 else nn.ModuleList(self.models)


def _of_series(sources: list[ScanSource], series: str | None) -> list[ScanSource]:
    from vol3d.scans.find import with_series

    return sources if series is None else with_series(sources, series)


def _source(task: CompleteTask[Any], scan: Scan, affine: np.ndarray | None, series: str | None) -> ScanSource | None:
    """The one scan that a path means; None for a scan in memory."""
    from vol3d.scans.paths import matching

    if not isinstance(scan, str | Path):
        return None
    if affine is not None:
        raise UsageError("a file has an affine of its own", where="affine", do="Leave it out.")
    sources = _of_series(task.find_inputs(matching([scan])), series)
    if len(sources) != 1:
        do = "Give one of them, name a DICOM series, or use predict_files."
        raise UsageError("several scans", where=scan, got=", ".join(map(str, sources[:5])), do=do)
    return sources[0]


def _is_result_in(out: Path, path: Path) -> bool:
    """Whether an input is a mask of an earlier run into the same folder: a pattern of the shell may match it."""
    from vol3d.scans.results.own import is_own

    return out.resolve() in path.resolve().parents and is_own(path)


def load(name: str | Path, device: str = "auto", settings: Mapping[str, Any] | Sequence[str] = ()) -> Model:
    """A model by name or path.

    Args:
        name: a shipped model (`vol3d.models()`), a run's folder, a folder of folds (an ensemble), a weights file.
        device: `cpu`, `cuda`, `cuda:1`; `auto` takes CUDA where there is some.
        settings: in place of those that it was trained with, `{"model.head.nms_iou": 0.2}`.

    Raises:
        UsageError: nothing is called so; the message proposes the nearest name.
        CheckpointError: damaged, from a later release, or models that do not belong together.
    """
    from vol3d import checkpoint
    from vol3d.engine.device import pick_device

    chosen = pick_device(device)
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

    folder = require_output(out)
    given = {"data": data, "epochs": epochs, "batch": batch, "lr": lr, "seed": seed}
    short = {SETTING_OF[name]: value for name, value in given.items() if value is not None}
    task = load_task(recipe, [*_words(settings), *_words(short)])
    with terminal.speaking(verbose):
        return Run(folder, fit(task, folder, device=None if device == "auto" else device, overfit=overfit))


def evaluate(
    model: Model | Run | str | Path,
    data: str | Path,
    *,
    dataset: str | None = None,
    fold: int | None = None,
    split: Literal["validation", "train", "all"] | None = None,
    out: str | Path | None = None,
    submission: str | Path | None = None,
    device: str = "auto",
    progress: Progress = _ignored,
) -> Evaluation:
    """The data set's official metrics of a model.

    Args:
        model: what `load` returned or takes, or a `Run`.
        data: folder of the data set.
        dataset: how it is laid out (`msd`, `nuscenes` ...); None is as the data that the model was trained on.
        fold: score the validation cases of this fold.
        split: which labelled cases. None is validation with `fold`, on the data that the model was trained on, or where
            the data set itself names validation cases; else all.
        out: write evaluation, cases, pictures and report into this folder.
        submission: also write what the data set's benchmark takes.
        progress: called before each case, `progress(done, total, name)`.

    Raises:
        UsageError: no such model or data set, or options that do not go together.
        CheckpointError: the data set has other classes than the model.
    """
    from vol3d.engine.score import score
    from vol3d.output import require_output
    from vol3d.paths import user_path

    written = None if submission is None else require_output(submission, user_path(submission).is_dir())
    folder = None if out is None else require_output(out)
    if isinstance(model, Run):
        model = model.folder
    ready = model if isinstance(model, Model) else load(model, device)
    return score(ready, user_path(data), dataset, fold, split, folder, written, progress)


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


def load_released(name: str, path: str | Path, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """A model with the weights that the paper's authors or a common toolbox released, giving the original's numbers.

    The file is read without running code of it and strictly: every tensor is used, or known to be unused and ignored.

    Args:
        name: which model, `unetr`; `vol3d models` lists them.
        path: the released file.
        settings: what the file does not say, such as the window of a UNETR that was not trained on cubes.

    Raises:
        UsageError: no such name.
        CheckpointError: the file is damaged, or a tensor is missing, unknown or of a wrong shape.
    """
    from vol3d.errors import CheckpointError
    from vol3d.files import require_file

    entry = catalog.find(name, catalog.RELEASED, "released model")
    return catalog.load(entry.target)(name, require_file(path, CheckpointError), settings)
