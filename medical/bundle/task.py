"""A MONAI bundle as a model: `vol3d.load(FOLDER)` and `vol3d predict FOLDER scan -o out`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from medical.bundle import predict as inference
from medical.bundle.document import Document, read_bundle
from medical.bundle.metadata import format_of
from medical.bundle.naming import channel_names, class_names, foreground_bits, output_names
from medical.bundle.network import Planewise, build_network, load_weights
from medical.bundle.workflow import Workflow, read_workflow
from medical.fast import fast_notes, fast_window
from medical.results.options import VolumeSettings
from medical.seen import no_hounsfield_units
from medical.segment import with_less_memory
from medical.sides import mirror_notes
from medical.volume_task import VolumeTask, warn_of
from medical.window import WindowSettings
from vol3d.config import changed
from vol3d.engine.settings import PredictionSettings
from vol3d.engine.task import Windows
from vol3d.errors import CheckpointError, DataError, UsageError
from vol3d.files import sha256
from vol3d.model import Model
from vol3d.notes import Note
from vol3d.prediction import MaskPrediction
from vol3d.scans.volumes.grid import orientation
from vol3d.scans.volumes.probabilities import Probabilities
from vol3d.scans.volumes.volume import Segmentation, Volume


class BundleSettings(VolumeSettings):
    """What a person may change about a bundle."""

    config: str = Field("inference", description="which configuration in `configs/` is run")
    entries: dict[str, Any] = Field({}, description="id of an entry of the configuration -> value in its place")
    mirror_axes: tuple[Literal[0, 1, 2], ...] = Field((), description="of the network's grid, to average over")


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle whose files were read.

    Args:
        channels: names of the scan's channels.
        classes: names of the labels, background first.
        outputs: names of the network's outputs.
        bits: of outputs that may overlap, those that are no background; each is a bit of the label.
        notes: what was assumed, whatever the scan.
        is_ct: whether its metadata say that scans are CT.
    """

    workflow: Workflow
    channels: tuple[str, ...]
    classes: tuple[str, ...]
    outputs: tuple[str, ...]
    bits: tuple[int, ...]
    notes: tuple[Note, ...]
    is_ct: bool = False


class BundleTask(VolumeTask):
    """Segmentation by a bundle's inference workflow."""

    name: ClassVar[str] = "MONAI bundle"
    settings_type: ClassVar[type[PredictionSettings]] = BundleSettings
    settings: BundleSettings

    def __init__(self, settings: BundleSettings, bundle: Bundle) -> None:
        super().__init__(settings)
        self.bundle = bundle
        self.windowless = all(edge is None for edge in bundle.workflow.inferer.size)
        if settings.predict.coarser != 1:
            raise UsageError("a bundle's voxels are those of its configuration", where="predict.coarser")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Background first; the number of a class is its label."""
        return self.bundle.classes

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the image's channels."""
        return self.bundle.channels

    def mirrored(self, axes: str) -> BundleTask:
        """The same task, averaging over views mirrored along these axes of the network's grid."""
        chosen = {"mirror_axes": tuple(map("ijk".index, axes))}
        return BundleTask(self.settings.model_copy(update=chosen), self.bundle)

    def segmented(
        self, models: Sequence[nn.Module], scan: Volume, device: torch.device, progress: Windows | None = None
    ) -> MaskPrediction:
        """A mask on the scan's own grid."""
        workflow = self.bundle.workflow
        probabilities = self._probabilities(scan)
        shares = None if probabilities is None else probabilities.array
        ready = inference.prepare(workflow, scan)
        window = inference.window_settings(workflow, ready.image.shape[1:], device)
        window = window.model_copy(update={"mirror_axes": self.settings.mirror_axes})
        how = self.settings.predict
        usual, window = window, fast_window(window) if how.fast else window
        notes = self.bundle.notes
        notes += mirror_notes(self.class_names, "".join(orientation(ready.affine)), window.mirror_axes)
        notes += no_hounsfield_units(scan, dict(enumerate(self.channel_names)) if self.bundle.is_ct else {})
        warn_of(scan, notes)
        notes += fast_notes(usual, how)

        def attempt(
            where: torch.device, how: WindowSettings, short: tuple[Note, ...]
        ) -> tuple[Tensor, tuple[Note, ...], tuple[Note, ...]]:
            return *inference.predict(workflow, models, scan, ready, how, where, progress, shares), short

        labels, found, short = with_less_memory(attempt, device, window, scan)
        mask = self._mask(labels, scan)
        segmentation = Segmentation(mask, scan.grid, self.class_names, scan.source, short, regions=self._regions())
        return MaskPrediction(segmentation, replace(scan, notes=(*scan.notes, *notes, *found)), probabilities)

    def _probabilities(self, scan: Volume) -> Probabilities | None:
        """Room for them, where they are asked for. Raises UsageError where the bundle gives none on the scan's grid."""
        if not self.settings.predict.wants_probabilities:
            return None
        post = self.bundle.workflow.postprocessing
        if reason := post.no_probabilities():
            do = "Leave out --probabilities and --entropy."
            raise UsageError(f"no probabilities: the bundle {reason}", where="--format", do=do)
        names = self.class_names if post.kind == "classes" else self.bundle.outputs
        return self.room_for(scan, names, post.kind == "classes")

    def _regions(self) -> dict[str, tuple[int, ...]]:
        """Of outputs that overlap: each one's name -> the combinations that it is part of."""
        if self.bundle.workflow.postprocessing.kind != "bits":
            return {}
        labels, names = range(len(self.class_names)), self.bundle.outputs
        return {
            names[output]: tuple(label for label in labels if label >> bit & 1)
            for bit, output in enumerate(self.bundle.bits)
        }

    def _mask(self, labels: Tensor, scan: Volume) -> np.ndarray:
        """Labels (channels, i, j, k) as one number a voxel."""
        values = labels.numpy()
        if self.bundle.workflow.postprocessing.kind == "bits":
            mask = np.zeros(values.shape[1:], dtype=np.uint8)
            for bit, output in enumerate(self.bundle.bits):
                mask |= (values[output] > 0).astype(np.uint8) << np.uint8(bit)
        elif len(values) == 1:
            mask = values[0].astype(np.uint8 if len(self.class_names) <= 256 else np.uint16)
        else:
            raise CheckpointError("the bundle's result is no mask of labels", got=f"{len(values)} channels", wanted=1)
        if int(mask.max(initial=0)) >= len(self.class_names):
            wanted = f"below {len(self.class_names)}"
            raise DataError("a label outside of the classes", where=scan.source, got=int(mask.max()), wanted=wanted)
        return mask


def load(folder: Path, device: torch.device, changes: Sequence[str]) -> Model:
    """A bundle, ready to predict; see `vol3d.foreign.Load`.

    Raises:
        UsageError: a change that is no setting, or replaces an entry that is not there.
        CheckpointError: damaged, incomplete, code of its own, or asks for what is not known.
    """
    defaults = BundleSettings()
    settings = changed(defaults, changes, str(folder)) if changes else defaults
    document = read_bundle(folder, settings.config, settings.entries)
    workflow = read_workflow(document)
    network, notes = build_network(workflow.network)
    load_weights(network, workflow.weights, workflow.key)
    if workflow.inferer.plane is not None:
        network = Planewise(network, workflow.inferer.plane)
    task = BundleTask(settings, _described(document, workflow, notes))
    info = {"sha256": _digest(document, workflow), "settings": defaults.model_dump(mode="json")}
    return Model(str(folder), task, (network.to(device).eval(),), device, (info,))


def _described(document: Document, workflow: Workflow, notes: tuple[Note, ...]) -> Bundle:
    outputs, said = workflow.outputs, document.metadata
    channels, assumed = channel_names(said, workflow.preprocessing.loaded, workflow.inputs)
    classes, numbered = class_names(said, workflow.postprocessing, outputs)
    bits = foreground_bits(said, outputs) if workflow.postprocessing.kind == "bits" else ()
    named, _ = output_names(said, workflow.postprocessing, outputs)
    is_ct = str(format_of(said, "inputs", "image").get("modality")).strip().upper() == "CT"
    return Bundle(workflow, channels, classes, named, bits, (*workflow.notes, *notes, *assumed, *numbered), is_ct)


def _digest(document: Document, workflow: Workflow) -> str:
    """SHA-256 of what decides about a result: the weights, the configuration and the names of the classes."""
    files = [
        workflow.weights,
        *sorted(document.file.parent.glob("*.json")),
        *sorted(document.file.parent.glob("*.y*ml")),
    ]
    return hashlib.sha256(" ".join(sha256(file) for file in files).encode()).hexdigest()
