"""A model, or an ensemble, ready to predict: what `vol3d.load` returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vol3d.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from vol3d.engine.derived import Origin
    from vol3d.engine.predict import PredictionRow
    from vol3d.engine.task import PredictionTask
    from vol3d.notes import Note
    from vol3d.prediction import BoxPrediction, MaskPrediction
    from vol3d.recording_prediction import FramesPrediction
    from vol3d.scans.points.cloud import PointCloud
    from vol3d.scans.results.attention import AttentionMap
    from vol3d.scans.results.record import Record
    from vol3d.scans.volumes.volume import Volume
    from vol3d.terminal import Progress

    Scan = str | Path | np.ndarray | Volume | PointCloud


def no_progress(done: int, total: int, name: str) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Model:
    """A model, or an ensemble, ready to predict; `vol3d.load` makes it.

    Args:
        name: what it was loaded by.
        task: what it solves, with its settings.
        models: its networks; several are an ensemble, averaged before the decision.
        device: where they are.
        info: per network, what its checkpoint says about itself: score, versions, SHA-256.
    """

    name: str
    task: PredictionTask[Any]
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
        from vol3d.engine.derived import derived_note
        from vol3d.engine.seen import synthetic_note
        from vol3d.shipped import licence_notes

        notes = synthetic_note(self.task.settings.seen) + licence_notes(self.licence, self.data_terms)
        return notes + derived_note(self._origins)

    @property
    def licence(self) -> str | None:
        """Of the weights, where they were shipped, imported, or exported from such; of an ensemble, all that differ."""
        return self._stated("licence")

    @property
    def data_terms(self) -> str | None:
        """The data that imported weights were trained on, with its terms; of an ensemble, all that differ."""
        return self._stated("data_terms")

    @property
    def attribution(self) -> str | None:
        """Whom to credit for the weights, and how; of an ensemble, all that differ."""
        return self._stated("attribution")

    @property
    def licence_facts(self) -> dict[str, str]:
        """Licence, terms and the licensed models it derives from, as far as known: for whatever is made with it."""
        facts = {"licence": self.licence, "data_terms": self.data_terms}
        facts["derived_from"] = ", ".join(dict.fromkeys(map(str, self._origins))) or None
        return {key: text for key, text in facts.items() if text is not None}

    @property
    def _origins(self) -> list[Origin]:
        from vol3d.engine.derived import derived_from

        return [origin for one in self.info for origin in derived_from(one)]

    def _stated(self, key: str) -> str | None:
        return "; ".join(dict.fromkeys(str(one[key]) for one in self.info if one.get(key))) or None

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
        fast: bool = False,
        series: str | None = None,
        topic: str | None = None,
        every: int | None = None,
    ) -> MaskPrediction | BoxPrediction | FramesPrediction:
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
            fast: volumes in less time, of windows that overlap less and without mirrored views; noted in the result.
            series: UID, number or description of the DICOM series, of a folder with several.
            topic: of the clouds of a recording, which may have several.
            every: of a recording, one of so many clouds is predicted.

        Raises:
            UsageError: an option that this model does not have; a folder with several scans.
            DataError: the scan cannot be read, or lacks what the model needs.
        """
        from vol3d.engine.inputs import find_source
        from vol3d.scans.digest import of_scan

        asked = {"up": up, "units": units, "ground": ground, "score": score, "align": align, "mirror": mirror}
        asked |= {
            "topic": topic,
            "every": every,
            "series": series,
            "fast": fast or None,
            "columns": None if columns is None else ",".join(columns),
        }
        model = self.with_options(asked)
        task, record = model.task, model.record
        if isinstance(scan, str | Path):
            if affine is not None:
                raise UsageError("a file has an affine of its own", where="affine", do="Leave it out.")
            source = find_source(self.task, scan, series)
            record, read = of_scan(record, source), task.read(source)
        else:
            read = task.scan_of(scan, affine)
        return replace(task.predict(self.models, read, self.device), record=record)  # type: ignore[return-value]

    def attention(
        self,
        scan: Scan,
        place: Sequence[float],
        *,
        columns: Sequence[str] | None = None,
        up: str | None = None,
        units: str | None = None,
    ) -> AttentionMap:
        """Where the encoder looks from one place of a point cloud: the last layer, the mean over its heads.

        Args:
            scan, columns, up, units: as of `predict`.
            place: x y z in metres with z up, in the coordinates of the scan's boxes; the nearest encoded point looks.

        Raises:
            UsageError: a model without such an encoder, an ensemble; no three finite numbers.
            DataError: as `predict`.
        """
        import numpy as np

        from vol3d.engine.inputs import find_source

        there = np.asarray(place, np.float64)
        if there.shape != (3,) or not np.isfinite(there).all():
            raise UsageError("not a place", where="place", got=place, wanted="x, y and z in metres")
        options = {"columns": None if columns is None else ",".join(columns), "up": up, "units": units}
        task = self.with_options(options).task
        if isinstance(scan, str | Path):
            read = task.read(find_source(self.task, scan, None))
        else:
            read = task.scan_of(scan, None)
        return task.attention(self.models, read, self.device, there)

    def predict_files(
        self,
        inputs: Sequence[str | Path],
        out: str | Path,
        *,
        overwrite: bool = False,
        dicom_seg: bool = False,
        series: str | None = None,
        progress: Progress = no_progress,
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
        from vol3d.engine.inputs import find_sources
        from vol3d.engine.predict import predict_files, result_paths
        from vol3d.files import make_folder
        from vol3d.output import require_output

        folder = require_output(out)
        self.with_options({"series": series})  # raises where the model has no series
        sources = find_sources(self.task, inputs, series, folder)
        results = result_paths(sources, self.task.result_suffix, folder)
        make_folder(folder)
        return predict_files(
            self.task,
            self.models,
            results,
            self.device,
            record=self.record,
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
        return self if task is self.task else replace(self, task=task)

    @cached_property
    def record(self) -> Record:
        """What the records of all its results have in common; once, since it is asked for with each scan."""
        from vol3d.engine.predict import model_record

        return replace(model_record(self.task, self.info, self.name, self.device), terms=self.licence_facts)

    def network(self) -> nn.Module:
        """The network, or of an ensemble all of them in an `nn.ModuleList`."""
        from torch import nn

        return self.models[0] if len(self.models) == 1 else nn.ModuleList(self.models)
