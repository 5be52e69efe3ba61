"""Prediction in less time, `vol3d predict --fast`: what is left out, and what that was measured to cost.

Windows overlap less and no mirrored view is averaged. Voxels stay as long as the network learned them: on hippocampi
(docs/prediction.md) voxels of 1.25 times the length cost from 0.014 to 0.065 of Dice and those of twice the length
everything, since no network here was trained for them. `predict.coarser` asks for them all the same.
"""

from __future__ import annotations

from medical.results.options import MaskSettings
from medical.window import WindowSettings
from vol3d.notes import Note

FAST_STEP = 0.75
"""From window to window, as a share of the window; 0.5 is usual. Of a large scan's windows (0.5 / 0.75)^3 are left."""


def fast_window(window: WindowSettings) -> WindowSettings:
    """Windows that overlap by at most a quarter, without mirrored views."""
    return window.model_copy(update={"overlap": min(window.overlap, 1 - FAST_STEP), "mirror_axes": ()})


def fast_notes(usual: WindowSettings, how: MaskSettings) -> tuple[Note, ...]:
    """What a result was predicted with in place of the model's own windows and spacing.

    Args:
        usual: windows and mirrored views that the model has otherwise.
    """
    notes: tuple[Note, ...] = ()
    if how.fast:
        text = "fast: windows overlap by {overlap:.0%} in place of {usual:.0%}, 1 view in place of {views}"
        views = 2 ** len(usual.mirror_axes)
        numbers = {"overlap": fast_window(usual).overlap, "usual": usual.overlap, "views": views}
        notes += (Note("fast", text, "predict.fast", "true", numbers=numbers),)
    if how.coarser != 1:
        text = "the network saw voxels {value} times as long as those that it was trained on"
        notes += (Note("coarser-voxels", text, "predict.coarser", f"{how.coarser:g}"),)
    return notes
