"""Resampling as a plan asks for it: which of nnU-Net's functions, with which arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vol3d.errors import CheckpointError

Kind = Literal["data", "seg", "probabilities"]
ANISOTROPY = 3.0  # a voxel longer than so many times its shortest edge is resampled apart along it
ORDERS = {"data": (0, 1, 2, 3, 4, 5), "seg": (0, 1), "probabilities": (0, 1)}
# Arguments that change no number, and those that do with the values that are known.
_WITHOUT_EFFECT = ("is_seg", "num_threads", "device")
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "resample_data_or_seg_to_shape": {
        "order": 3,
        "order_z": 0,
        "force_separate_z": False,
        "separate_z_anisotropy_threshold": ANISOTROPY,
    },
    "resample_torch_fornnunet": {
        "force_separate_z": None,
        "separate_z_anisotropy_threshold": ANISOTROPY,
        "mode": "linear",
        "aniso_axis_mode": "nearest-exact",
        "memefficient_seg_resampling": False,
    },
    "no_resampling_hack": {},
}


@dataclass(frozen=True)
class Resampling:
    """How voxels are brought to another spacing.

    Args:
        order: of the spline, 0 to 5.
        order_z: along the axis that is resampled apart, 0 or 1.
        separate: whether the longest edge of a voxel is resampled apart; None decides by `threshold`.
        threshold: longest to shortest edge of a voxel.
        largest_share: labels by the largest share, in place of the last one with at least half.
        is_off: the grid stays.
        rounds: results have the type of what is resampled: float16 for logits.
    """

    order: int = 3
    order_z: int = 0
    separate: bool | None = None
    threshold: float = ANISOTROPY
    largest_share: bool = False
    is_off: bool = False
    rounds: bool = True

    def apart(self, spacing_mm: tuple[float, ...], other_mm: tuple[float, ...]) -> int | None:
        """The axis that is resampled apart on the way from one spacing to another; None where there is none."""
        if self.separate is False or self.is_off:
            return None
        candidates = (spacing_mm,) if self.separate else (spacing_mm, other_mm)
        for one in candidates:
            if self.separate or max(one) / min(one) > self.threshold:
                longest = np.flatnonzero(max(one) / np.array(one) == 1)
                return int(longest[0]) if len(longest) == 1 else None
        return None


def read_resampling(values: Mapping[str, Any], kind: Kind, path: Path) -> Resampling:
    """`resampling_fn_KIND` of a configuration with its arguments.

    Raises:
        CheckpointError: a function, an argument or an order that is not known.
    """
    key = f"resampling_fn_{kind}"
    name, given = values.get(key), values.get(f"{key}_kwargs")
    if name not in _ARGUMENTS:
        raise CheckpointError(f"'{key}' is not known", where=path, got=name, wanted=f"one of {', '.join(_ARGUMENTS)}")
    known = _ARGUMENTS[name]
    if not isinstance(given, dict) or set(given) - {*known, *_WITHOUT_EFFECT}:
        wanted = f"some of {', '.join((*known, *_WITHOUT_EFFECT))}"
        raise CheckpointError(f"'{key}_kwargs' are not known", where=path, got=given, wanted=wanted)
    if name == "no_resampling_hack":
        return Resampling(is_off=True)
    asked = {**known, **given}
    common = {"separate": asked["force_separate_z"], "threshold": asked["separate_z_anisotropy_threshold"]}
    if name == "resample_torch_fornnunet":
        fixed = ["mode", "aniso_axis_mode", *(["memefficient_seg_resampling"] if kind == "seg" else [])]
        if other := {argument: asked[argument] for argument in fixed if asked[argument] != known[argument]}:
            raise CheckpointError(f"'{key}_kwargs' are not known", where=path, got=other)
        return Resampling(1, 0, largest_share=True, rounds=False, **common)
    order, along = asked["order"], asked["order_z"]
    if order not in ORDERS[kind] or along not in (0, 1):
        wanted = f"order in {ORDERS[kind]}, order_z 0 or 1"
        raise CheckpointError(f"'{key}_kwargs' are not known", where=path, got=given, wanted=wanted)
    return Resampling(order, along, **common)
