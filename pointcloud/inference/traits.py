"""What sweeps and rooms are compared by: numbers of a cloud, measured in training and again in a person's file.

A network is shown what it learnt from, or else it answers to something that it does not know: one sweep in place of
ten, a sector in place of a turn, a hall in place of a room.
"""

from __future__ import annotations

import numpy as np

from pointcloud.inference.ground import find_ground
from pointcloud.structures.sensor import Sensor
from pointcloud.structures.voxels import Range
from pointcloud.structures.width import width_m
from vol3d.columns import whole_rows
from vol3d.engine.seen import Seen, SeenRange, Trait
from vol3d.scans.points.cloud import PointCloud

BRIGHTEST, GROUND = "brightest", "ground"
"""Traits with rules of their own, in `ground` and `intensity`: what is unlike the training can be put right."""
SECTORS = 72

OF_SWEEPS = (
    Trait("points", "", "{found:,.0f} points lie in what the model sees", ",.0f", least=0.3, most=4),
    Trait("view", "degrees", "the points cover {found:.0f} degrees around the scanner", ".0f", least=0.65, most=2.2),
    Trait("reach", "m", "most points lie within {found:.0f} m of the scanner", ".0f", least=0.4, most=2.5),
    Trait(GROUND, "m", "the ground is at {found:.2f} m", ".2f"),
    Trait(BRIGHTEST, "", "intensities reach {found:.5g}", ".5g"),
)
COUNTED = OF_SWEEPS[:3]
"""Those that are only noted."""
OF_ROOMS = (
    Trait("points", "", "the scan has {found:,.0f} points", ",.0f", least=0.25, most=100),
    Trait("width", "m", "the scan is {found:.1f} m wide", ".1f", least=0.5, most=2, setting="units"),
    Trait("height", "m", "the scan is {found:.1f} m high", ".1f", least=0.5, most=2, setting="units"),
    Trait("density", "per m²", "the scan has {found:,.0f} points per m² of floor", ",.0f", least=0.25, most=100),
)


def of_sweep(cloud: PointCloud, point_range_m: Range) -> dict[str, float]:
    """All numbers of a cloud around a scanner: `counted`, the ground and the brightest point, where there are any."""
    numbers = counted(cloud, point_range_m)
    if (ground := find_ground(cloud.xyz)) is not None:
        numbers[GROUND] = ground.height_m
    if (top := brightest_of(cloud)) is not None:
        numbers[BRIGHTEST] = top
    return numbers


def brightest_of(cloud: PointCloud) -> float | None:
    """The largest intensity; None without points or intensities."""
    return float(np.max(cloud.columns["intensity"])) if len(cloud) and "intensity" in cloud.columns else None


def counted(cloud: PointCloud, point_range_m: Range) -> dict[str, float]:
    """The numbers of `COUNTED`; without points, their count alone.

    Args:
        point_range_m: what the network sees: only there a cloud matters.
    """
    low, high = np.array(point_range_m[:3]), np.array(point_range_m[3:])
    inside = whole_rows((cloud.xyz[:, :2] >= low[:2]) & (cloud.xyz[:, :2] < high[:2]))  # at any height
    xy = np.take(cloud.xyz[:, :2], np.flatnonzero(inside), axis=0)
    numbers = {"points": float(len(xy))}
    if len(xy):
        sectors = np.floor((np.arctan2(xy[:, 1], xy[:, 0]) / (2 * np.pi) + 0.5) * SECTORS)
        points_in = np.bincount(np.minimum(sectors, SECTORS - 1).astype(np.int64))
        numbers["view"] = int(np.count_nonzero(points_in)) * 360 / SECTORS
        numbers["reach"] = float(np.percentile(np.hypot(xy[:, 0], xy[:, 1]), 95))
    return numbers


def of_room(cloud: PointCloud) -> dict[str, float]:
    """Numbers of a scan of a room; without points, their count alone."""
    numbers = {"points": float(len(cloud))}
    if len(cloud):
        low, high = np.percentile(cloud.xyz, (1, 99), axis=0).astype(np.float64)
        area = float(np.prod(np.maximum(high - low, 0.1)[:2]))
        numbers |= {"width": width_m(cloud), "height": float(high[2] - low[2]), "density": len(cloud) / area}
    return numbers


def of_sensor(sensor: Sensor, data_set: str, published: bool) -> Seen:
    """What a model saw whose training was not measured, by what is known of the scanner of its data set.

    Args:
        published: it was the data set itself, and not other data in its format, whose scanner stands elsewhere.
    """
    ranges = {}
    if sensor.max_intensity is not None:
        ranges[BRIGHTEST] = SeenRange(low=0.1 * sensor.max_intensity, high=sensor.max_intensity)
    if published and sensor.ground_m is not None:
        ranges[GROUND] = SeenRange(low=sensor.ground_m, high=sensor.ground_m, unit="m")
    return Seen(data=data_set, ranges=ranges)
