"""What every data set of scenes states about itself, so that no code depends on which one it is.

A data set is a class derived from `SceneSettings` and a line in the catalogue, which also names its benchmark.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pointcloud.datasets.scenes import SceneSplit
from pointcloud.structures.sensor import Density, Sensor
from vol3d.engine.settings import Settings


@dataclass(frozen=True)
class SubmissionForm:
    """What the benchmark of a data set takes.

    Args:
        ending: of the name of the one file; empty where it is a folder of files.
    """

    ending: str = ""


class SceneSettings(Settings, ABC):
    """Base of the settings of all data sets of scenes; `name` is its line in the catalogue."""

    sensor: ClassVar[Sensor] = Sensor()
    submission: ClassVar[SubmissionForm | None] = None
    """What its benchmark takes; None where there is none to submit to."""
    taken_over: ClassVar[frozenset[str]] = frozenset()
    """Names of the settings that an evaluation takes from the training, unless they are set explicitly."""
    thinned_by: ClassVar[frozenset[str]] = frozenset()
    """Names of the settings that leave scenes out of the scores in the course of a training; an evaluation sets 1."""

    name: str
    root: Path

    @abstractmethod
    def split(self) -> SceneSplit:
        """The scenes of each part. Lists files, reads no points.

        Raises:
            DataError: no such folder, or it is not laid out like this data set.
        """

    def for_evaluation(self, trained_on: SceneSettings) -> SceneSettings:
        """These settings for a model trained on others: with what is `taken_over` of those of the same data set."""
        if trained_on.name != self.name:
            return self
        unset = self.taken_over - self.model_fields_set
        kept = {name: getattr(trained_on, name) for name in unset}
        return self.model_copy(update=kept | dict.fromkeys(self.thinned_by, 1))

    def for_test(self) -> SceneSettings:
        """These settings for the test set, where it is read otherwise than the labelled scenes."""
        return self

    @property
    def density(self) -> Density | None:
        """How many sweeps and beams a scene holds; None for a data set without sweeps."""
        return None

    def with_density(self, density: Density) -> SceneSettings:
        """The same scenes with other sweeps and beams, where `density` is not None."""
        return self.model_copy(update=density._asdict())
