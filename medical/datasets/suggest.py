"""Preprocessing that a data set's fingerprint suggests, by nnU-Net's rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

ANISOTROPIC = 3.0  # nnU-Net's threshold, for spacings and for sizes
CROPPED = 0.75  # below this share of the volume, the zeros around the object are worth cutting off (nnU-Net)
AIR_HU = -500.0  # only CT reaches so far below 0


def suggest(facts: list[dict[str, Any]], summary: dict[str, Any], channel_names: Sequence[str]) -> dict[str, Any]:
    """`preprocess`: what `PreprocessSettings` takes; `reasons`: a sentence for each of its settings that was chosen."""
    spacing = target_spacing_mm([one["spacing_mm"] for one in facts], [one["shape"] for one in facts])
    median = summary["spacing_mm"]["median"]
    uneven = not np.allclose(spacing, median, atol=1e-3)
    reasons = {"spacing_mm": "The median" + (", finer along the thick slices." if uneven else " of all cases.")}
    sparse = summary["nonzero_box"] < CROPPED
    intensity: dict[str, Any]
    if is_ct(facts, channel_names) and summary["intensity"]:
        intensity = _of_ct([*summary["intensity"].values()])
        reasons["intensity"] = (
            "CT is measured in Hounsfield units: one scale for all, from 0.5 to 99.5 % of the foreground."
        )
    else:
        intensity = {"name": "zscore", "nonzero": sparse}
        reasons["intensity"] = "Intensities have no fixed unit: each scan is scaled to mean 0 and deviation 1."
    filled = f"The box of voxels that are not 0 fills {summary['nonzero_box']:.0%} of the volume"
    reasons["crop_foreground"] = f"{filled}: what lies around it is {'cut off' if sparse else 'kept'}."
    preprocess = {"orientation": "RAS", "spacing_mm": spacing, "intensity": intensity, "crop_foreground": sparse}
    return {"preprocess": preprocess, "reasons": reasons}


def _of_ct(channels: list[dict[str, float]]) -> dict[str, Any]:
    """nnU-Net's scale; of several channels, which share one, the widest range alone."""
    low = round(min(one["percentile_00_5"] for one in channels), 2)
    high = round(max(one["percentile_99_5"] for one in channels), 2)
    if len(channels) > 1 or not channels[0]["std"] or low >= high:
        return {"name": "window", "low": low, "high": max(high, low + 1)}
    mean, std = (round(channels[0][name], 2) for name in ("mean", "std"))
    return {"name": "clipped_zscore", "low": low, "high": high, "mean": mean, "std": max(std, 0.01)}


def target_spacing_mm(spacings_mm: Sequence[Sequence[float]], shapes: Sequence[Sequence[float]]) -> list[float]:
    """nnU-Net's target spacing: the median, but finer along thick slices.

    Where the median of the coarsest axis is over three times that of the others and the axis has under a third of their
    voxels, its 10th percentile is taken, though nothing finer than the other axes. Shapes are those of the files;
    nnU-Net's are those of the non-zero box.

    Args:
        spacings_mm, shapes: (cases, 3), axes in the same order in all.
    """
    spacing, shape = np.median(spacings_mm, axis=0), np.median(shapes, axis=0)
    coarsest = int(spacing.argmax())
    others = [axis for axis in range(3) if axis != coarsest]
    thick = spacing[coarsest] > ANISOTROPIC * spacing[others].max()
    if thick and shape[coarsest] * ANISOTROPIC < shape[others].min():
        fine = float(np.percentile(np.asarray(spacings_mm)[:, coarsest], 10))
        spacing[coarsest] = max(fine, float(spacing[others].max()))
    return [round(float(length), 4) for length in spacing]


def is_ct(facts: list[dict[str, Any]], channel_names: Sequence[str]) -> bool:
    """By the channels' names if they show it, else if half of the scans reach the value of air."""
    names = [name.strip().lower() for name in channel_names]
    if "ct" in names:
        return len(names) == 1
    if any(name.startswith(("mr", "t1", "t2", "flair", "adc", "pd", "dwi")) for name in names):
        return False
    return float(np.median([min(low for low, _ in one["range"]) for one in facts])) <= AIR_HU
