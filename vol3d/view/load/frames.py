"""A recording as a series of scenes: one of every so many clouds with the boxes that were found in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vol3d.errors import DataError, UsageError
from vol3d.scans.points.options import ReadOptions
from vol3d.scans.recordings.find import is_recording, recording_stem
from vol3d.scans.recordings.recording import Frame, Recording, open_recording, shown_cloud
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.frames import FrameLines
from vol3d.view.load.clouds import Belonging, as_boxes, belonging, scene_of, way_of
from vol3d.view.load.read import checked_opening, given_scan, kinds_of
from vol3d.view.scene import FrameScene, Opening

MOST_FRAMES = 200
"""How many scenes are held in memory, for the page and the window."""


def load_frames(
    paths: Sequence[str | Path],
    every: int,
    opening: Opening,
    points: ReadOptions,
    scan: str | Path | None,
    failed: Callable[[str], None],
) -> Iterator[FrameScene]:
    """The clouds of a recording, each with its boxes, in order; one that cannot be shown is reported.

    Args:
        paths: a recording and the JSON of its boxes; of boxes alone, the recording that they name.
        every: one of so many clouds.
        opening, points, scan: as of `load_view`.
        failed: is given the reason of each cloud that cannot be shown.

    Raises:
        UsageError: as `open_recording`; something else than one recording and its boxes.
        DataError: no cloud could be shown; and as `open_recording`.
    """
    files = _files(paths, scan)
    recording = open_recording(files.clouds[0], points.topic, every, points)
    lines = {path: one.lines for path, one in files.boxes.items() if one.lines is not None}
    first: np.ndarray | None = None
    for frame in recording.frames(frozenset(recording.wanted)):
        if frame.cloud is None:
            failed(f"frame {frame.number}: {frame.error}")
            continue
        try:
            one = _scene(recording, frame, lines, files)
        except DataError as fault:
            failed(f"frame {frame.number}: {fault}")
            continue
        if first is None:
            opening = checked_opening(one.scene, opening)
            first = one.scene.points[0].xyz
        yield one._replace(scene=replace(one.scene, opening=opening, around=first))
    if first is None:
        raise DataError("no cloud of the recording can be shown", where=recording.path)


def _files(paths: Sequence[str | Path], scan: str | Path | None) -> Belonging:
    """One recording and its boxes. Raises UsageError for anything else."""
    kinds = kinds_of(paths)
    files = belonging(kinds["points"], kinds["boxes"], given_scan(scan, "points"))
    if kinds["volume"] or len(files.clouds) != 1 or not is_recording(files.clouds[0]):
        got = ", ".join(path.name for path in [*files.clouds, *kinds["volume"]])
        raise UsageError("--every is of one recording", got=got, wanted="a bag, an .mcap or a .db3 file")
    if other := [path for path, one in files.boxes.items() if one.lines is None]:
        raise UsageError("these are no boxes of a recording", where=other[0], do="Leave --every out.")
    return files


def _scene(recording: Recording, frame: Frame, lines: dict[Path, FrameLines], files: Belonging) -> FrameScene:
    ways = {path: way_of(path, of_file.matrix(frame.number)) for path, of_file in lines.items()}
    made_for = {path: files.boxes[path]._replace(file_from_scan=way) for path, way in ways.items()}
    cloud, said, found = as_boxes(shown_cloud(recording, frame), made_for), list(files.notes), []
    for path, of_file in lines.items():
        boxes, why = _boxes(of_file, frame.number, cloud.origin)
        found.append((path, boxes))
        said += [] if why is None else [why]
    title = f"{recording_stem(recording.path)}, frame {frame.number} of {recording.count}"
    return FrameScene(frame.number, scene_of(title, [cloud], found, said, (recording.path, *lines)))


def _boxes(lines: FrameLines, frame: int, origin: np.ndarray) -> tuple[Detections, str | None]:
    """The boxes of a cloud; none, and why, where it was not predicted."""
    empty = Detections(np.zeros((0, 7), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), lines.class_names)
    if frame not in lines.rows:
        return empty, f"{lines.path.name} has no line of frame {frame}"
    if "error" in (line := lines.rows[frame][1]):
        return empty, f"frame {frame} was not predicted: {line['error']}"
    return lines.boxes(frame, origin), None
