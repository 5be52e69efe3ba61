"""On which scale a file's intensities are: compared with the brightest points of the training, and brought to theirs.

Scanners write shares of 1, bytes, or 16 bits, and no format of a file decides which: a model expects what it was
trained on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vol3d.engine.seen import SeenRange
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud

SCALES = (1.0, 255.0, 65535.0)
"""Largest intensities of files: shares, bytes, LAS."""
_OVER = 1.01
_WHOLE = 0.5
"""A training whose brightest point is above this share of a scale is taken to be on all of it."""
_DIMMEST, _BRIGHTEST = 0.5, 2.0
"""A file on the training's scale is a surprise beyond these multiples of the training's brightest points."""


def scale_of(top: float) -> float | None:
    """The smallest scale that holds an intensity; None for 0, negative ones and those that are larger than any."""
    return next((scale for scale in SCALES if 0 < top <= _OVER * scale), None)


class Rescaling(NamedTuple):
    """What intensities are multiplied by, and the note that says so."""

    factor: float
    note: Note


def rescaling(top: float, brightest: SeenRange) -> Rescaling | None:
    """What brings intensities up to `top` to the scale of the training; None where they are on it, or on none.

    Args:
        brightest: from the darkest to the brightest of the training scenes, the intensity of their brightest point.
    """
    own, learnt = scale_of(top), scale_of(brightest.high)
    if brightest.low <= top <= brightest.high or own is None or learnt is None or own == learnt:
        return None
    aim = learnt if brightest.high >= _WHOLE * learnt else brightest.high
    change, factor = ("divided", own / aim) if own > aim else ("multiplied", aim / own)
    how = "were {value} by {factor:g}: the model was trained on 0 to {learnt:g}"
    text = f"intensities 0 to {{scale:g}} (the largest is {{largest:.5g}}) {how}"
    numbers = {"scale": own, "largest": top, "factor": factor, "learnt": aim}
    return Rescaling(aim / own, Note("intensity-scaled", text, value=change, numbers=numbers))


def brightened(cloud: PointCloud, factor: float) -> PointCloud:
    """With the intensities multiplied."""
    intensity = (cloud.columns["intensity"] * factor).astype(np.float32)
    return replace(cloud, columns=cloud.columns | {"intensity": intensity})


def scaled(cloud: PointCloud, brightest: SeenRange) -> PointCloud:
    """With the intensities on the training's scale, and notes of what was changed and what remains unlike it.

    A file as bright as the training scenes is never changed.

    Args:
        brightest: as of `rescaling`.
    """
    if not len(cloud):
        return cloud
    top, notes = float(cloud.columns["intensity"].max()), cloud.notes
    if (change := rescaling(top, brightest)) is not None:
        cloud, top, notes = brightened(cloud, change.factor), top * change.factor, (*notes, change.note)
    if not _DIMMEST * brightest.low <= top <= _BRIGHTEST * brightest.high:
        text = "intensities reach {largest:.3g} where the model was trained on 0 to {learnt:g}: scale them in the file"
        numbers = {"largest": top, "learnt": brightest.high}
        notes = (*notes, Note("intensity-unlike-training", text, numbers=numbers))
    elif (lowest := float(cloud.columns["intensity"].min())) < 0:
        text = "intensities go down to {lowest:.3g} where the model was trained on 0 and above: shift them in the file"
        notes = (*notes, Note("intensity-negative", text, numbers={"lowest": lowest}))
    return replace(cloud, notes=notes)
