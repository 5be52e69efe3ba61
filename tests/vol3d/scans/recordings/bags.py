"""Small recordings for tests, written with the library's own writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CODES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}
CLOUD, ODOMETRY, TF = "sensor_msgs/msg/PointCloud2", "nav_msgs/msg/Odometry", "tf2_msgs/msg/TFMessage"


def needs_rosbags() -> Any:
    """The types of ROS 2; skips where the library is not installed."""
    pytest.importorskip("rosbags", reason="the extra `ros` is not installed")
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_HUMBLE)


def header(seconds: float, frame: str) -> Any:
    types = needs_rosbags().types
    whole = int(seconds)
    stamp = types["builtin_interfaces/msg/Time"](whole, round((seconds - whole) * 1e9))
    return types["std_msgs/msg/Header"](stamp, frame)


def cloud_message(
    table: np.ndarray, seconds: float, frame: str = "lidar", big: bool = False, height: int = 1, row_padding: int = 0
) -> Any:
    """PointCloud2 of a structured array, with its offsets and paddings as they are."""
    types = needs_rosbags().types
    fields = []
    for name in table.dtype.names or ():
        kind, offset = table.dtype.fields[name][:2]
        base, shape = (kind.base, kind.shape) if kind.subdtype else (kind, ())
        count = shape[0] if shape else 1
        fields.append(types["sensor_msgs/msg/PointField"](name, offset, CODES[base.str[1:]], count))
    step, width = table.dtype.itemsize, len(table) // height
    rows = table.view(np.uint8).reshape(height, width * step)
    data = np.concatenate([rows, np.full((height, row_padding), 0xAA, np.uint8)], axis=1).reshape(-1)
    row_step = width * step + row_padding
    return types[CLOUD](header(seconds, frame), height, width, fields, big, step, row_step, data, False)


def odometry(seconds: float, x: float, parent: str = "odom", child: str = "base") -> Any:
    """A pose x metres ahead."""
    types = needs_rosbags().types
    vector, turn = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    pose = types["geometry_msgs/msg/Pose"](types["geometry_msgs/msg/Point"](x, 0.0, 0.0), turn)
    twist = types["geometry_msgs/msg/Twist"](vector(0.0, 0.0, 0.0), vector(0.0, 0.0, 0.0))
    covered = types["geometry_msgs/msg/PoseWithCovariance"](pose, np.zeros(36))
    moving = types["geometry_msgs/msg/TwistWithCovariance"](twist, np.zeros(36))
    return types[ODOMETRY](header(seconds, parent), child, covered, moving)


def transforms(seconds: float, parent: str, child: str, shift: tuple[float, float, float]) -> Any:
    """One transform without a turn."""
    types = needs_rosbags().types
    turn = types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    motion = types["geometry_msgs/msg/Transform"](types["geometry_msgs/msg/Vector3"](*shift), turn)
    return types[TF]([types["geometry_msgs/msg/TransformStamped"](header(seconds, parent), child, motion)])


def write_bag(
    path: Path, messages: Sequence[tuple[str, str, float, Any]], mcap: bool = False, packed: str = ""
) -> Path:
    """A bag's folder of (topic, type, seconds recorded, message or bytes); `packed` is `message` or `storage`."""
    store = needs_rosbags()
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP if mcap else StoragePlugin.SQLITE3)
    if packed:
        writer.set_compression(CompressionMode[packed.upper()], CompressionFormat.ZSTD)
    with writer:
        connections = {
            topic: writer.add_connection(topic, kind, typestore=store)
            for topic, kind in dict.fromkeys((topic, kind) for topic, kind, _, _ in messages)
        }
        for topic, kind, seconds, message in messages:
            data = message if isinstance(message, bytes) else store.serialize_cdr(message, kind)
            writer.write(connections[topic], round(seconds * 1e9), data)
    return path


XYZI = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4")])


def table_of(points: np.ndarray) -> np.ndarray:
    """(N, 4) as a structured array `x y z intensity`."""
    return np.ascontiguousarray(points, np.float32).view(XYZI).reshape(-1)


def wall(points: int = 500, seed: int = 0) -> np.ndarray:
    """(N, 4) points around a scanner, 3 to 40 m away."""
    rng = np.random.default_rng(seed)
    angle, far = rng.uniform(-np.pi, np.pi, points), rng.uniform(3, 40, points)
    return np.stack(
        [far * np.cos(angle), far * np.sin(angle), rng.uniform(-1.7, 1, points), rng.random(points)], axis=1
    )
