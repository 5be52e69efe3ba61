"""What was found in a recording as rerun's `.rrd`: the clouds that were predicted with their boxes, over time.

The points are read from the recording once more, one cloud at a time. Everything is in the coordinates of the lines of
JSON: metres with z up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vol3d.errors import Vol3dError
from vol3d.files import atomic
from vol3d.notes import Note
from vol3d.prediction import BoxPrediction
from vol3d.recording_prediction import FrameResult, FramesPrediction
from vol3d.scans.recordings.recording import Frame, Position
from vol3d.scans.results.box_shapes import have_headings, ticks, velocity_lines
from vol3d.scans.results.palette import box_colours

if TYPE_CHECKING:
    from vol3d.scans.points.cloud import PointCloud

POINTS, BOXES = "scan/points", "scan/boxes"
"""Entities: points with their heights as colours; boxes with class, score and arrows below them."""
TIME, NUMBER = "time", "frame"
"""Timelines: the stamps of the clouds, and their numbers in the topic."""


def require_rerun(where: Path) -> Any:
    """The package. Raises Vol3dError if it is not installed."""
    try:
        import rerun
    except ImportError as fault:
        do = "Run `pip install 'vol3d[rerun]'`."
        raise Vol3dError("the format rrd needs the package rerun-sdk", where=where, do=do) from fault
    return rerun


def write_rerun(prediction: FramesPrediction, path: Path) -> tuple[Note, ...]:
    """The clouds that were predicted, coloured by height, and their boxes; `rerun FILE` shows them."""
    rerun = require_rerun(path)
    origin: np.ndarray | None = None
    with atomic(path) as temporary:
        stream = rerun.RecordingStream("vol3d", recording_id=prediction.record.input_sha256 or path.name)
        stream.save(temporary)
        stream.log("scan", rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        for result, frame in _with_points(prediction):
            if frame.recorded_ns is not None:
                _set_time(stream, frame)
            if result.found is not None and frame.cloud is not None:
                origin = frame.cloud.origin if origin is None else origin
                stream.log(POINTS, _points(rerun, frame.cloud, origin))
                _log_boxes(rerun, stream, result.found, result.found.cloud.origin - origin)
            elif frame.recorded_ns is not None:
                stream.log("scan", rerun.Clear(recursive=True))  # else those of the cloud before would stay
        stream.flush()
        stream.disconnect()
    return ()


def _set_time(stream: Any, frame: Frame) -> None:
    stream.set_time(NUMBER, sequence=frame.number)
    stream.set_time(TIME, timestamp=np.datetime64(frame.stamp_ns, "ns"))


def _with_points(prediction: FramesPrediction) -> Iterator[tuple[FrameResult, Frame]]:
    """The clouds, read again, with what became of each."""
    recording = prediction.recording
    return zip(prediction.frames, recording.frames(recording.wanted, Position(recording.count)), strict=False)


def _points(rerun: Any, cloud: PointCloud, origin: np.ndarray) -> Any:
    from matplotlib import colormaps

    heights = cloud.xyz[:, 2]
    low, high = np.percentile(heights, (1, 99)) if len(heights) else (0.0, 1.0)
    shares = np.clip((heights - low) / max(high - low, 1e-6), 0, 1)
    colours = (255 * colormaps["viridis"](shares)[:, :3]).astype(np.uint8)
    return rerun.Points3D(cloud.xyz + (cloud.origin - origin), colors=colours, radii=rerun.Radius.ui_points(1.5))


def _log_boxes(rerun: Any, stream: Any, found: BoxPrediction, shift: np.ndarray) -> None:
    """Boxes with their labels and scores, and arrows to their fronts and to where they are a second later."""
    boxes = found.boxes.astype(np.float64)
    colours = box_colours(found.labels, len(found.class_names))
    turns = np.zeros((len(boxes), 4))
    turns[:, 2], turns[:, 3] = np.sin(boxes[:, 6] / 2), np.cos(boxes[:, 6] / 2)
    drawn = rerun.Boxes3D(
        centers=boxes[:, :3] + shift,
        sizes=boxes[:, 3:6],
        quaternions=[rerun.Quaternion(xyzw=turn) for turn in turns],
        colors=colours,
        labels=[f"{name} {score:.2f}" for name, score in zip(found.names, found.scores.tolist(), strict=True)],
        class_ids=found.labels,
    )
    stream.log(BOXES, drawn, rerun.AnyValues(score=found.scores.astype(np.float32), name=found.names))
    moving, ways = velocity_lines(boxes)
    lines = {"velocities": colours[moving], "headings": colours}
    ends = {"velocities": ways, "headings": ticks(boxes) if have_headings(boxes) else np.zeros((0, 2, 3))}
    for kind, both in ends.items():
        arrows = rerun.Arrows3D(
            origins=both[:, 0] + shift, vectors=both[:, 1] - both[:, 0], colors=lines[kind][: len(both)]
        )
        stream.log(f"{BOXES}/{kind}", arrows)
