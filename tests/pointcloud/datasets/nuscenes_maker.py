"""A small nuScenes: a car that turns while it drives past a parked car, a cone and an animal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

SWEEPS_PER_SAMPLE, STEP_S = 4, 0.05
MOUNT = {"translation": [0.9, 0.1, 1.8], "rotation": [0.7077955, -0.0064922, 0.0106462, -0.7063073]}
CATEGORIES = ("vehicle.car", "movable_object.trafficcone", "animal")
PLACES = ((30.0, 5.0, 0.8), (12.0, -6.0, 0.5), (9.0, 9.0, 0.2))
SIZES = ((1.9, 4.6, 1.7), (0.4, 0.4, 1.0), (0.3, 0.8, 0.4))


def yaw_quaternion(yaw: float) -> list[float]:
    return [float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2))]


def write_small_nuscenes(
    root: Path, version: str = "v1.0-mini", scenes: tuple[str, ...] = ("scene-0061", "scene-0103"), samples: int = 3
) -> Path:
    """Tables and sweeps; the car (instance 0) moves at 2 m/s along the world's x."""
    tables: dict[str, list[dict[str, Any]]] = {
        "sensor": [
            {"token": "lidar", "channel": "LIDAR_TOP", "modality": "lidar"},
            {"token": "cam", "channel": "CAM_FRONT", "modality": "camera"},
        ],
        "calibrated_sensor": [
            {"token": "mount", "sensor_token": "lidar", "camera_intrinsic": [], **MOUNT},
            {"token": "mount_cam", "sensor_token": "cam", "camera_intrinsic": np.eye(3).tolist(), **MOUNT},
        ],
        "category": [{"token": f"c{n}", "name": name, "description": ""} for n, name in enumerate(CATEGORIES)],
        "attribute": [{"token": "a0", "name": "vehicle.parked", "description": ""}],
        "visibility": [{"token": "4", "level": "v80-100", "description": ""}],
        "log": [{"token": "log", "logfile": "", "vehicle": "v", "date_captured": "2018-01-01", "location": "here"}],
        "map": [{"token": "map", "log_tokens": ["log"], "category": "semantic_prior", "filename": "maps/map.png"}],
    }
    for name in ("scene", "sample", "sample_data", "ego_pose", "instance", "sample_annotation"):
        tables[name] = []
    for number, scene in enumerate(scenes):
        _add_scene(root, tables, number, scene, samples)
    (root / version).mkdir(parents=True)
    for name, table in tables.items():
        (root / version / f"{name}.json").write_text(json.dumps(table, indent=0))
    (root / "maps").mkdir()
    (root / "maps/map.png").write_bytes(b"")
    return root


def _add_scene(root: Path, tables: dict[str, list[dict[str, Any]]], number: int, scene: str, samples: int) -> None:
    rng, last = np.random.default_rng(number), samples - 1
    ends = {"first_sample_token": f"{number}s0", "last_sample_token": f"{number}s{last}"}
    tables["scene"].append(
        {"token": f"sc{number}", "name": scene, "log_token": "log", "nbr_samples": samples, "description": "", **ends}
    )
    for thing in range(len(PLACES)):
        links = {"first_annotation_token": f"{number}b0-{thing}", "last_annotation_token": f"{number}b{last}-{thing}"}
        tables["instance"].append(
            {"token": f"{number}i{thing}", "category_token": f"c{thing}", "nbr_annotations": samples, **links}
        )
    total = last * SWEEPS_PER_SAMPLE + 1
    for step in range(-2, total):  # two sweeps lie before the first keyframe
        sample, is_key = max(0, -(-step // SWEEPS_PER_SAMPLE)), step >= 0 and step % SWEEPS_PER_SAMPLE == 0
        time_us, token = 1_500_000_000_000_000 + number * 10**9 + round(step * STEP_S * 1e6), f"{number}d{step}"
        near = _near(f"{number}d{{}}", step, -2, total - 1)
        pose = {"translation": [400 + 0.5 * step, 1100 + 0.02 * step**2, 0.0], "rotation": yaw_quaternion(0.04 * step)}
        tables["ego_pose"].append({"token": f"{number}p{step}", "timestamp": time_us, **pose})
        file = f"{'samples' if is_key else 'sweeps'}/LIDAR_TOP/{scene}__{step}.pcd.bin"
        record = {
            "sample_token": f"{number}s{sample}",
            "ego_pose_token": f"{number}p{step}",
            "timestamp": time_us,
            "fileformat": "pcd",
            "is_key_frame": is_key,
            "height": 0,
            "width": 0,
            "filename": file,
        }
        tables["sample_data"].append({"token": token, "calibrated_sensor_token": "mount", **record, **near})
        points = rng.normal(0, [8, 8, 1, 50, 10], (200, 5)).astype("<f4")
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        points.tofile(root / file)
        if is_key:
            camera = {**record, "filename": "samples/CAM_FRONT/none.jpg", "prev": "", "next": ""}
            tables["sample_data"].append({"token": f"{token}cam", "calibrated_sensor_token": "mount_cam", **camera})
            _add_sample(tables, number, sample, time_us, last)


def _add_sample(tables: dict[str, list[dict[str, Any]]], number: int, sample: int, time_us: int, last: int) -> None:
    near = _near(f"{number}s{{}}", sample, 0, last)
    tables["sample"].append({"token": f"{number}s{sample}", "timestamp": time_us, "scene_token": f"sc{number}", **near})
    for thing, (place, size) in enumerate(zip(PLACES, SIZES, strict=True)):
        moved = 2.0 * sample * SWEEPS_PER_SAMPLE * STEP_S if thing == 0 else 0.0
        token = f"{number}b{{}}-{thing}"
        near = _near(token, sample, 0, last)
        tables["sample_annotation"].append(
            {
                "token": token.format(sample),
                "sample_token": f"{number}s{sample}",
                "instance_token": f"{number}i{thing}",
                "visibility_token": "4",
                "attribute_tokens": ["a0"] if thing == 0 else [],
                "translation": [400 + place[0] + moved, 1100 + place[1], place[2]],
                "size": list(size),
                "rotation": yaw_quaternion(0.3 * thing),
                "num_lidar_pts": 5 - sample if thing == 1 else 9,
                "num_radar_pts": 0,
                **near,
            }
        )


def _near(token: str, number: int, first: int, last: int) -> dict[str, str]:
    """The records before and after in a chain."""
    before = token.format(number - 1) if number > first else ""
    return {"prev": before, "next": token.format(number + 1) if number < last else ""}
