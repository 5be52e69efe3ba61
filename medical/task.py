"""Segmentation as a task: data set -> windows -> network -> masks on each scan's own grid -> scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import nn

from medical.augment import Augment, AugmentSettings, CropSettings
from medical.classes import Classes
from medical.datasets.cases import Case, DataSplit
from medical.datasets.folds import DatasetSettings
from medical.datasets.pairs import read_pair, scan_key
from medical.datasets.prepared import load_prepared
from medical.datasets.regions import tumour_regions
from medical.deep_supervision import DeepSupervision, Staged
from medical.fast import fast_notes, fast_window
from medical.losses import LossSettings
from medical.matched_classes import MatchedClasses, match_classes
from medical.postprocess import PostprocessSettings, postprocess
from medical.preprocess import PreprocessSettings, with_coarser_voxels
from medical.results.options import VolumeSettings
from medical.seen import found_numbers, scan_numbers, scan_traits, truth_numbers, volume_traits
from medical.segment import segment
from medical.segmenter import Segmenter
from medical.sides import flip_notes, mirror_notes
from medical.start_from import adapt, output_layers
from medical.training_set import WindowSamples, map_prepared, prepare_in_memory
from medical.unlabelled.settings import UnlabelledSettings
from medical.volume_task import VolumeTask, warn_of
from medical.window import WindowSettings
from vol3d.class_names import respelled
from vol3d.config.chosen import FromCatalogue
from vol3d.engine.common_classes import with_all_classes
from vol3d.engine.device import pick_device
from vol3d.engine.seen import Seen, ranges_of, some_of, unlike
from vol3d.engine.settings import RunSettings, Settings
from vol3d.engine.task import CompleteTask, Evaluation, Part, Samples, WindowedProgress, Windows
from vol3d.engine.trained_on import TrainedOn
from vol3d.errors import CheckpointError, UsageError
from vol3d.notes import Note
from vol3d.prediction import MaskPrediction
from vol3d.scans.volumes.probabilities import Probabilities
from vol3d.scans.volumes.volume import Segmentation, Volume
from vol3d.terminal import Progress

if TYPE_CHECKING:
    from medical.models.unetr import Unetr
    from vol3d.view.theme import Background

MOST_MEASURED = 32  # training cases that are read once more for what a checkpoint knows of them


class SegmentationSettings(VolumeSettings, RunSettings):
    """Everything about a run; a recipe in `configs/` is one of these."""

    model: Annotated[Any, FromCatalogue("models", "segmentation")]
    data: Annotated[Any, FromCatalogue("datasets", "segmentation")]
    prepared: Path | None = Field(None, description="folder of `vol3d data prepare`; null: prepare in memory")
    preprocess: PreprocessSettings = PreprocessSettings()
    window: WindowSettings = WindowSettings()
    crop: CropSettings = CropSettings()
    augment: AugmentSettings = AugmentSettings()
    loss: LossSettings = LossSettings()
    postprocess: PostprocessSettings = PostprocessSettings()
    unlabelled: UnlabelledSettings | None = Field(None, description="scans without labels that are learned from, too")
    regions: Literal["brain_tumour"] | dict[str, tuple[str, ...]] | None = Field(
        None, description="overlapping regions to predict instead of classes; brain_tumour: WT, TC, ET by label name"
    )
    class_names: tuple[str, ...] | None = Field(None, description="background first; null: as the data set names them")
    channel_names: tuple[str, ...] | None = Field(None, description="null: as the data set names them")

    @model_validator(mode="after")
    def _something_to_learn(self) -> SegmentationSettings:
        if self.loss.dice == self.loss.cross_entropy == 0:
            raise ValueError("loss.dice and loss.cross_entropy are both 0: nothing would be learned")
        if self.unlabelled is not None and self.unlabelled.teacher is None and self.train.shard:
            raise ValueError("train.shard does not work with a mean teacher: its weights are not sharded")
        return self


class SegmentationTask(VolumeTask, CompleteTask[Volume]):
    """Segmentation of volumes."""

    name: ClassVar[str] = "segmentation"
    starts_from: ClassVar[frozenset[str]] = frozenset({"pretraining"})
    settings_type: ClassVar[type[RunSettings]] = SegmentationSettings
    shared: ClassVar[frozenset[str]] = frozenset({"preprocess", "postprocess", "regions", "channel_names"})
    settings: SegmentationSettings
    scored_on: tuple[str, ...] | None = None
    """The classes of another data set, background first, whose cases `evaluate` goes through."""

    @cached_property
    def split(self) -> DataSplit:
        """The data set's cases; lists files, opens no volume."""
        return self.data.split()

    @cached_property
    def classes(self) -> Classes:
        """What the network's outputs stand for."""
        names, regions = self.settings.class_names or self.split.class_names, self.settings.regions
        if regions == "brain_tumour":
            return Classes(names, tumour_regions(names))
        # A checkpoint has its names and its regions; only a recipe that states neither takes those of the data set.
        return Classes(names, regions if regions or self.settings.class_names else self.split.regions)

    @cached_property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the image's channels."""
        return self.settings.channel_names or self.split.channel_names

    @property
    def window(self) -> WindowSettings:
        """The windows that scans are predicted in."""
        window = self.settings.window
        return fast_window(window) if self.settings.predict.fast else window

    def resolved(self) -> SegmentationSettings:
        """With the names of classes, regions and channels filled in."""
        known = {
            "class_names": self.classes.names,
            "regions": self.classes.regions,
            "channel_names": self.channel_names,
        }
        return self.settings.model_copy(update=known)

    def recipe(self) -> SegmentationSettings:
        """With the fingerprint of the weights that label scans, where some do."""
        settings = self.resolved()
        unlabelled = settings.unlabelled
        if unlabelled is None or unlabelled.teacher is None:
            return settings
        from medical.unlabelled.pseudo_labels import fingerprint  # which needs this module

        known = unlabelled.model_copy(update={"sha256": unlabelled.sha256 or fingerprint(unlabelled.teacher)})
        return settings.model_copy(update={"unlabelled": known})

    def teachers(self) -> tuple[str, ...]:
        """The model that labels scans, where there is one."""
        unlabelled = self.settings.unlabelled
        return () if unlabelled is None or unlabelled.teacher is None else (unlabelled.teacher,)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Background first; the number of a class is its label."""
        return self.classes.names

    def model(self) -> Segmenter:
        """The network with fresh weights, and its loss."""
        settings = self.settings
        return self.holding(settings.model.build(len(self.channel_names), self.classes.outputs, settings.window.size))

    def trunk(self, model: nn.Module) -> nn.Module:
        """The network without its loss."""
        return Segmenter.network_of(model)

    def training_module(self, model: nn.Module) -> nn.Module:
        """With the loss of every stage and with scans without labels, where the settings have them trained, too."""
        settings, segmenter, network = self.settings, cast("Segmenter", model), self.trunk(model)
        deep = isinstance(network, Staged) and settings.model.deep_supervision
        trained = DeepSupervision(segmenter) if deep else segmenter
        if settings.unlabelled is None:
            return trained
        from medical.unlabelled.build import module_with_unlabelled

        return module_with_unlabelled(trained, segmenter, settings.unlabelled)

    def other_outputs(self, model: nn.Module, other: SegmentationTask) -> tuple[str, ...]:
        """The layers that depend on the number of classes or regions, if these are others."""
        if self.classes.is_alike(other.classes, "start_from"):
            return ()
        settings, channels = self.settings, len(self.channel_names)
        larger = settings.model.build(channels, self.classes.outputs + 1, settings.window.size)
        return output_layers(self.trunk(model), larger)

    def adapt(self, other: SegmentationTask, network: nn.Module) -> tuple[Note, ...]:
        """Refuses other channels and other scales; a position embedding is resampled to the window."""
        return adapt(self, other, network)

    def samples(self, progress: Progress | None = None, device: torch.device | None = None) -> Samples:
        """Windows of the training cases, prepared in memory or mapped from disk."""
        settings, cases = self.settings, self.split.require().train
        if settings.prepared is None:
            read = prepare_in_memory(cases, self.class_names, self.channel_names, settings.preprocess)
        else:
            read = map_prepared(load_prepared(settings.prepared, settings.preprocess, self.split))
        augment = Augment(settings.augment, settings.crop, settings.window.size)
        labelled = WindowSamples([case.name for case in cases], read, augment, self.classes)
        if settings.unlabelled is None:
            return labelled
        from medical.unlabelled.build import with_unlabelled

        return with_unlabelled(self, labelled, settings.unlabelled, progress, device or pick_device(None))

    def evaluate(
        self, model: nn.Module, device: torch.device, progress: Progress, pictures: Background | None = None
    ) -> Evaluation:
        """Dice, HD95 and volumes on the validation cases, each whole and on its own grid."""
        from medical.evaluate import ScoredCase, evaluate_cases  # not for prediction

        models = list(model) if isinstance(model, nn.ModuleList) else [model]
        windows = progress.windows if isinstance(progress, WindowedProgress) else None
        cases, matched, left_out, missed = self.split.require().validation, self.matched, 0, 0

        def segmented() -> Iterator[ScoredCase]:
            nonlocal left_out, missed
            for done, case in enumerate(cases):
                progress(done, len(cases), case.name)
                image, truth = read_pair(case, matched.names, self.channel_names)
                found, others = matched.relabelled(self.segment(models, image, device, windows))
                left_out += others
                missed += int(np.count_nonzero(np.isin(truth.array, matched.alone)))
                yield ScoredCase(case.name, image, truth, found)

        evaluation = evaluate_cases(segmented(), matched, self._conditions(len(models)), pictures)
        if matched.classes.is_all:
            return evaluation
        remarks = matched.classes.remarks(left_out, "voxels", missed, "voxels")
        names = respelled(self.classes.scored, matched.classes.spelling)
        return with_all_classes(evaluation, names, {}, remarks)

    @property
    def matched(self) -> MatchedClasses:
        """What is scored of the model's classes on the data set's labels."""
        return match_classes(self.classes, self.scored_on or self.class_names, self.split.name)

    def _conditions(self, models: int) -> dict[str, str]:
        """What a score must be read with."""
        settings = self.settings
        conditions = {"data": self.split.name, "models": "one" if models == 1 else f"ensemble of {models}"}
        if axes := self.window.mirror_axes:
            conditions["mirrored"] = "axes " + ", ".join("ijk"[axis] for axis in axes)
        for note in mirror_notes(self._named, settings.preprocess.orientation, axes):
            conditions["sides exchanged by mirroring"] = str(note.value)
        for note in fast_notes(settings.window, settings.predict):
            conditions[note.code.replace("-", " ")] = str(note)
        if settings.postprocess.largest_component:
            conditions["largest component kept of"] = ", ".join(settings.postprocess.largest_component)
        return conditions

    def segment(
        self,
        models: Sequence[nn.Module],
        image: Volume,
        device: torch.device,
        progress: Windows | None = None,
        probabilities: Probabilities | None = None,
    ) -> Segmentation:
        """Labels of one scan on its own grid; `probabilities` are filled."""
        settings, preprocess, coarser = self.settings, self.settings.preprocess, self.settings.predict.coarser
        if coarser != 1:
            preprocess = with_coarser_voxels(preprocess, image.grid, coarser)
        found = segment(models, image, preprocess, self.window, self.classes, device, progress, probabilities)
        return postprocess(found, settings.postprocess)

    def overfit(self, n: int) -> SegmentationTask:
        """The first `n` training cases, without distortions and unlabelled scans, to train and to validate on."""
        task = type(self)(self.settings.model_copy(update={"augment": AugmentSettings(), "unlabelled": None}))
        split = self.split.require()
        task.split = replace(split, train=split.train[:n], validation=split.train[:n])
        return task

    def folds(self) -> int:
        """Number of folds of the data set's cross-validation."""
        return self.data.fold_count()

    def for_model(self, model: nn.Module) -> SegmentationTask:
        """With the sizes of a UNETR, and the names that the recipe states, or that its data set always has.

        Raises:
            CheckpointError: the network has another number of classes or of channels.
        """
        settings, network = self.settings, cast("Unetr", model)
        known = self.data.known or ((), ())
        names, channels = settings.class_names or known[0], settings.channel_names or known[1]
        outputs = self.classes.outputs if settings.class_names else len(names)
        got, wanted = (network.out_channels, network.in_channels), (outputs, len(channels))
        if got != wanted:
            example = "--set class_names=[background,liver] --set channel_names=[CT]"
            do = f"Name the network's, in their order, and how scans were prepared: {example} --recipe FILE."
            raise CheckpointError("other numbers of classes and channels than are named", got=got, wanted=wanted, do=do)
        window = settings.window.model_copy(update={"size": network.window})
        sizes = {"model": network.settings, "window": window, "class_names": names, "channel_names": channels}
        return SegmentationTask(settings.model_copy(update=sizes))

    def holding(self, model: nn.Module) -> Segmenter:
        """A network with the loss of this task."""
        return Segmenter(model, self.settings.loss, self.classes.regions is not None)

    def with_submission(self, path: Path) -> SegmentationTask:
        """Raises UsageError: the data sets of volumes take masks, as `predict` writes them."""
        raise UsageError("this data set has no benchmark to submit to", where="--submission", got=path)

    def for_dataset(self, data: Settings, part: Part = "validation") -> SegmentationTask:
        """The same problem with the cases of another data set, which has some of the classes, matched by name.

        Raises:
            CheckpointError: the data set has none of the classes.
        """
        if not isinstance(data, DatasetSettings):
            raise UsageError("no data set of volumes", where="data", got=type(data).__name__)
        if part == "all":
            data = data.model_copy(update={"fold": "all"})  # a few new cases need not be enough for folds
        task = type(self)(self.resolved().model_copy(update={"data": data, "prepared": None}))
        split = data.split().require()
        match_classes(self.classes, split.class_names, split.name)
        chosen = {"validation": split.validation, "train": split.train, "all": split.labelled}[part]
        task.split, task.scored_on = replace(split, validation=chosen), split.class_names
        return task

    def mirrored(self, axes: str) -> SegmentationTask:
        """Averaging over views mirrored along these axes."""
        window = self.settings.window.model_copy(update={"mirror_axes": tuple(map("ijk".index, axes))})
        return SegmentationTask(self.settings.model_copy(update={"window": window}))

    def segmented(
        self, models: Sequence[nn.Module], scan: Volume, device: torch.device, progress: Windows | None = None
    ) -> MaskPrediction:
        """A mask on the scan's own grid; what the training scans were not like, before and after, is noted."""
        settings, seen = self.settings, self.settings.seen
        notes = unlike(seen, scan_numbers(scan), scan_traits(self.channel_names, seen)) if seen is not None else ()
        warn_of(scan, notes)
        notes += mirror_notes(self._named, settings.preprocess.orientation, self.window.mirror_axes)
        notes += fast_notes(settings.window, settings.predict)

        probabilities = self.room_for(scan, self.classes.output_names, self.classes.regions is None)
        found = self.segment(models, scan, device, progress, probabilities)
        scored = self.classes.scored
        notes += unlike(seen, found_numbers(found, scored), volume_traits(tuple(scored)))
        return MaskPrediction(found, replace(scan, notes=(*scan.notes, *notes)), probabilities)

    def notes(self) -> tuple[Note, ...]:
        """What a person should know before the training starts."""
        settings = self.settings
        code, augment = settings.preprocess.orientation, settings.augment
        flips = flip_notes(self._named, code, augment.flip, augment.rotate90)
        return flips + mirror_notes(self._named, code, settings.window.mirror_axes)

    @property
    def _named(self) -> tuple[str, ...]:
        """Names of classes and regions."""
        return (*self.classes.foreground, *(self.classes.regions or ()))

    def trained_on(self, progress: Progress) -> TrainedOn:
        """The training cases, which are read for it unless they were prepared; scans without labels; a teacher's."""
        settings, cases = self.settings, self.split.require().train
        prepared = {} if settings.prepared is None else load_prepared(settings.prepared).keys
        known = TrainedOn(scans={"training": _keys(cases, progress, prepared)})
        if settings.unlabelled is None:
            return known
        from medical.unlabelled.scans import trained_on_unlabelled

        return known.joined(trained_on_unlabelled(self, settings.unlabelled, progress))

    def scored_keys(self, progress: Progress) -> tuple[str, ...]:
        """Of the validation cases."""
        return _keys(self.split.require().validation, progress)

    def seen(self) -> Seen:
        """Measured on some of the training cases, which are read for it."""
        return self._measured

    @cached_property
    def _measured(self) -> Seen:
        split, scored = self.split.require(), self.classes.scored
        numbers = []
        for case in some_of(split.train, MOST_MEASURED):
            image, label = read_pair(case, self.class_names, self.channel_names)
            numbers.append(scan_numbers(image) | truth_numbers(label, scored))
        traits = scan_traits(self.channel_names) + volume_traits(tuple(scored))
        return Seen(data=split.name, ranges=ranges_of(numbers, traits))


def _keys(
    cases: Sequence[Case], progress: Progress, known: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ...]:
    """What each scan is known by; those that are not known are read."""
    keys = []
    for done, case in enumerate(cases):
        progress(done, len(cases), case.name)
        keys.append(known.get(case.name) or scan_key(case.images))
    return tuple(keys)
