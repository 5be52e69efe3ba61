"""What was found in a recording as an MCAP file of markers, which Foxglove and RViz draw over the recorded clouds.

`visualization_msgs/MarkerArray` and no other message: both programs draw it without an extension, and any ROS 2 can
publish it. Its definition stands in the file. Each array begins by deleting the one before. Frames, stamps and log
times are those of the clouds.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vol3d.files import atomic
from vol3d.notes import Note
from vol3d.prediction import BoxPrediction
from vol3d.recording_prediction import FrameResult, FramesPrediction
from vol3d.scans.recordings.recording import typestore
from vol3d.scans.results.box_shapes import have_headings, ticks, velocity_lines
from vol3d.scans.results.palette import box_colours

TOPIC, MESSAGE = "/vol3d/boxes", "visualization_msgs/msg/MarkerArray"
_ARROW, _CUBE, _TEXT = 0, 1, 9  # Marker's types
_ADD, _DELETE_ALL = 0, 3  # and its actions
_OPACITY = 0.35
_LETTERS_M, _SHAFT_M, _HEAD_M = 0.6, 0.08, 0.2


class PlacedBoxes(NamedTuple):
    """Boxes in the frame of a message, whatever its axes: centres (N, 3), quaternions x y z w (N, 4), sizes (N, 3)."""

    centers: np.ndarray
    quaternions: np.ndarray
    sizes: np.ndarray


def place(prediction: BoxPrediction) -> PlacedBoxes:
    """The boxes where the message of the cloud has its points, float64."""
    from scipy.spatial.transform import Rotation

    boxes, turn = prediction.boxes.astype(np.float64), prediction.cloud.file_from_scan[:3, :3]
    unit = float(np.cbrt(np.linalg.det(turn)))
    if not len(boxes):
        return PlacedBoxes(np.zeros((0, 3)), np.zeros((0, 4)), np.zeros((0, 3)))
    turns = Rotation.from_matrix(turn / unit) * Rotation.from_euler("z", boxes[:, 6:7])
    return PlacedBoxes(prediction.cloud.in_file(boxes[:, :3]), turns.as_quat(), unit * boxes[:, 3:6])


def write_markers(prediction: FramesPrediction, path: Path) -> tuple[Note, ...]:
    """One message for each cloud that was recorded; that of a cloud that failed has no boxes."""
    from rosbags.rosbag2 import StoragePlugin, Writer

    store = typestore()
    # rosbags writes a folder; what goes into it is one MCAP file.
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder, "boxes")
        with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            topic = writer.add_connection(TOPIC, MESSAGE, typestore=store)
            for result in prediction.frames:
                if result.frame.recorded_ns is not None:
                    message = markers(result, store.types)
                    writer.write(topic, result.frame.recorded_ns, store.serialize_cdr(message, MESSAGE))
        with atomic(path) as temporary:
            shutil.copyfile(bag / "boxes.mcap", temporary)
    return ()


def markers(result: FrameResult, types: Any) -> Any:
    """The MarkerArray of one cloud.

    For each box a cube in the namespace of its class, a line of text with class and score, an arrow to its front where
    boxes have headings, and one to where it is a second later where it moves. `id` is the number of the box.
    """
    seconds, nanoseconds = divmod(result.frame.stamp_ns, 1_000_000_000)
    stamp = types["builtin_interfaces/msg/Time"](seconds, nanoseconds)
    marker = _maker(types, types["std_msgs/msg/Header"](stamp, result.frame.frame_id))
    drawn = [marker("", 0, _CUBE, action=_DELETE_ALL)]
    if result.found is not None:
        drawn += _cubes(result.found, marker) + _texts(result.found, marker) + _arrows(result.found, marker)
    return types[MESSAGE](drawn)


def _cubes(found: BoxPrediction, marker: Callable[..., Any]) -> list[Any]:
    colours, placed = _colours(found), place(found)
    rows = zip(found.names, colours, *placed, strict=True)
    return [
        marker(name, number, _CUBE, (*colour, _OPACITY), size, center, quaternion)
        for number, (name, colour, center, quaternion, size) in enumerate(rows)
    ]


def _texts(found: BoxPrediction, marker: Callable[..., Any]) -> list[Any]:
    """A line above each box."""
    boxes = found.boxes.astype(np.float64)
    above = boxes[:, :3] + [0.0, 0.0, 1.0] * (boxes[:, 5:6] / 2 + _LETTERS_M)
    rows = zip(found.names, found.scores.tolist(), found.cloud.in_file(above), strict=True)
    return [
        marker("labels", number, _TEXT, scale=(0.0, 0.0, _LETTERS_M), at=at, text=f"{name} {score:.3f}")
        for number, (name, score, at) in enumerate(rows)
    ]


def _arrows(found: BoxPrediction, marker: Callable[..., Any]) -> list[Any]:
    colours, (moving, ways) = _colours(found), velocity_lines(found.boxes)
    kinds: list[tuple[str, Sequence[int], np.ndarray]] = [("velocities", moving.tolist(), ways)]
    if have_headings(found.boxes):
        kinds.append(("headings", range(len(found.boxes)), ticks(found.boxes)))
    return [
        marker(kind, number, _ARROW, (*colours[number], 1.0), (_SHAFT_M, _HEAD_M, 0.0), ends=found.cloud.in_file(line))
        for kind, numbers, lines in kinds
        for number, line in zip(numbers, lines, strict=True)
    ]


def _colours(found: BoxPrediction) -> list[list[float]]:
    return (box_colours(found.labels, len(found.class_names)) / 255).tolist()


def _maker(types: Any, header: Any) -> Callable[..., Any]:
    """A function that makes one Marker; what is left out has the message's own default."""
    kinds = ("Point", "Quaternion", "Pose", "Vector3")
    point, quaternion, pose, vector = (types[f"geometry_msgs/msg/{kind}"] for kind in kinds)
    rgba, time = types["std_msgs/msg/ColorRGBA"], types["builtin_interfaces/msg/Duration"]
    image = types["sensor_msgs/msg/CompressedImage"](header, "", np.zeros(0, np.uint8))
    mesh = types["visualization_msgs/msg/MeshFile"]("", np.zeros(0, np.uint8))

    def make(
        namespace: str,
        number: int,
        kind: int,
        colour: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
        scale: Sequence[float] = (1.0, 1.0, 1.0),
        at: Sequence[float] = (0.0, 0.0, 0.0),
        turn: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
        ends: Sequence[Sequence[float]] = (),
        text: str = "",
        action: int = _ADD,
    ) -> Any:
        return types["visualization_msgs/msg/Marker"](
            header=header,
            ns=namespace,
            id=number,
            type=kind,
            action=action,
            pose=pose(point(*map(float, at)), quaternion(*map(float, turn))),
            scale=vector(*map(float, scale)),
            color=rgba(*colour),
            lifetime=time(0, 0),
            frame_locked=False,
            points=[point(*map(float, end)) for end in ends],
            colors=[],
            texture_resource="",
            texture=image,
            uv_coordinates=[],
            text=text,
            mesh_resource="",
            mesh_file=mesh,
            mesh_use_embedded_materials=False,
        )

    return make
