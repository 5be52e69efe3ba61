"""Intensities on the scale of the training: measured, never a format's name."""

from __future__ import annotations

import numpy as np
import pytest

from pointcloud.inference.intensity import rescaling, scaled
from vol3d.engine.seen import SeenRange
from vol3d.scans.points.cloud import PointCloud

BYTES, SHARES = SeenRange(low=180, high=255), SeenRange(low=0.7, high=0.99)
PERCENT, DIM = SeenRange(low=80, high=100), SeenRange(low=0.6, high=240)


def cloud(*values: float) -> PointCloud:
    column = np.array(values, np.float32)
    return PointCloud(np.zeros((len(column), 3), np.float32), {"intensity": column})


@pytest.mark.parametrize(
    ("brightest", "top"),
    [(BYTES, 255), (BYTES, 181), (BYTES, 100), (SHARES, 0.99), (SHARES, 0.4), (PERCENT, 90), (DIM, 0.8), (DIM, 255)],
)
def test_files_like_those_of_the_training_are_never_rescaled(brightest: SeenRange, top: float) -> None:
    got = scaled(cloud(0, top), brightest)
    assert got.columns["intensity"].tolist() == np.float32([0, top]).tolist() and got.notes == ()


@pytest.mark.parametrize(
    ("brightest", "top", "factor"),
    [
        (BYTES, 0.9, 255),
        (BYTES, 40_000, 1 / 257),
        (SHARES, 255, 1 / 255),
        (SHARES, 40_000, 1 / 65535),
        (PERCENT, 1, 100),
        (DIM, 0.3, 255),
    ],
)
def test_another_scale_is_brought_to_the_training_and_noted(brightest: SeenRange, top: float, factor: float) -> None:
    got = scaled(cloud(0, top), brightest)
    assert got.columns["intensity"][1] == pytest.approx(top * factor, rel=1e-6)
    note = got.notes[0]
    assert note.code == "intensity-scaled" and note.numbers["largest"] == pytest.approx(top)
    assert got.columns["intensity"].dtype == np.float32


@pytest.mark.parametrize(("brightest", "top"), [(BYTES, 20), (PERCENT, 255), (BYTES, 0), (SHARES, 1e6), (BYTES, -3)])
def test_what_shows_no_scale_stays_and_is_noted_with_both_numbers(brightest: SeenRange, top: float) -> None:
    got = scaled(cloud(top, top), brightest)
    assert got.columns["intensity"].tolist() == [top, top]
    (note,) = got.notes
    assert note.code == "intensity-unlike-training"
    assert note.numbers == {"largest": top, "learnt": brightest.high}


def test_no_points_have_no_scale() -> None:
    assert scaled(cloud(), BYTES).notes == () and rescaling(0.0, BYTES) is None


def test_negative_intensities_among_usual_ones_are_noted() -> None:
    (note,) = scaled(cloud(-1500, 200), BYTES).notes
    assert note.code == "intensity-negative" and note.numbers == {"lowest": -1500}
