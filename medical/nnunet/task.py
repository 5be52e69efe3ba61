"""A model of nnU-Net as a task: a person's scans in, masks on their own grids out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import nn

from medical.fast import fast_notes, fast_window
from medical.nnunet.folder import FINAL
from medical.nnunet.predict import Stage, segment
from medical.results.options import MaskSettings, VolumeSettings
from medical.seen import no_hounsfield_units
from medical.sides import mirror_notes
from medical.volume_task import VolumeTask, warn_of
from vol3d.engine.settings import PredictionSettings
from vol3d.engine.task import Windows
from vol3d.errors import UsageError
from vol3d.notes import Note
from vol3d.prediction import MaskPrediction
from vol3d.scans.volumes.grid import orientation, reorient, reorient_to
from vol3d.scans.volumes.orientation import turned_view
from vol3d.scans.volumes.volume import Segmentation, Volume

AS_STORED = "file"


class NnunetSettings(VolumeSettings):
    """What a person may choose about a model; the rest is in its plans."""

    folds: tuple[int | Literal["all"], ...] | None = Field(None, description="null: all that are there")
    checkpoint: str = Field(FINAL, description="name of the file of weights in each fold")
    previous: Path | None = Field(None, description="model folder of a cascade's previous stage; null: found beside it")
    mirror: str | None = Field(None, description="axes of the scan, some of ijk; null: those that it was trained with")
    step: float = Field(0.5, gt=0, le=1, description="from window to window, as a share of the window")
    gaussian: bool = Field(True, description="voxels in the middle of a window weigh more")
    orientation: str | None = Field(
        None, description="where i, j, k are turned to, as in RAS; file: as stored; null: as the plan's reader does it"
    )

    @field_validator("orientation")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        axes = [next((axis for axis in ("RL", "AP", "SI") if code in axis), code) for code in value or ""]
        if value not in (None, AS_STORED) and sorted(axes) != ["AP", "RL", "SI"]:
            raise ValueError(f"orientation must be 'file', or three of R/L, A/P, S/I such as 'RAS', got '{value}'")
        return value


@dataclass(frozen=True)
class Cascade:
    """The stages of a model in their order, and what all results of it must be read with.

    Args:
        stages: one, or two where the second one sees what the first one found.
        channels: names of the image's channels.
        notes: what was assumed about the model.
        turn: where i, j, k of a scan are turned to; None as they are stored.
    """

    stages: tuple[Stage, ...]
    channels: tuple[str, ...]
    notes: tuple[Note, ...]
    turn: str | None


class NnunetTask(VolumeTask):
    """Segmentation by a model that nnU-Net trained."""

    name: ClassVar[str] = "nnU-Net"
    settings_type: ClassVar[type[PredictionSettings]] = NnunetSettings
    settings: NnunetSettings

    def __init__(self, settings: NnunetSettings, cascade: Cascade) -> None:
        super().__init__(settings)
        self.cascade = cascade

    @property
    def class_names(self) -> tuple[str, ...]:
        """By label, background first."""
        return self.cascade.stages[-1].labels.names

    @property
    def channel_names(self) -> tuple[str, ...]:
        """As the model's `dataset.json` has them."""
        return self.cascade.channels

    def mirrored(self, axes: str) -> NnunetTask:
        """Averaging over views mirrored along these axes, of those that it was trained with."""
        stages = tuple(replace(stage, mirror=_network_axes(axes, stage)) for stage in self.cascade.stages)
        return NnunetTask(self.settings.model_copy(update={"mirror": axes}), replace(self.cascade, stages=stages))

    def segmented(
        self, models: Sequence[nn.Module], scan: Volume, device: torch.device, progress: Windows | None = None
    ) -> MaskPrediction:
        """A mask on the scan's own grid. `models` are the networks of the last stage."""
        cascade = self.cascade
        image = scan if cascade.turn is None else reorient(scan, cascade.turn)
        labels: np.ndarray | None = None
        unusual = self._unlike_ct(scan)
        stages = tuple(hurried(stage, self.settings.predict) for stage in cascade.stages)
        last = stages[-1]
        probabilities = self.room_for(scan, last.labels.regions or last.labels.names, last.labels.regions is None)
        for stage in stages:
            shares = None
            if probabilities is not None and stage is last:
                shares = turned_view(probabilities.array, orientation(scan.affine), orientation(image.affine))
            labels, more = segment(stage, image, device, labels, progress, shares)
            unusual += more
        assert labels is not None

        found = Volume(labels[None], image.grid)
        if image is not scan:
            found = reorient_to(found, scan.grid)
        notes = (*scan.notes, *cascade.notes, *self._notes(orientation(image.affine), last))
        regions = dict(zip(last.labels.regions or (), last.labels.members, strict=True))
        mask = Segmentation(found.array[0], scan.grid, self.class_names, scan.source, unusual, regions=regions)
        return MaskPrediction(mask, replace(scan, notes=notes), probabilities)

    def _unlike_ct(self, scan: Volume) -> tuple[Note, ...]:
        schemes = enumerate(self.cascade.stages[-1].plans.schemes)
        notes = no_hounsfield_units(scan, {n: self.channel_names[n] for n, one in schemes if one == "CTNormalization"})
        warn_of(scan, notes)
        return notes

    def _notes(self, code: str, stage: Stage) -> tuple[Note, ...]:
        """How the network saw the axes of this scan."""
        if self.cascade.turn is None:
            text = (
                "the network saw the axes in the order of the file, {value}, as nnU-Net does; if its training scans "
                "were stored otherwise, override with orientation=RAS"
            )
            seen = Note("orientation-as-stored", text, "orientation", code, assumed=True)
        else:
            text = "the network saw the axes turned to {value}"
            seen = Note("orientation-turned", text, "orientation", code)
        mirrored = mirror_notes((*self.class_names, *(stage.labels.regions or ())), code, scan_axes(stage))
        return (seen, *mirrored, *fast_notes(self.cascade.stages[-1].window, self.settings.predict))


def hurried(stage: Stage, how: MaskSettings) -> Stage:
    """The stage with windows and voxels as `predict.fast` and `predict.coarser` have them."""
    if how.fast:
        stage = replace(stage, step=1 - fast_window(stage.window).overlap, mirror=())
    first, second, third = stage.plans.spacing_mm
    edges = (None if first is None else how.coarser * first, how.coarser * second, how.coarser * third)
    return replace(stage, plans=replace(stage.plans, spacing_mm=edges))


def scan_axes(stage: Stage) -> tuple[int, ...]:
    """The mirrored axes of a stage as axes i, j, k of the scan."""
    transpose = stage.plans.transpose
    return tuple(sorted(2 - transpose[axis + stage.plans.is_2d] for axis in stage.mirror))


def _network_axes(axes: str, stage: Stage) -> tuple[int, ...]:
    """Axes i, j, k of the scan as those of a stage's network. Raises UsageError where it has no mirrored axis there."""
    plans = stage.plans
    found = tuple(sorted(plans.transpose.index(2 - "ijk".index(axis)) - plans.is_2d for axis in axes))
    if not set(found) <= set(stage.allowed):
        allowed = "".join("ijk"[axis] for axis in scan_axes(replace(stage, mirror=stage.allowed)))
        wanted = f"none, or some of {allowed}" if allowed else "none"
        raise UsageError("the model was not trained on mirrored views", where="--mirror", got=axes, wanted=wanted)
    return found
