"""Colours of points by attention, own colour, class, intensity or height, alike in picture, window and page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vol3d.scans.results.palette import DISTINCT, class_colours
from vol3d.view.scene import PointLayer, Source
from vol3d.view.theme import DARK, Theme

_ENDS = (1.0, 99.0)  # percentiles that get the first and the last colour


def point_colours(layer: PointLayer, source: Source | None = None, theme: Theme = DARK) -> np.ndarray:
    """(N, 3) uint8 colour of each point.

    Args:
        source: what to colour by; None, and what the layer lacks: the first of `layer.sources()`.
        theme: of the background; `layer.flat` is already as it bears it.
    """
    if source is None or source not in layer.sources():
        source = layer.sources()[0]
    if source == "attention" and layer.attention is not None:
        return ramp(layer.attention, theme.intensities)
    if source == "rgb" and layer.rgb is not None:
        return theme.own_colours(layer.rgb)
    if source == "class" and layer.classes is not None:
        classes = map(theme.shown, class_colours(("points",), DISTINCT).values())
        table = hex_table((theme.unlabelled, *classes))
        return table[np.where(layer.classes > 0, (layer.classes - 1) % DISTINCT + 1, 0)]
    if source == "intensity" and layer.intensity is not None:
        return ramp(layer.intensity, theme.intensities)
    if source == "height":
        return ramp(layer.xyz[:, 2], theme.heights)
    return np.broadcast_to(hex_table((layer.flat,)), (len(layer.xyz), 3))


def ramp(values: np.ndarray, colours: Sequence[str], ends: tuple[float, float] | None = None) -> np.ndarray:
    """(N, 3) uint8: `colours` along `values` (N,); without `ends`, from their 1st to their 99th percentile."""
    low, high = ends or value_range(values)
    table = hex_table(colours).astype(np.float32)
    where = np.linspace(low, max(high, low + 1e-6), len(table))
    return np.stack([np.interp(values, where, table[:, channel]) for channel in range(3)], axis=1).astype(np.uint8)


def value_range(values: np.ndarray) -> tuple[float, float]:
    """Where a ramp along the values (N,) begins and ends; (0, 1) where there is no finite one."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, _ENDS)
    return float(low), float(high)


def hex_table(colours: Sequence[str]) -> np.ndarray:
    """(n, 3) uint8 of `#rrggbb`."""
    return np.array([tuple(bytes.fromhex(colour[1:])) for colour in colours], np.uint8).reshape(-1, 3)
