"""nuScenes' JSON tables -> its index, checked on the way: every token leads somewhere, every sample has its keyframe.

Of the large tables (2.6 million sensor readings and poses, 1.2 million annotations in trainval) only what LIDAR_TOP
needs is kept, record by record.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointcloud.datasets.nuscenes.index import NuScenesIndex
from pointcloud.datasets.nuscenes.records import AGAIN, Tokens, rows
from pointcloud.datasets.poses import pose_matrices
from vol3d.dataset_tools.fault import listed
from vol3d.errors import DataError

CHANNEL = "LIDAR_TOP"
LARGEST_M = 1000.0  # side of a box
LONGEST_S = 1.5  # seconds between two annotations that still give a velocity
TABLES = ("attribute", "calibrated_sensor", "category", "ego_pose", "instance", "sample", "sample_annotation",
          "sample_data", "scene", "sensor")  # fmt: skip


def read_tables(folder: Path) -> NuScenesIndex:
    """The index of the tables in a folder such as `v1.0-trainval`.

    Raises:
        DataError: a table is missing or damaged, a token is twice or leads nowhere, a sample has no LIDAR_TOP
            keyframe or two, a box has no size.
    """
    missing = [f"{table}.json" for table in TABLES if not (folder / f"{table}.json").is_file()]
    if missing:
        there = sorted(path.name for path in folder.glob("*"))
        alike = [name for name in there if name.casefold() in missing]
        got = f"no {listed(missing)}" + (f", but {listed(alike)}" if alike else "")
        do = "Name the tables as nuScenes does, in lower case." if alike else AGAIN
        raise DataError(f"{len(missing)} tables are missing", where=folder, got=got, do=do)
    scene_names, scenes = _names(folder / "scene.json")
    samples = _samples(folder, scenes)
    sweeps = _sweeps(folder, samples)
    boxes = _boxes(folder, samples)
    return NuScenesIndex(
        scene_names=np.array(scene_names, "U"),
        token=np.array(samples.tokens.names(), "S"),
        scene=np.array(samples.scene, np.int32),
        **sweeps,
        **boxes,
    )


@dataclass(frozen=True, eq=False)
class _Samples:
    """Table `sample`: rows by token, and of each row its scene and its microseconds."""

    tokens: Tokens
    scene: list[int]
    time_us: list[int]


def _names(path: Path) -> tuple[list[str], Tokens]:
    """Names of the records in a table, and their rows by token."""
    names, tokens = [], Tokens(path)
    for token, name in rows(path, "token", "name"):
        tokens.add(token)
        names.append(str(name))
    return names, tokens


def _samples(folder: Path, scenes: Tokens) -> _Samples:
    path = folder / "sample.json"
    samples = _Samples(Tokens(path), [], [])
    for token, scene, time_us in rows(path, "token", "scene_token", "timestamp"):
        samples.tokens.add(token)
        samples.scene.append(scenes.find(scene, f"sample {token}"))
        samples.time_us.append(int(time_us))
    if not samples.scene:
        raise DataError("there is no sample", where=path, do=AGAIN)
    return samples


def _sweeps(folder: Path, samples: _Samples) -> dict[str, np.ndarray]:
    """Columns of the index that come from the sensor's readings."""
    mounts, mount_poses = _lidar_mounts(folder)
    path = folder / "sample_data.json"
    sweeps, before, files, times, pose_of, mount_of = Tokens(path), [], [], [], [], []
    keyframe = np.full(len(samples.tokens), -1, np.int32)
    fields = ("token", "sample_token", "ego_pose_token", "calibrated_sensor_token", "timestamp", "is_key_frame")
    for token, sample, pose, mount, time_us, is_key, file, previous in rows(path, *fields, "filename", "prev"):
        if mount not in mounts:
            continue
        row = sweeps.add(token)
        sample_row = samples.tokens.find(sample, f"sample_data {token}")
        if is_key:
            if keyframe[sample_row] >= 0:
                raise DataError(f"a sample has two {CHANNEL} keyframes", where=path, got=sample, do=AGAIN)
            keyframe[sample_row] = row
        before.append(previous)
        files.append(file)
        times.append(int(time_us))
        pose_of.append(pose)
        mount_of.append(mounts[mount])
    without = np.flatnonzero(keyframe < 0)
    if len(without):
        tokens = samples.tokens.names()
        what = f"{len(without)} samples have no {CHANNEL} keyframe"
        raise DataError(what, where=path, got=listed(tokens[row] for row in without), do=AGAIN)
    ego = _ego_poses(folder / "ego_pose.json", pose_of)
    return {
        "keyframe": keyframe,
        "ego_xyz": ego[keyframe, :3, 3],
        "filename": np.array([os.fsencode(file) for file in files]),
        "time_us": np.array(times, np.int64),
        "previous": np.array([sweeps.next_to(token, "sample_data") for token in before], np.int32),
        "global_from_lidar": ego @ mount_poses[mount_of],
    }


def _lidar_mounts(folder: Path) -> tuple[dict[str, int], np.ndarray]:
    """Rows of LIDAR_TOP's calibrations by their tokens, and `ego_from_lidar` (n, 4, 4) of each."""
    path = folder / "calibrated_sensor.json"
    lidars = {token for token, channel in rows(folder / "sensor.json", "token", "channel") if channel == CHANNEL}
    if not lidars:
        raise DataError(f"no sensor {CHANNEL}", where=folder / "sensor.json", do=AGAIN)
    found = [
        (token, shift, turn)
        for token, sensor, shift, turn in rows(path, "token", "sensor_token", "translation", "rotation")
        if sensor in lidars
    ]
    poses = pose_matrices([shift for _, shift, _ in found], [turn for *_, turn in found], path)
    return {token: row for row, (token, *_) in enumerate(found)}, poses


def _ego_poses(path: Path, wanted: list[str]) -> np.ndarray:
    """`global_from_ego` (n, 4, 4) of the poses with these tokens."""
    needed, found = set(wanted), dict[str, Any]()
    for token, shift, turn in rows(path, "token", "translation", "rotation"):
        if token in needed:
            if token in found:
                raise DataError("two records with one token", where=path, got=token, do=AGAIN)
            found[token] = (shift, turn)
    absent = [token for token in wanted if token not in found]
    if absent:
        what = f"{len(absent)} poses that sample_data refers to are missing"
        raise DataError(what, where=path, got=listed(absent), do=AGAIN)
    chosen = [found[token] for token in wanted]
    return pose_matrices([shift for shift, _ in chosen], [turn for _, turn in chosen], path)


def _boxes(folder: Path, samples: _Samples) -> dict[str, np.ndarray]:
    """Columns of the index that come from annotations, in the order of their samples."""
    categories, category_rows = _names(folder / "category.json")
    attributes, attribute_rows = _names(folder / "attribute.json")
    instances, category_of = Tokens(folder / "instance.json"), []
    for token, category in rows(folder / "instance.json", "token", "category_token"):
        instances.add(token)
        category_of.append(category_rows.find(category, f"instance {token}"))
    path = folder / "sample_annotation.json"
    tokens, table, links = Tokens(path), list[tuple[Any, ...]](), list[tuple[str, str]]()
    fields = ("token", "sample_token", "instance_token", "attribute_tokens", "translation", "size", "rotation")
    counts = ("num_lidar_pts", "num_radar_pts", "prev", "next")
    for token, sample, instance, marks, centre, size, turn, lidar, radar, prev, after in rows(path, *fields, *counts):
        user = f"sample_annotation {token}"
        tokens.add(token)
        attribute = attribute_rows.find(marks[0], user) if marks else -1
        category = category_of[instances.find(instance, user)]
        table.append((samples.tokens.find(sample, user), category, attribute, lidar, radar, *centre, *size, *turn))
        links.append((prev, after))
    try:
        numbers = np.array(table, np.float64).reshape(-1, 15)
    except (TypeError, ValueError) as error:
        wanted = "translation x y z, size w l h, rotation w x y z"
        raise DataError("annotations of another form", where=path, got=error, wanted=wanted, do=AGAIN) from error
    near = np.array([[tokens.next_to(token, "sample_annotation") for token in pair] for pair in links], np.int64)
    sample, centre = numbers[:, 0].astype(np.int64), numbers[:, 5:8]
    pose_matrices(centre, numbers[:, 11:15], path)  # refuses quaternions that are none
    odd = ~((numbers[:, 8:11] > 0) & (numbers[:, 8:11] < LARGEST_M)).all(axis=1)
    if odd.any():
        row = int(odd.argmax())
        got, wanted = f"{list(table[row][8:11])} of {tokens.names()[row]}", f"w l h above 0 and below {LARGEST_M:g} m"
        raise DataError(f"{int(odd.sum())} boxes have no size", where=path, got=got, wanted=wanted, do=AGAIN)
    velocity = _velocity(near.reshape(-1, 2), 1e-6 * np.array(samples.time_us)[sample], centre)
    order = np.argsort(sample, kind="stable")
    columns: dict[str, np.ndarray] = {
        "centre": centre,
        "size_wlh": numbers[:, 8:11],
        "rotation_wxyz": numbers[:, 11:15],
        "velocity": velocity,
        "category": numbers[:, 1].astype(np.int16),
        "attribute": numbers[:, 2].astype(np.int16),
        "lidar_points": numbers[:, 3].astype(np.int32),
        "radar_points": numbers[:, 4].astype(np.int32),
    }
    return {
        "categories": np.array(categories, "U"),
        "attributes": np.array(attributes, "U"),
        "first_box": np.searchsorted(sample[order], np.arange(len(samples.scene) + 1)),
        **{name: values[order] for name, values in columns.items()},
    }


def _velocity(near: np.ndarray, seconds: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Velocities (n, 2) in the world from the annotations before and after, or the one that there is; else NaN.

    Args:
        near: (n, 2) rows of the same object's annotations before and after, -1 for none.
    """
    own = np.arange(len(near))
    first, last = (np.where(near[:, side] >= 0, near[:, side], own) for side in (0, 1))
    elapsed = seconds[last] - seconds[first]
    longest = LONGEST_S * np.where((near >= 0).all(axis=1), 2, 1)
    known = (elapsed > 0) & (elapsed <= longest)
    moved = centre[last, :2] - centre[first, :2]
    return np.where(known[:, None], moved / np.where(known, elapsed, 1.0)[:, None], np.nan)
