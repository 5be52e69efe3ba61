"""A detector of the catalogue cannot pass the common test by being absent from it."""

from __future__ import annotations

from tests.pointcloud.models import small_lidar
from vol3d.catalog import MODELS


def test_every_lidar_detector_has_a_small_version() -> None:
    small = {settings.name for settings in small_lidar.MODELS.values()}
    assert small == {name for name, entry in MODELS.items() if entry.task == "lidar"}
