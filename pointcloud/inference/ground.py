"""Where the ground lies in a sweep: found in the points, compared with the training's, and shifted to it if asked.

A detector of streets learns heights above a ground that was at one height in all its training. In a file whose frame
begins elsewhere it sees every object at a height where it never saw one, and in one of a scanner that hangs upside down
no object at all.
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from typing import Literal, NamedTuple

import numpy as np

from vol3d.engine.seen import SeenRange
from vol3d.errors import DataError, UsageError
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud

GroundChoice = float | Literal["auto"] | None
"""None leaves the points where they are, `auto` shifts the ground that is found, a height in metres the one stated."""

REACH_M, CELL_M = 15.0, 0.5
BAND_MM, FLAT_MM = 600, 150
"""The ground's heights lie within the band; a cell of it is flatter than the other, what stands on it has height."""
MIN_CELLS, MIN_SHARE = 20, 0.2
UPSIDE_DOWN = 0.25
"""Of what lies clearly above or below the ground, a smaller share is above it only if the cloud is upside down."""
TOLERANCE_M = 0.4
"""How far from the training's the ground may lie: a load in the car, a slope, a kerb."""


class Ground(NamedTuple):
    """The ground of a sweep.

    Args:
        height_m: its z.
        above: which share of what lies clearly above or below it lies above it.
    """

    height_m: float
    above: float

    @property
    def is_below(self) -> bool:
        """Whether things stand on it; else they hang from it, and the cloud is upside down."""
        return self.above >= UPSIDE_DOWN


def find_ground(xyz: np.ndarray) -> Ground | None:
    """The height at which most cells of the surroundings are flat; None where no height stands out.

    Cells are squares of 0.5 m within 15 m of the origin. Neither up nor down is preferred, so that the ground of a
    cloud that is upside down is found, too. Heights are compared in whole millimetres, so that a sweep that lies higher
    has its ground higher by just as much: rounding moves no cell into or out of the band.

    Args:
        xyz: (N, 3) metres, in any order.
    """
    around = np.flatnonzero(np.hypot(xyz[:, 0], xyz[:, 1]) < REACH_M)
    near = np.take(xyz, around, axis=0).astype(np.float64)
    if not len(near):
        return None
    near[:, 2] = np.rint(1000 * near[:, 2])
    low, high = _cells(near)
    middles = np.sort((low + high)[high - low < FLAT_MM] / 2)
    if len(middles) < MIN_CELLS:
        return None

    # The densest band of heights: for each cell, how many of those above it lie within the band.
    inside = np.searchsorted(middles, middles + BAND_MM, side="right") - np.arange(len(middles))
    first = int(inside.argmax())
    if inside[first] < MIN_SHARE * len(middles):
        return None
    height = float(np.median(middles[first : first + inside[first]]))
    above, below = int((near[:, 2] > height + BAND_MM).sum()), int((near[:, 2] < height - BAND_MM).sum())
    return Ground(height / 1000, above / (above + below) if above + below else 1.0)


def _cells(xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest z of each cell that holds a point."""
    half = int(REACH_M / CELL_M)
    column, row = np.floor(xyz[:, :2].T / CELL_M).astype(np.int64) + half
    owner = column * 2 * half + row
    low, high = np.full((2 * half) ** 2, np.inf), np.full((2 * half) ** 2, -np.inf)
    np.minimum.at(low, owner, xyz[:, 2])
    np.maximum.at(high, owner, xyz[:, 2])
    held = low < np.inf
    return low[held], high[held]


def ground_notes(xyz: np.ndarray, trained: SeenRange) -> tuple[Note, ...]:
    """A note if the ground is not where it was in training, is above everything, or is not to be seen.

    Args:
        xyz: (N, 3) metres, as the network gets them.
        trained: heights of the ground in training, metres.
    """
    found, learnt = find_ground(xyz), {"low": trained.low, "high": trained.high}
    at = "the model was trained with the ground at {low:.2f} to {high:.2f} m"
    if found is None:
        text = f"no ground was found within {{reach:g}} m of the origin, and {at}: its height could not be checked"
        return (Note("ground-not-found", text, "ground", numbers={"reach": REACH_M, **learnt}),)
    numbers = {"found": found.height_m, **learnt}
    if not found.is_below:
        share = "{percent:.0f} % of all else lies below it"
        text = f"the ground was found at {{found:.2f}} m and {share}: the scan seems to be upside down (--up -z); {at}"
        return (Note("upside-down", text, "up", "-z", numbers=numbers | {"percent": 100 * (1 - found.above)}),)
    if trained.low - TOLERANCE_M <= found.height_m <= trained.high + TOLERANCE_M:
        return ()
    text = f"the ground was found at {{found:.2f}} m and {at}: expect little; --ground auto shifts the points"
    return (Note("ground-unlike-training", text, "ground", numbers=numbers),)


def choice_of(value: str | float) -> float | Literal["auto"]:
    """What a person gives as the option: `auto`, or a finite height in metres.

    Raises:
        UsageError: neither.
    """
    try:
        height = value if value == "auto" else float(value)
    except (TypeError, ValueError):
        height = np.nan
    if height == "auto" or np.isfinite(height):
        return height  # type: ignore[return-value]
    raise UsageError("no height of the ground", where="--ground", got=value, wanted="auto, or metres as in -1.7")


def ground_shift(cloud: PointCloud, choice: GroundChoice, trained: SeenRange | None) -> float:
    """By how many metres the points must rise for their ground to lie where it was in training; 0 without a choice.

    Raises:
        UsageError: where the ground was in training is not known.
        DataError: it is to be found, and is not there or above everything.
    """
    if choice is None:
        return 0.0
    if trained is None:
        do = "Leave it out, or use a model that was trained with this release."
        raise UsageError("where the ground was in this model's training is not known", where="--ground", do=do)
    aim = (trained.low + trained.high) / 2
    if choice != "auto":
        return aim - (choice - float(cloud.origin[2]))
    found = find_ground(cloud.xyz)
    if found is None:
        near = int((np.hypot(cloud.xyz[:, 0], cloud.xyz[:, 1]) < REACH_M).sum())
        got = f"{near:,} of {len(cloud):,} points within {REACH_M:g} m of the scanner, and no flat ground there"
        do = "Check the unit and the axes (--units, --up), or state its height in metres, as in `--ground -1.7`."
        raise DataError("no ground was found to shift the points by", where=cloud.source, got=got, do=do)
    refuse_upside_down(found, cloud.source, "Give `--up -z` as well.")
    return aim - found.height_m


def refuse_upside_down(ground: Ground, where: str | PathLike[str] | None, do: str) -> None:
    """Raises DataError if the ground that was found is above the other points."""
    if not ground.is_below:
        got = f"the ground at {ground.height_m:.2f} m, above the other points"
        raise DataError("the points seem to be upside down", where=where, got=got, do=do)


def raised(cloud: PointCloud, shift_m: float) -> PointCloud:
    """The points higher by `shift_m` metres."""
    return replace(cloud, xyz=cloud.xyz + np.array([0, 0, shift_m], np.float32)) if shift_m else cloud


def shift_note(shift_m: float, trained: SeenRange, choice: float | Literal["auto"]) -> Note:
    """That and how the points were shifted."""
    aim = (trained.low + trained.high) / 2
    how = "found" if choice == "auto" else "stated"
    text = "the ground, {value} at {found:.2f} m, was shifted to {trained:.2f} m, where the model was trained with it"
    return Note("ground-shifted", text, "ground", how, numbers={"found": aim - shift_m, "trained": aim})
