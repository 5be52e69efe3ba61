"""What was found in a person's sweep or recording in the formats of others: CSV, KITTI's text, MCAP and rerun."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pointcloud.conventions.kitti_objects import write_kitti_objects
from pointcloud.datasets.kitti.calibration import camera_view, read_calibration
from pointcloud.datasets.kitti.labels import TYPES
from pointcloud.metrics.kitti.boxes import objects_in_image
from vol3d.class_names import chosen_names
from vol3d.errors import UsageError
from vol3d.files import atomic, sha256
from vol3d.notes import Note
from vol3d.prediction import Beside, BoxPrediction
from vol3d.recording_prediction import FramesPrediction
from vol3d.scans.recordings.find import MARKERS_SUFFIX, is_recording
from vol3d.scans.results.detections import Detections
from vol3d.scans.source import ScanSource

SUFFIXES = {"csv": ".csv", "kitti": ".txt", "mcap": MARKERS_SUFFIX, "rrd": ".rrd"}
"""Format -> suffix of its file."""
_COLUMNS = ("class", "score", "x_m", "y_m", "z_m", "length_m", "width_m", "height_m", "yaw_rad")
_VELOCITY = ("vx_m_per_s", "vy_m_per_s")


def writer_of(name: str, source: ScanSource, calib: Path | None) -> Beside:
    """What writes a prediction of this scan in a format of `SUFFIXES`, and returns what it had to assume.

    Args:
        calib: KITTI's calibration of the camera, a file or a folder of `NAME.txt`; None is as KITTI lays it out, in
            `calib` beside the folder of the sweep.

    Raises:
        UsageError: no calibration; a format of single sweeps for a recording, or the other way round.
        DataError: it is damaged, or nothing says how large the image is.
        Vol3dError: the package that writes the format is not installed.
    """
    if is_recording(source.path):
        return Beside(_recording_writer(name, source.path))
    if name == "csv":
        return Beside(write_csv)
    if name == "kitti":
        return _kitti_writer(source, calib)
    do = f"Leave {name} out of --format: csv has each box."
    raise UsageError(f"{name} is of a recording, not of a single sweep", where=source.path, do=do)


def _recording_writer(name: str, path: Path) -> Callable[[FramesPrediction, Path], tuple[Note, ...]]:
    if name == "csv":
        return write_frames_csv
    if name == "mcap":
        from pointcloud.evaluation.markers import write_markers

        return write_markers
    if name == "rrd":
        from pointcloud.evaluation.rerun_file import require_rerun, write_rerun

        require_rerun(path)
        return write_rerun
    do = "Leave kitti out of --format: the lines of JSON and csv have each cloud."
    raise UsageError("KITTI's text is of a single sweep with a camera, not of a recording", where=path, do=do)


def write_csv(prediction: BoxPrediction, path: Path) -> tuple[Note, ...]:
    """One row a box, in the frame of the JSON: metres with z up, yaw counter-clockwise from +x."""
    columns = (*_COLUMNS, *_VELOCITY[: prediction.boxes.shape[1] - 7])
    return _write_table(path, columns, _rows(prediction))


def write_frames_csv(prediction: FramesPrediction, path: Path) -> tuple[Note, ...]:
    """One row a box of each cloud of a recording, with the number of the cloud and its time in seconds."""
    found = (result.found for result in prediction.frames)
    width = max((one.boxes.shape[1] for one in found if one is not None), default=7)
    rows = (
        (result.frame.number, result.frame.seconds, *row)
        for result in prediction.frames
        if result.found is not None
        for row in _rows(result.found)
    )
    return _write_table(path, ("frame", "time_s", *_COLUMNS, *_VELOCITY[: width - 7]), rows)


def _rows(prediction: BoxPrediction) -> list[tuple[object, ...]]:
    boxes = _with_origin(prediction).boxes.tolist()
    return [
        (name, score, *("" if np.isnan(value) else value for value in box))
        for name, score, box in zip(prediction.names, prediction.scores.tolist(), boxes, strict=True)
    ]


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> tuple[Note, ...]:
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return ()


def _kitti_writer(source: ScanSource, calib: Path | None) -> Beside:
    frame, number = source.path.absolute().parent.parent, source.name
    place = calib or frame / "calib"
    file = place / f"{number}.txt" if calib is None or place.is_dir() else place
    if not file.is_file():
        do = "Give it with --calib, a file or a folder of them."
        raise UsageError("KITTI's text needs the calibration of its camera", where=source.path, wanted=file, do=do)
    calibration = read_calibration(file)
    size, notes = camera_view(frame / "image_2" / number, calibration, file)

    def write(prediction: BoxPrediction, path: Path) -> tuple[Note, ...]:
        if not np.allclose(prediction.cloud.file_from_scan, np.eye(4), rtol=0, atol=1e-9):
            do = "Leave kitti out of --format."
            what = "KITTI's text needs a sweep in metres with z up, as its LiDAR has it"
            raise UsageError(what, where=source.path, got="a file with other axes or another unit", do=do)
        found = _with_origin(prediction)
        found = replace(found, class_names=chosen_names(found.class_names, TYPES, "--format kitti"))
        objects, _ = objects_in_image(found, calibration.lidar_from_camera, calibration.p2, size)
        write_kitti_objects(path, objects, scored=True)
        return notes + _unseen(len(found) - len(objects))

    return Beside(write, hashlib.sha256(f"{sha256(file)} {size}".encode()).hexdigest())


def _unseen(boxes: int) -> tuple[Note, ...]:
    """The note of boxes that KITTI's text has no place for."""
    text = "{boxes} boxes lie outside of the camera's image and are not in KITTI's text; the JSON has all"
    return (Note("boxes-outside-image", text, numbers={"boxes": boxes}),) if boxes else ()


def _with_origin(prediction: BoxPrediction) -> Detections:
    """The boxes in the coordinates of the JSON, float64."""
    found = prediction.detections
    boxes = found.boxes.astype(np.float64)
    boxes[:, :3] += prediction.cloud.origin
    return Detections(boxes, found.scores, found.labels, found.class_names, found.frame)
