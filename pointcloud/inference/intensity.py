"""On which scale a file's intensities are: compared with the brightest points of the training, and brought to theirs.

Scanners write shares of 1, bytes, or 16 bits, and no format of a file decides which: a model expects what it was
trained on.
"""

from __future__ import annotations

from dataclasses import replace

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


def scaled(cloud: PointCloud, brightest: SeenRange) -> PointCloud:
    """With the intensities on the training's scale, and notes of what was changed and what remains unlike it.

    A file as bright as the training scenes is never changed.

    Args:
        brightest: from the darkest to the brightest of the training scenes, the intensity of their brightest point.
    """
    if not len(cloud):
        return cloud
    top, notes = float(cloud.columns["intensity"].max()), cloud.notes
    if brightest.low <= top <= brightest.high:
        return cloud

    own, learnt = scale_of(top), scale_of(brightest.high)
    if own is not None and learnt is not None and own != learnt:
        aim = learnt if brightest.high >= _WHOLE * learnt else brightest.high
        notes = (*notes, _scaled_note(own, top, aim))
        intensity = (cloud.columns["intensity"] * (aim / own)).astype(np.float32)
        cloud, top = replace(cloud, columns=cloud.columns | {"intensity": intensity}), top * aim / own
    if not _DIMMEST * brightest.low <= top <= _BRIGHTEST * brightest.high:
        text = "intensities reach {largest:.3g} where the model was trained on 0 to {learnt:g}: scale them in the file"
        numbers = {"largest": top, "learnt": brightest.high}
        notes = (*notes, Note("intensity-unlike-training", text, numbers=numbers))
    return replace(cloud, notes=notes)


def _scaled_note(scale: float, top: float, aim: float) -> Note:
    change, factor = ("divided", scale / aim) if scale > aim else ("multiplied", aim / scale)
    how = "were {value} by {factor:g}: the model was trained on 0 to {learnt:g}"
    text = f"intensities 0 to {{scale:g}} (the largest is {{largest:.5g}}) {how}"
    numbers = {"scale": scale, "largest": top, "factor": factor, "learnt": aim}
    return Note("intensity-scaled", text, value=change, numbers=numbers)
