"""What all detectors in point clouds have in common as a task: scenes, classes, a person's files, boxes in files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn

from pointcloud.datasets.scenes import SceneReader, SceneSplit, names_noted, scan_keys
from pointcloud.datasets.settings import SceneSettings
from pointcloud.structures.detector import Detector
from pointcloud.structures.features import Feature, did_you_mean, point_features
from pointcloud.structures.order import canonical_faces, canonical_order
from pointcloud.tasks.precision import is_low
from pointcloud.tasks.settings import CloudSettings
from pointcloud.tasks.start_from import require_features, takes_input
from pointcloud.training.samples import CloudSamples
from vol3d.class_names import respelled, spelled_as
from vol3d.engine.common_classes import CommonClasses
from vol3d.engine.seen import Seen, Trait, ranges_of, some_of, synthetic_note
from vol3d.engine.settings import RunSettings, Settings
from vol3d.engine.task import CompleteTask, Part, Windows
from vol3d.engine.trained_on import TrainedOn
from vol3d.errors import UsageError
from vol3d.files import make_folder
from vol3d.layouts import only_scans
from vol3d.notes import MergedNotes, Note
from vol3d.prediction import Beside, BoxPrediction, Unfinished
from vol3d.recording_prediction import FramesPrediction
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.fields import usual_name
from vol3d.scans.points.find import find_point_files, points_file_stem
from vol3d.scans.points.layouts import check_names
from vol3d.scans.points.mesh import sample_surface
from vol3d.scans.points.options import ReadOptions
from vol3d.scans.points.read import points_of, read_points
from vol3d.scans.recordings.find import is_recording, recording_stem, split_recordings
from vol3d.scans.recordings.recording import Recording, open_recording
from vol3d.scans.results.detections import Detections
from vol3d.scans.source import ScanSource
from vol3d.terminal import Progress, say

D = TypeVar("D", bound=nn.Module)


class CloudTask(CompleteTask[PointCloud | Recording]):
    """Detection of objects in point clouds, whatever they are of.

    Args:
        scored: whether the scenes have labels; those of a test set have none, and an evaluation only submits.
    """

    result_suffix: ClassVar[str] = ".json"
    unrecorded: ClassVar[frozenset[str]] = frozenset({"predict.formats", "predict.calib"})

    settings_type: ClassVar[type[RunSettings]] = CloudSettings
    settings: CloudSettings
    scored = True
    traits: ClassVar[tuple[Trait, ...]]
    """What a person's file is compared with the training scenes by."""

    @cached_property
    def split(self) -> SceneSplit:
        """The data set's scenes; lists files, reads no points.

        Raises:
            UsageError: the settings name other classes than the data set, or in another order.
        """
        split, chosen = self.data.split(), self.settings.class_names
        if chosen and respelled(chosen, spelled_as(chosen, split.class_names, "class_names")) != split.class_names:
            raise UsageError(
                f"not the classes of the data set {split.name}, in its order",
                where="class_names",
                got=", ".join(chosen),
                wanted=", ".join(split.class_names),
                do="Leave class_names out to take the data set's.",
            )
        return split

    def training_split(self) -> SceneSplit:
        """The scenes to train and to validate on; what the data set had to assume is printed.

        Raises:
            DataError: listing showed an error, or a part has no scene or no box at all.
        """
        split = self.split.require().require_boxes("train").require_boxes("validation")
        for line in (*map(str, split.listing), *(f"note: {what}" for what in names_noted(split.train))):
            say(line)
        return split

    @property
    def common(self) -> CommonClasses:
        """Which of the model's classes the scenes are annotated with; all of them where it is trained."""
        return CommonClasses.of(self.class_names, self.split.class_names, self.split.name)

    def scored_scenes(self) -> tuple[SceneReader, ...]:
        """The scenes that `evaluate` goes through.

        Raises:
            DataError: listing showed an error, there is no scene, or none that is scored has a box of the classes.
        """
        split = self.split.require("validation")
        return (split.require_boxes("validation", self.common.common) if self.scored else split).validation

    def noted(self, scenes: Sequence[SceneReader], notes: Sequence[Note] = ()) -> dict[str, str]:
        """What a score must be read with: what the data set or the points did not say, and objects left out."""
        said = [*(fault.what for fault in self.split.listing), *names_noted(scenes)]
        said += map(str, MergedNotes(note for note in notes if note.assumed))
        return {"notes": "; ".join(said)} if said else {}

    def resolved(self) -> CloudSettings:
        """With the names of the classes filled in."""
        return self.settings.model_copy(update={"class_names": self.class_names})

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the labels; there is no background."""
        return self.settings.class_names or self.split.class_names

    def model(self) -> Detector[Any]:
        """The detector with fresh weights, and its loss."""
        return self.settings.model.build(self.class_names)

    def other_outputs(self, model: nn.Module, other: CloudTask) -> tuple[str, ...]:
        """The layers of the classes, if these are others."""
        spelling = spelled_as(other.class_names, self.class_names, "start_from")
        return () if respelled(other.class_names, spelling) == self.class_names else Detector.of(model).class_layers

    def adapt(self, other: CloudTask, network: nn.Module) -> tuple[Note, ...]:
        """Refuses a network that sees other features of the points."""
        if takes_input(network, self.settings.start_from):
            require_features(self.settings.model.features, other.settings.model.features)
        return ()

    def fit(self, other: CloudTask, network: nn.Module) -> tuple[Note, ...]:
        """Makes another task's network expect what the points of these scenes measure; rooms have no such scale."""
        return ()

    def shown(self, scenes: Sequence[SceneReader]) -> Sequence[SceneReader]:
        """The training scenes as the network gets them."""
        return scenes

    def in_bfloat16(self, device: torch.device) -> bool:
        """Whether networks predict in bfloat16."""
        return is_low(self.settings.predict.amp, self.settings.train.amp, device)

    def with_settings(self, settings: CloudSettings) -> CloudTask:
        """The same kind of problem with other settings."""
        return type(self)(settings)

    def for_model(self, model: nn.Module) -> CloudTask:
        """With the sizes and the classes of a detector, as released weights bring them.

        Where the data set's settings have classes, evaluations on it get the detector's, in its order.
        """
        detector: Detector[Any] = Detector.of(model)
        classes = {"class_names": detector.class_names}
        data = self.data.model_copy(update=classes if "class_names" in self.data.taken_over else {})
        known = {"model": detector.settings, "data": data, **classes}
        return self.with_settings(self.settings.model_copy(update=known))

    @abstractmethod
    def samples(self, progress: Progress | None = None, device: torch.device | None = None) -> CloudSamples:
        """The training scenes."""

    @abstractmethod
    def only_moved(self) -> CloudSettings:
        """The settings whose only distortion is a motion of the whole scene, which boxes can follow."""

    @abstractmethod
    def undistorted(self) -> CloudSettings:
        """The settings without any distortion or choice of training scenes."""

    def overfit(self, n: int) -> CloudTask:
        """The first `n` training scenes, or of fewer those and others, undistorted, to train and to validate on."""
        task, split = self.with_settings(self.undistorted()), self.split.require("labelled")
        task.split = replace(split, train=split.labelled[:n], validation=split.labelled[:n])
        return task

    def folds(self) -> int:
        """Data sets of scenes have their own split."""
        return 0

    def for_dataset(self, data: Settings, part: Part = "validation") -> CloudTask:
        """The same problem with the scenes of another data set, which has some of the classes, matched by name.

        What decides how its scenes look, such as sweeps of drives, is the training's where `data` do not set it.

        Raises:
            CheckpointError: the data set has none of the classes.
            DataError: it has no scenes to test on.
        """
        if not isinstance(data, SceneSettings):
            raise UsageError("no data set of point clouds", where="data", got=type(data).__name__)
        data = data.for_evaluation(self.data)
        data = data.for_test() if part == "test" else data
        task, split = self.with_settings(self.resolved().model_copy(update={"data": data})), data.split()
        CommonClasses.of(self.class_names, split.class_names, split.name)
        if part == "test":
            task.split, task.scored = split.only_test(), False
        else:
            chosen = {"validation": split.validation, "train": split.train, "all": split.labelled}[part]
            task.split = replace(split, validation=chosen)
        return task

    def with_submission(self, path: Path) -> CloudTask:
        """The same problem, whose evaluation also writes what the data set's benchmark takes: a file or a folder.

        Raises:
            UsageError: there is no benchmark, or a file is wanted where a folder is.
            Vol3dError: the folder cannot be made.
        """
        form = self.data.submission
        if form is None:
            raise UsageError("this data set has no benchmark to submit to", where="--submission", got=path)
        if form.ending and path.is_dir():
            wanted = f"a name ending in {form.ending}"
            raise UsageError("a folder, not a file", where="--submission", got=path, wanted=wanted)

        make_folder(path.parent if form.ending else path)
        task = self.with_settings(self.settings)
        task.split, task.submission, task.scored = self.split, path, self.scored
        return task

    def with_options(self, options: Mapping[str, Any]) -> CloudTask:
        """What `settings.predict` has: `columns`, `up`, `units` of the files, the least `score` and the `formats`."""
        predict = self.settings.predict
        known = {name: value for name, value in options.items() if name in type(predict).model_fields}
        super().with_options({name: value for name, value in options.items() if name not in known})
        if "columns" in known:
            known["columns"] = check_names(tuple(known["columns"].split(",")))
            self._check_features(known["columns"])
        if "formats" in known:
            known["formats"] = tuple(dict.fromkeys(word for word in known["formats"].split(",") if word != "json"))
        known |= {name: known[name].lower().removeprefix("+") for name in ("up", "units") if name in known}
        try:
            chosen = type(predict)(**predict.model_dump() | known)
        except ValidationError as error:
            fault = error.errors()[0]
            option = str(fault["loc"][0]).replace("formats", "format")
            raise UsageError(fault["msg"], where=f"--{option}", got=fault["input"]) from error
        return self.with_settings(self.settings.model_copy(update={"predict": chosen}))

    def _check_features(self, columns: Sequence[str]) -> None:
        """Raises UsageError if a column has almost the name of a missing feature that the detector needs."""
        known = {usual_name(name) for name in columns} | {"height"}  # heights are those of the points
        for name in self.settings.model.features:
            if name not in known and (do := did_you_mean(name, columns)):
                what = f"no column is called {name}, which the model needs"
                raise UsageError(what, where="--columns", got=",".join(columns), do=do)

    def find_inputs(self, paths: Sequence[Path]) -> list[ScanSource]:
        """Files of points and recordings, alone or in folders; of a data set's folder its scans."""
        recordings, others = split_recordings(paths)
        found = [ScanSource(path, recording_stem(path)) for path in recordings]
        clouds = [ScanSource(path, points_file_stem(path)) for path in find_point_files(others)]
        return found + only_scans(clouds, others)

    def read(self, source: ScanSource) -> PointCloud | Recording:
        """A person's file, read by the settings of `predict`, with the columns that the network needs; or a recording,
        whose clouds are read one by one."""
        choice = self.settings.predict
        if is_recording(source.path):
            if choice.columns is not None:
                raise UsageError("the clouds of a recording name their own columns", where="--columns")
            # The frame of a message says which axis is up (REP 103), unless a person does.
            options = ReadOptions(up=choice.up or "auto", units=choice.units)
            return open_recording(source.path, choice.topic, choice.every, options)
        for name, value, usual in (("--topic", choice.topic, None), ("--every", choice.every, 1)):
            if value != usual:
                raise UsageError("only a recording has topics and clouds to choose from", where=name, got=value)
        return self.prepared(
            read_points(source.path, columns=choice.columns, up=choice.up_of_files, units=choice.units)
        )

    def scan_of(self, value: Any, affine: np.ndarray | None) -> PointCloud:
        """Points (N, 3 or more) in memory, as the settings of `predict` say; or a cloud that was read.

        Raises:
            UsageError: an affine, which only volumes have.
        """
        if affine is not None:
            raise UsageError("points have no affine", where="affine", do="Give up= and units= if they are not found.")
        if isinstance(value, PointCloud):
            return self.prepared(value)
        choice = self.settings.predict
        return self.prepared(points_of(value, columns=choice.columns, up=choice.up_of_files, units=choice.units))

    @cached_property
    def known(self) -> Seen | None:
        """What is known of the scans of the training; None for weights that nobody measured it for."""
        return self.settings.seen

    def seen(self) -> Seen:
        """Measured on some of the training scenes, which are read for it."""
        return self._measured

    @cached_property
    def _measured(self) -> Seen:
        split = self.split.require("train")
        numbers = [self.numbers(reader.read().cloud) for reader in self.shown(some_of(split.train))]
        return Seen(data=split.name, synthetic=split.synthetic, ranges=ranges_of(numbers, self.traits))

    def trained_on(self, progress: Progress) -> TrainedOn:
        """The training scenes, which are read for it."""
        return TrainedOn(scans={"training": scan_keys(self.split.require("train").train, progress)})

    def scored_keys(self, progress: Progress) -> tuple[str, ...]:
        """Of the scenes that `evaluate` goes through."""
        return scan_keys(self.scored_scenes(), progress)

    @abstractmethod
    def numbers(self, cloud: PointCloud) -> dict[str, float]:
        """The numbers of a cloud that `traits` compare."""

    def writers(self, source: ScanSource) -> dict[str, Beside]:
        """Suffix -> what writes the boxes in each of `settings.predict.formats`."""
        choice = self.settings.predict
        if not choice.formats:
            return {}
        from pointcloud.evaluation.exports import SUFFIXES, writer_of  # with what KITTI's calibration needs

        return {SUFFIXES[name]: writer_of(name, source, choice.calib) for name in choice.formats}

    @property
    def sweeps(self) -> int:
        """How many sweeps of a recording make one cloud, as in training: 1, or those of the data set."""
        return 1

    @abstractmethod
    def prepared(self, cloud: PointCloud) -> PointCloud:
        """The points as the network needs them, with notes of what was changed; of a mesh points of its surface."""

    @abstractmethod
    def find(
        self, models: Sequence[nn.Module], cloud: PointCloud, device: torch.device
    ) -> tuple[Detections, PointCloud]:
        """The objects that are sure enough to be written, and the points with what was done to them in the notes."""

    def predict(
        self,
        models: Sequence[nn.Module],
        scan: PointCloud | Recording,
        device: torch.device,
        progress: Windows | None = None,
        unfinished: Unfinished | None = None,
    ) -> BoxPrediction | FramesPrediction:
        """Boxes in the coordinates of the points; a model that has never seen a real scan is noted."""
        if isinstance(scan, Recording):
            from pointcloud.inference.frames import predict_frames

            found = partial(self._predict_cloud, models, device)
            return predict_frames(scan, self.sweeps, found, progress, unfinished)
        return self._boxes(models, device, scan)

    def _predict_cloud(self, models: Sequence[nn.Module], device: torch.device, cloud: PointCloud) -> BoxPrediction:
        return self._boxes(models, device, self.prepared(cloud))

    def _boxes(self, models: Sequence[nn.Module], device: torch.device, scan: PointCloud) -> BoxPrediction:
        found, cloud = self.find(models, scan, device)
        return BoxPrediction(found, replace(cloud, notes=(*cloud.notes, *synthetic_note(self.known))))


def in_evaluation(model: D) -> D:
    """The model in evaluation mode. Setting it walks through all layers, which is not done for every scan."""
    return model.eval() if model.training else model


def surface_of(cloud: PointCloud, points: int) -> PointCloud:
    """The points themselves, or of a mesh this many points of its surface, whatever the order of its parts."""
    if cloud.faces is None:
        return cloud
    mesh = replace(cloud, faces=canonical_faces(cloud.xyz, cloud.faces))
    return sample_surface(mesh, max(points, len(cloud)), np.random.default_rng(0))


def ordered(cloud: PointCloud, features: Sequence[Feature], most: int | None = None) -> PointCloud:
    """The points in the order that follows from what a network sees of them, so that the file's decides nothing.

    Args:
        most: so many are kept: a random choice, in which a rounded coordinate changes a point and not all of them.
    """
    order = canonical_order(np.concatenate([cloud.xyz, point_features(cloud, features)], axis=1))[:most]
    columns = {name: np.take(values, order, axis=0) for name, values in cloud.columns.items()}
    return replace(cloud, xyz=np.take(cloud.xyz, order, axis=0), columns=columns)
