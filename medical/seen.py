"""What is compared between a scan and those of the training: voxels, field of view, intensities, organ volumes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medical.datasets.cases import IGNORED
from vol3d.engine.seen import Seen, SeenRange, Trait
from vol3d.notes import Note
from vol3d.scans.volumes.grid import orientation
from vol3d.scans.volumes.volume import Grid, Segmentation, Volume

MOST_VALUES = 200_000  # voxels of a channel that its intensities are taken from
LOW, HIGH = 1.0, 99.0  # percentiles: a few voxels of metal are no other scale
_AXES = {"left-right": "LR", "front-back": "AP", "head-foot": "SI"}


@dataclass(frozen=True)
class Intensity(Trait):
    """An intensity, whose zero means nothing: a scan may lie `slack` beyond the training scans."""

    slack: float = 0.0

    def expects(self, value: float, known: SeenRange) -> bool:
        """Whether a value is near enough to those of the training scans."""
        return known.low - self.slack <= value <= known.high + self.slack


def scan_numbers(image: Volume) -> dict[str, float]:
    """The numbers of an image (channels, i, j, k), by the names of `scan_traits`."""
    spacing, extent = _by_patient(image.grid)
    numbers = {f"spacing-{axis}": spacing[axis] for axis in _AXES} | {f"extent-{axis}": extent[axis] for axis in _AXES}
    for channel, voxels in enumerate(image.array):
        values = voxels.ravel()[:: max(1, voxels.size // MOST_VALUES)]
        low, high = np.percentile(values, (LOW, HIGH))
        numbers |= {
            f"low-{channel}": float(low),
            f"high-{channel}": float(high),
            f"spread-{channel}": float(high - low),
        }
    return numbers


def _by_patient(grid: Grid) -> tuple[dict[str, float], dict[str, float]]:
    """Spacing and extent in mm along the patient's axes, whatever the order of the voxels' axes."""
    codes = orientation(grid.affine)
    place = {axis: next(n for n, code in enumerate(codes) if code in letters) for axis, letters in _AXES.items()}
    spacing = {axis: grid.spacing_mm[n] for axis, n in place.items()}
    return spacing, {axis: spacing[axis] * grid.shape[n] for axis, n in place.items()}


def scan_traits(channel_names: Sequence[str], seen: Seen | None = None) -> tuple[Trait, ...]:
    """How scans are compared; with what is known of the training scans, intensities have their slack."""
    traits: list[Trait] = []
    for axis in _AXES:
        traits.append(Trait(f"spacing-{axis}", "mm", f"voxels are {{found:.3g}} mm long {axis}", ".3g", 0.5, 2.0))
        traits.append(Trait(f"extent-{axis}", "mm", f"the scan is {{found:.4g}} mm long {axis}", ".4g", 0.5, 2.0))
    for channel, name in enumerate(channel_names):
        spread = seen.ranges.get(f"spread-{channel}") if seen is not None else None
        slack = 0.25 * spread.low if spread is not None else 0.0
        for end, percent in (("low", LOW), ("high", HIGH)):
            what = f"percentile {percent:.0f} of the intensities of {_plain(name)} is {{found:.4g}}"
            traits.append(Intensity(f"{end}-{channel}", "", what, ".4g", slack=slack))
        traits.append(Trait(f"spread-{channel}", "", "{found:.4g}", ".4g", float("-inf"), float("inf")))
    return tuple(traits)


def no_hounsfield_units(image: Volume, of_ct: Mapping[int, str]) -> tuple[Note, ...]:
    """That a scan for a model of CT has no value below 0, as neither MR nor a CT without its intercept has.

    In Hounsfield units even a piece of the body has some: fat is near -100, air at -1000.

    Args:
        of_ct: channels that are CT, with their names.
    """
    text = (
        "no voxel of {value} is below 0, the least is {least:.4g}; the model was trained on CT in Hounsfield units, "
        "where fat is near -100 and air at -1000"
    )
    least = {name: float(image.array[channel].min()) for channel, name in of_ct.items()}
    return tuple(
        Note("hounsfield-unlike-training", text, value=name, numbers={"least": value})
        for name, value in least.items()
        if value >= 0
    )


def _volume(name: str) -> str:
    return "volume-" + re.sub(r"[\W_]+", "-", name.casefold()).strip("-")


def _plain(name: str) -> str:
    """A name that may stand in a template."""
    return name.replace("{", "(").replace("}", ")")


def truth_numbers(label: Volume, scored: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Volumes in ml of a labelled case; none where voxels are ignored, in which more of an organ may be."""
    if (label.array == IGNORED).any():
        return {}
    return _volumes(label.array, label.grid, scored)


def found_numbers(found: Segmentation, scored: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Volumes in ml of what was found."""
    return _volumes(found.labels, found.grid, scored)


def _volumes(labels: np.ndarray, grid: Grid, scored: Mapping[str, Sequence[int]]) -> dict[str, float]:
    counts = np.bincount(labels.ravel(), minlength=IGNORED + 1)
    return {_volume(name): float(counts[list(of)].sum()) * grid.voxel_volume_ml for name, of in scored.items()}


def volume_traits(names: Sequence[str]) -> tuple[Trait, ...]:
    """How the volumes of classes or regions are compared: to half the smallest and twice the largest."""
    return tuple(
        Trait(_volume(name), "ml", f"{{found:.3g}} ml of {_plain(name)} were found", ".3g", 0.5, 2.0) for name in names
    )
