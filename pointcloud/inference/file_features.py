"""A person's file before a network trained on a data set: what the file lacks is filled in, refused or noted.

A file without time is one sweep, and all its points are of age 0. A reflection that was not measured cannot be
filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from pointcloud.inference.intensity import scaled
from pointcloud.structures.features import WIDTH, Feature, did_you_mean
from pointcloud.structures.voxels import VoxelSettings
from vol3d.engine.seen import SeenRange
from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.ops import assign_voxels
from vol3d.scans.points.cloud import PointCloud

_OLDEST_S = 10.0
_FEWEST_INSIDE = 0.1  # share of the points in the range; a frontal camera's view has about a fifth of a turn


def for_network(cloud: PointCloud, features: Sequence[Feature], brightest: SeenRange | None) -> PointCloud:
    """The cloud with ages of sweeps if `features` ask for time, without points of unknown features, and with notes.

    Args:
        cloud: as read, without faces.
        features: of the network.
        brightest: intensities of the brightest points of its training scenes; those of another scale are brought to
            theirs. None where they are not known.

    Raises:
        DataError: no intensity, which the network needs.
    """
    if "intensity" in features and "intensity" not in cloud.columns:
        got = ", ".join(("x", "y", "z", *cloud.columns))
        do = did_you_mean("intensity", cloud.columns) or (
            "Name the file's columns, `--columns x,y,z,intensity`, or use a model that was trained without it."
        )
        raise DataError("the points have no intensity, which the model needs", where=cloud.source, got=got, do=do)
    if "time" in features and (note := _no_ages(cloud.columns.get("time"))):
        time = np.zeros(len(cloud), np.float32)
        cloud = replace(cloud, columns=cloud.columns | {"time": time}, notes=(*cloud.notes, note))
    cloud = _known(cloud, [name for name in features if name in cloud.columns])
    return cloud if brightest is None or "intensity" not in features else scaled(cloud, brightest)


def _no_ages(time: np.ndarray | None) -> Note | None:
    """That times are not seconds since a sweep was taken, and what was used instead; None where they may be."""
    taken = "so its points were taken as one sweep, all of age 0; the model was trained with their age"
    if time is None:
        return Note("time-missing", f"the file has no time, {taken}", assumed=True)
    known = time[np.isfinite(time)]
    if not len(known) or (known.min() >= 0 and known.max() <= _OLDEST_S):
        return None
    text = f"the file's time runs from {{first:.6g}} to {{last:.6g}}, which are not ages in seconds, {taken}"
    numbers = {"first": float(known.min()), "last": float(known.max())}
    return Note("time-not-an-age", text, assumed=True, numbers=numbers)


def unseen(cloud: PointCloud, voxels: VoxelSettings) -> tuple[Note, ...]:
    """Notes on points that the network does not see: out of its range, or beyond its limit of voxels."""
    if not len(cloud):
        return ()
    found, notes = assign_voxels([torch.from_numpy(cloud.xyz)], voxels.grid), []
    inside, limit, many = int(found.counts.sum()), voxels.max_voxels, len(found.counts)
    if inside < _FEWEST_INSIDE * len(cloud):
        bounds = ", ".join(f"{axis} {{{axis}_min:g}} to {{{axis}_max:g}}" for axis in "xyz")
        text = f"{{inside}} of {{points}} points lie in what the model sees ({bounds} m); see --units and --up"
        names = [f"{axis}_{end}" for end in ("min", "max") for axis in "xyz"]
        numbers = {"inside": inside, "points": len(cloud), **dict(zip(names, voxels.point_range_m, strict=True))}
        notes.append(Note("points-out-of-range", text, "units", numbers=numbers))
    if limit is not None and many > limit:
        kept = "{limit} of them were kept, in no order but the same each time"
        text = f"the points fill {{voxels}} voxels, more than the model's max_voxels: {kept}"
        notes.append(Note("voxels-over-limit", text, numbers={"voxels": many, "limit": limit}))
    return tuple(notes)


def _known(cloud: PointCloud, names: Sequence[Feature]) -> PointCloud:
    """Without the points that have a value which is not finite in one of these columns."""
    keep = np.ones(len(cloud), np.bool_)
    for name in names:
        keep &= np.isfinite(cloud.columns[name].reshape(keep.size, WIDTH[name])).all(axis=1)
    if keep.all():
        return cloud
    text = "{left_out} of {points} points had no finite {value} and were left out"
    numbers = {"left_out": int((~keep).sum()), "points": len(cloud)}
    note = Note("features-not-finite", text, value=" or ".join(names), numbers=numbers)
    kept = {name: values[keep] for name, values in cloud.columns.items()}
    return replace(cloud, xyz=cloud.xyz[keep], columns=kept, notes=(*cloud.notes, note))
