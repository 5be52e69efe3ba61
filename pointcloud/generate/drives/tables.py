"""The tables of nuScenes for generated drives, from the records of the drives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pointcloud.conventions.tokens import token
from pointcloud.generate.drives.number import SWEEPS_PER_SAMPLE, DriveNumber
from pointcloud.generate.drives.shapes import KINDS, PARKED_BUS
from pointcloud.generate.drives.sweep import MOUNT_SHIFT, MOUNT_TURN
from vol3d.files import atomic, write_json

VERSION = "v1.0-drives"
MAP = "maps/drives.png"
Table = list[dict[str, Any]]
_EMPTY = ("scene", "sample", "sample_data", "ego_pose", "instance", "sample_annotation")


def write_tables(out: Path, drives: Sequence[DriveNumber], records: Sequence[dict[str, Any]]) -> None:
    """Writes all tables, the list of attributes and categories among them, and an empty map, which the devkit wants."""
    tables = _fixed_tables()
    for drive, record in zip(drives, records, strict=True):
        _add_drive(tables, drive, record)
    with atomic(out / MAP) as temporary:
        Image.fromarray(np.zeros((10, 10), np.uint8)).save(temporary)
    for name, table in tables.items():
        write_json(out / VERSION / f"{name}.json", table)


def _fixed_tables() -> dict[str, Table]:
    categories = sorted({kind.category for kind in KINDS.values()})
    attributes = sorted(
        {name for kind in KINDS.values() for name in (kind.moving, kind.resting) if name} | {PARKED_BUS}
    )
    mount = {"translation": list(MOUNT_SHIFT), "rotation": list(MOUNT_TURN), "camera_intrinsic": []}
    levels = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}
    log = {"token": token("log"), "logfile": "generated", "vehicle": "generated", "location": "generated"}
    return {
        "sensor": [{"token": token("sensor"), "channel": "LIDAR_TOP", "modality": "lidar"}],
        "calibrated_sensor": [{"token": token("mount"), "sensor_token": token("sensor"), **mount}],
        "category": [{"token": token("category", name), "name": name, "description": ""} for name in categories],
        "attribute": [{"token": token("attribute", name), "name": name, "description": ""} for name in attributes],
        "visibility": [{"token": number, "level": level, "description": ""} for number, level in levels.items()],
        "log": [{**log, "date_captured": "2026-01-01"}],
        "map": [{"token": token("map"), "log_tokens": [token("log")], "category": "semantic_prior", "filename": MAP}],
        **{name: [] for name in _EMPTY},
    }


def _add_drive(tables: dict[str, Table], drive: DriveNumber, record: dict[str, Any]) -> None:
    own, last = (drive.seed, drive.number), drive.samples - 1
    scene = {"token": token("scene", *own), "name": drive.name, "description": "generated", "log_token": token("log")}
    ends = {"first_sample_token": token("sample", *own, 0), "last_sample_token": token("sample", *own, last)}
    tables["scene"].append({**scene, "nbr_samples": drive.samples, **ends})
    for number in range(drive.samples):
        chain = _near(lambda n: token("sample", *own, n), number, 0, last)
        time_us = drive.time_us(number * SWEEPS_PER_SAMPLE)
        row = {"token": token("sample", *own, number), "timestamp": time_us, **chain, "scene_token": scene["token"]}
        tables["sample"].append(row)
    for number, pose in enumerate(record["poses"]):
        _add_sweep(tables, drive, number, pose)
    _add_annotations(tables, drive, record)


def _add_sweep(tables: dict[str, Table], drive: DriveNumber, number: int, pose: list[float]) -> None:
    frames = drive.frames
    frame = frames[number]
    own, time_us = (drive.seed, drive.number), drive.time_us(frame)
    row = {"token": token("pose", *own, frame), "timestamp": time_us, "translation": pose[:3], "rotation": pose[3:]}
    tables["ego_pose"].append(row)
    sample = max(0, -(-frame // SWEEPS_PER_SAMPLE))  # as in nuScenes, a sweep belongs to the keyframe after it
    tables["sample_data"].append(
        {
            "token": token("sweep", *own, frame),
            "sample_token": token("sample", *own, sample),
            "ego_pose_token": row["token"],
            "calibrated_sensor_token": token("mount"),
            "timestamp": time_us,
            "fileformat": "pcd",
            "is_key_frame": drive.file(frame).startswith("samples"),
            "height": 0,
            "width": 0,
            "filename": drive.file(frame),
            **_near(lambda n: token("sweep", *own, frames[n]), number, 0, len(frames) - 1),
        }
    )


def _add_annotations(tables: dict[str, Table], drive: DriveNumber, record: dict[str, Any]) -> None:
    own, seen_in = (drive.seed, drive.number), dict[int, list[int]]()
    for number, boxes in enumerate(record["boxes"]):
        for actor, *_ in boxes:
            seen_in.setdefault(actor, []).append(number)
    for actor, samples in seen_in.items():
        category = token("category", record["things"][actor][1])
        first, last = (token("box", *own, actor, samples[at]) for at in (0, -1))
        ends = {"first_annotation_token": first, "last_annotation_token": last}
        row = {"token": token("instance", *own, actor), "category_token": category, "nbr_annotations": len(samples)}
        tables["instance"].append({**row, **ends})
    for number, boxes in enumerate(record["boxes"]):
        for actor, x, y, z, yaw, points in boxes:
            _, _, attribute, length, width, height = record["things"][actor]
            samples, name = seen_in[actor], (*own, actor)
            at = samples.index(number)
            tables["sample_annotation"].append(
                {
                    "token": token("box", *name, number),
                    "sample_token": token("sample", *own, number),
                    "instance_token": token("instance", *name),
                    "visibility_token": "4" if points else "1",
                    "attribute_tokens": [token("attribute", attribute)] if attribute else [],
                    "translation": [x, y, z],
                    "size": [round(width, 3), round(length, 3), round(height, 3)],
                    "rotation": [float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2))],
                    "prev": token("box", *name, samples[at - 1]) if at else "",
                    "next": token("box", *name, samples[at + 1]) if at + 1 < len(samples) else "",
                    "num_lidar_pts": points,
                    "num_radar_pts": 0,
                }
            )


def _near(name: Any, number: int, first: int, last: int) -> dict[str, str]:
    """The tokens before and after in a chain."""
    return {"prev": name(number - 1) if number > first else "", "next": name(number + 1) if number < last else ""}
