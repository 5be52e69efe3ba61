"""Two views of one sample: what the student may see, and what only its teacher sees (privileged information).

A sample is read and distorted once, as densely as the teacher needs it; the student's view leaves points out. So the
boxes of both are the same to the millimetre, whatever the distortions drew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypedDict

import numpy as np
from pydantic import Field
from torch import Tensor

from pointcloud.structures.features import WIDTH, Feature
from pointcloud.structures.sensor import Density
from pointcloud.structures.similarity import Similarity
from vol3d.engine.settings import Settings
from vol3d.engine.task import Batch, Samples
from vol3d.errors import UsageError

XYZ = 3


class SeenSettings(Settings):
    """What the teacher is shown; null: as much as the student, as its `data` set it."""

    sweeps: int | None = Field(None, ge=1, le=100, description="taken together")
    every_beam: int | None = Field(None, ge=1, description="beams of the scanner: 1 all, 2 every second ...")


@dataclass(frozen=True)
class View:
    """What one network is given of a sample's cloud.

    Args:
        columns: of the cloud, in the network's order.
        sweeps: this many of the newest, distinguished by the seconds in column `time`; None: all.
        every_beam: those of which the number in column `ring` is a multiple of this; None: all.
    """

    columns: tuple[int, ...]
    sweeps: int | None = None
    every_beam: int | None = None
    time: int = -1
    ring: int = -1

    def __call__(self, cloud: Tensor) -> Tensor:
        """The points (n, 3 + c) of a cloud (N, 3 + C), in their order."""
        if self.sweeps is not None:
            moments = cloud[:, self.time].unique()  # seconds before the keyframe, ascending
            if len(moments) > self.sweeps:
                cloud = cloud[cloud[:, self.time] < moments[self.sweeps]]
        if self.every_beam is not None:
            cloud = cloud[cloud[:, self.ring] % self.every_beam == 0]
        return cloud if self.columns == tuple(range(cloud.shape[1])) else cloud[:, list(self.columns)]


class DataSettings(Protocol):
    """What is asked of the settings of a data set."""

    @property
    def name(self) -> str:
        """Its line in the catalogue."""
        ...

    @property
    def density(self) -> Density | None:
        """Sweeps and beams of a scene; None for a data set without sweeps."""
        ...

    def with_density(self, density: Density) -> DataSettings:
        """The same scenes with other sweeps and beams."""
        ...


@dataclass(frozen=True)
class Views:
    """How samples are read, and what of them each network is given.

    Args:
        features: of the samples.
        data: settings of the data set, as the teacher sees it.
        student, teacher: the views.
    """

    features: tuple[Feature, ...]
    data: DataSettings
    student: View
    teacher: View


def plan_views(data: DataSettings, student: Sequence[Feature], teacher: Sequence[Feature], sees: SeenSettings) -> Views:
    """Both networks' views of samples that have whatever either of them needs.

    Args:
        data: settings of the student's data set.
        student, teacher: features that the networks take.
        sees: what the teacher is shown.

    Raises:
        UsageError: a data set without sweeps and beams, a teacher that would see less than the student.
    """
    features: list[Feature] = list(dict.fromkeys([*student, *teacher]))
    if sees == SeenSettings():
        return Views(tuple(features), data, View(_columns(features, student)), View(_columns(features, teacher)))
    own, dense = _densities(data, sees)
    fewer_sweeps, fewer_beams = dense.sweeps > own.sweeps, dense.every_beam < own.every_beam
    if fewer_sweeps and "time" not in features:
        features.append("time")
    if fewer_beams and "ring" not in features:
        features.append("ring")
    thinned = View(
        _columns(features, student),
        own.sweeps if fewer_sweeps else None,
        own.every_beam if fewer_beams else None,
        _columns(features, ["time"])[-1] if fewer_sweeps else -1,
        _columns(features, ["ring"])[-1] if fewer_beams else -1,
    )
    return Views(tuple(features), data.with_density(dense), thinned, View(_columns(features, teacher)))


def _densities(data: DataSettings, sees: SeenSettings) -> tuple[Density, Density]:
    """What the student sees of a scene, and what its teacher does."""
    where, own = "distill.teacher_sees", data.density
    if own is None:
        raise UsageError("only drives have sweeps and beams", where=where, got=data.name)
    dense = Density(sees.sweeps or own.sweeps, sees.every_beam or own.every_beam)
    if dense.sweeps < own.sweeps or own.every_beam % dense.every_beam:
        got = f"{dense.sweeps} sweeps, one beam in {dense.every_beam}"
        wanted = f"all that the student sees, {own.sweeps} sweeps and one beam in {own.every_beam}"
        raise UsageError("the teacher would see less than the student", where=where, got=got, wanted=wanted)
    return own, dense


def _columns(of: Sequence[Feature], wanted: Sequence[Feature]) -> tuple[int, ...]:
    """Columns of the place and of the wanted features in clouds with the features `of`."""
    ends = np.cumsum([XYZ, *(WIDTH[name] for name in of)]).tolist()
    spans = {name: range(start, end) for name, start, end in zip(of, ends, ends[1:], strict=False)}
    return (*range(XYZ), *(column for name in wanted for column in spans[name]))


class PlainSamples(Protocol):
    """What is asked of the samples of a task; `plain` is the cloud of a sample's scene as it lies."""

    def __len__(self) -> int: ...
    def name(self, index: int) -> str: ...
    def sample(self, index: int, rng: np.random.Generator) -> Any: ...
    def plain(self, index: int) -> Tensor: ...
    def collate(self, samples: Sequence[Any]) -> Batch: ...


class Known(Protocol):
    """What is asked of a cache."""

    def knows(self, name: str) -> bool: ...


class TwoClouds(TypedDict):
    """The inputs of a batch.

    student: clouds that the student sees.
    teacher: clouds that the teacher sees; with a cache those of scenes that are not in it, undistorted, else None.
    names: of the scenes.
    motions: what has moved the student's clouds and the boxes since they were read.
    """

    student: list[Tensor]
    teacher: Sequence[Tensor | None]
    names: Sequence[str]
    motions: Sequence[Similarity]


class TwoViews(Samples):
    """Samples of which each batch has the clouds twice, see `TwoClouds`.

    Args:
        samples: with all columns, read as densely as the teacher needs it.
        views: what becomes of them.
        kept: the teacher's cached outputs, of scenes as they lie; None: it sees every sample as the student does.
    """

    def __init__(self, samples: PlainSamples, views: Views, kept: Known | None = None) -> None:
        self.samples, self.views, self.kept = samples, views, kept

    def __len__(self) -> int:
        return len(self.samples)

    def name(self, index: int) -> str:
        """The scene of sample `index`."""
        return self.samples.name(index)

    def sample(self, index: int, rng: np.random.Generator) -> tuple[Any, Tensor | None]:
        """Sample `index` with all columns, distorted with draws of `rng`; and as it lies, if the cache needs it."""
        ask = self.kept is not None and not self.kept.knows(self.name(index))
        return self.samples.sample(index, rng), self.samples.plain(index) if ask else None

    def collate(self, samples: Sequence[tuple[Any, Tensor | None]]) -> Batch:
        """Samples -> batch."""
        batch = self.samples.collate([sample for sample, _ in samples])
        clouds: list[Tensor] = batch.inputs
        inputs: TwoClouds = {
            "student": [self.views.student(cloud) for cloud in clouds],
            "teacher": [None if plain is None else self.views.teacher(plain) for _, plain in samples],
            "names": batch.ids,
            "motions": [sample.motion for sample, _ in samples],
        }
        if self.kept is None:
            same = self.views.student == self.views.teacher
            inputs["teacher"] = inputs["student"] if same else [self.views.teacher(cloud) for cloud in clouds]
        return replace(batch, inputs=inputs)
