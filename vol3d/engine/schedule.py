"""Learning rate as a function of the step, and of nothing else: a resumed run needs no scheduler state."""

from __future__ import annotations

import math

from vol3d.engine.settings import OptimSettings


def learning_rate(step: int, total: int, settings: OptimSettings) -> float:
    """The rate of step `step` (0-based) of `total`.

    All schedules rise over the share `warmup` of the steps: linearly, but `one_cycle` along a cosine from a 25th of the
    peak (Smith & Topin 2019, as torch's OneCycleLR). Then they fall to `final`: along a cosine (`warmup_cosine`,
    `one_cycle`), along the later part of a cosine that spans the whole run (`whole_cosine`, 3DETR's code), as
    (1 - t)^0.9 (`poly`, nnU-Net) or not at all (`constant`).
    """
    rising = round(settings.warmup * total)
    if step < rising:
        t = (step + 1) / (rising + 1)
        return settings.lr * (_cosine(1 / 25, 1.0, t) if settings.schedule == "one_cycle" else t)
    t = (step - rising) / (total - rising)  # below 1: no step is taken at a rate of 0
    if settings.schedule == "constant":
        return settings.lr
    if settings.schedule == "poly":
        return settings.lr * (settings.final + (1 - settings.final) * (1 - t) ** 0.9)
    if settings.schedule == "whole_cosine":
        t = step / total
    return settings.lr * _cosine(1.0, settings.final, t)


def _cosine(start: float, end: float, t: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2
