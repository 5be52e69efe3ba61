"""One list of axes and of units for readers, settings and commands."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.tasks.settings import ReadSettings
from vol3d.errors import UsageError
from vol3d.scans.points.options import UNIT_METRES, Axis, LengthUnit, ReadOptions


@pytest.mark.parametrize("unit", get_args(LengthUnit))
def test_every_unit_is_a_setting(unit: LengthUnit) -> None:
    assert ReadSettings(units=unit).units == PointFolderSettings(root=Path("a"), units=unit).units == unit
    assert ReadOptions(units=unit.upper()).metres == UNIT_METRES.get(unit)


@pytest.mark.parametrize("axis", get_args(Axis))
def test_every_axis_is_a_setting(axis: Axis) -> None:
    assert ReadSettings(up=axis).up == PointFolderSettings(root=Path("a"), up=axis).up == axis
    assert ReadOptions(up=axis.upper()).axis == (None if axis == "auto" else axis)


def test_no_other_word_is_taken() -> None:
    with pytest.raises(UsageError, match="--units: no such unit; got parsec, wanted auto, m, dm, cm, mm, km, in or ft"):
        ReadOptions(units="parsec")
    with pytest.raises(UsageError, match="--up: no such axis; got w, wanted auto, -x, -y, -z, x, y, z"):
        ReadOptions(up="w")
