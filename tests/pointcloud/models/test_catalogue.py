"""A detector of the catalogue cannot pass the common test by being absent from it."""

from __future__ import annotations

import pytest

from pointcloud.structures.detector import LidarDetectorSettings, RoomDetectorSettings
from tests.pointcloud.models import small_lidar
from vol3d.catalog import MODELS, load

SETTINGS_OF = {"lidar": LidarDetectorSettings, "detection": RoomDetectorSettings}
DETECTORS = [name for name, entry in MODELS.items() if entry.task in SETTINGS_OF]


def test_every_lidar_detector_has_a_small_version() -> None:
    small = {settings.name for settings in small_lidar.MODELS.values()}
    assert small == {name for name, entry in MODELS.items() if entry.task == "lidar"}


@pytest.mark.parametrize("name", DETECTORS)
def test_the_settings_of_a_detector_are_those_that_its_task_takes(name: str) -> None:
    entry = MODELS[name]
    settings = load(entry.target)
    assert issubclass(settings, SETTINGS_OF[entry.task]) and settings.model_fields["name"].default == name
