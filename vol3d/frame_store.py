"""The results of a recording on disk while it is predicted: a line for each cloud, so that an interrupted run goes on.

`drive.jsonl.part` begins with a line that binds it to recording, model and settings. Each further line is that of the
final `drive.jsonl`, and under `kept` what that leaves out: the boxes as they were computed, the times of the message,
and where the run stood. A line that was cut is left out. The memory holds 8 bytes for each cloud.
"""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, overload

import numpy as np

from vol3d.errors import UsageError
from vol3d.files import explain, make_folder, plain
from vol3d.lock import FolderBusyError, claim
from vol3d.notes import Note, sort_notes
from vol3d.prediction import BoxPrediction, Unfinished
from vol3d.recording_prediction import LINES_SUFFIX, FrameResult
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.recordings.recording import Frame, Position
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.record import Record

PART_SUFFIX = f"{LINES_SUFFIX}.part"
_KEPT, _FORMAT = "kept", 1
_EMPTY = np.zeros((0, 3), np.float32)


class Place(NamedTuple):
    """Where a run stands in a recording.

    Args:
        position: the last cloud.
        earlier: the numbers of the clouds that lend their points to the next one, the newest first.
        seconds: how long it took to come here.
        ended: the recording breaks off here.
    """

    position: Position = Position()
    earlier: tuple[int, ...] = ()
    seconds: float = 0.0
    ended: bool = False


class FrameStore(Sequence[FrameResult]):
    """What became of the clouds of a recording, in order; made by `temporary` or `open`.

    Attributes:
        place: where the run stands after the last of them.
        resumed: how many an interrupted run has left.
    """

    def __init__(self, file: IO[bytes], path: Path | None = None) -> None:
        self._file, self._path = file, path
        self._begins = array("q")
        self._end, self.resumed, self.place = 0, 0, Place()

    @staticmethod
    def temporary() -> FrameStore:
        """A store of its own that vanishes with its last user."""
        return FrameStore(tempfile.TemporaryFile())

    @staticmethod
    def open(unfinished: Unfinished) -> FrameStore:
        """The store beside a result, with what an interrupted run of the same recording, model and settings has left.

        Raises:
            UsageError: what is there is of another recording, model or settings, and must not be replaced.
            Vol3dError: another process is predicting the same; the folder cannot be written.
        """
        path = part_path(unfinished.result)
        make_folder(path.parent)
        try:
            file = path.open("a+b")
        except OSError as error:
            explain(error, path)
        claim(file, FolderBusyError("another run is predicting this recording", where=path, do="Wait for it."), path)
        store = FrameStore(file, path)
        store._resume(unfinished)
        return store

    def _resume(self, unfinished: Unfinished) -> None:
        """Takes over the whole lines of an equal run, and cuts what comes after them."""
        self._file.seek(0)
        record = _record_of(self._file.readline())
        other = None if record is None else record.other_than(unfinished.record)
        if other is not None and not unfinished.replace:
            what, do = "the beginning of another result is there", "Give --overwrite to replace it, or another folder."
            raise UsageError(what, where=self._path, got=f"one of {other}", do=do)
        if record is None or other is not None:
            self._cut(0)
            self._write({"format": _FORMAT, "record": unfinished.record.to_dict()})
            return
        self._end = self._file.tell()
        while row := _row_of(self._file.readline()):
            self._begins.append(self._end)
            self._end, self.place = self._file.tell(), _place(row)
        self._cut(self._end)
        self.resumed = len(self)

    def _cut(self, end: int) -> None:
        self._file.truncate(end)
        self._end = end

    def append(self, result: FrameResult, place: Place) -> None:
        """Adds the next cloud. Raises Vol3dError if the disk is full."""
        self._begins.append(self._end)
        self._write({**result.to_dict(), _KEPT: _facts(result, place)})
        self.place = place

    def _write(self, row: dict[str, Any]) -> None:
        text = json.dumps(plain(row), ensure_ascii=False, allow_nan=False).encode() + b"\n"
        try:
            self._file.seek(self._end)
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            explain(error, self._path or Path(tempfile.gettempdir()))
        self._end += len(text)

    def __len__(self) -> int:
        return len(self._begins)

    @overload
    def __getitem__(self, index: int) -> FrameResult: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[FrameResult, ...]: ...
    def __getitem__(self, index: int | slice) -> FrameResult | tuple[FrameResult, ...]:
        if isinstance(index, slice):
            return tuple(self[one] for one in range(*index.indices(len(self))))
        self._file.seek(self._begins[index])
        return _result(json.loads(self._file.readline()))

    def remove(self) -> None:
        """Ends the store: what it holds has been written elsewhere."""
        self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def part_path(result: Path) -> Path:
    """`out/drive.jsonl.part` of `out/drive.json`."""
    return result.with_suffix(PART_SUFFIX)


def _record_of(line: bytes) -> Record | None:
    """The record that a store begins with; None where it does not."""
    try:
        head = json.loads(line)
        return Record.from_dict(head["record"]) if head["format"] == _FORMAT and line.endswith(b"\n") else None
    except (KeyError, TypeError, ValueError):
        return None


def _row_of(line: bytes) -> dict[str, Any] | None:
    """The row of a line; None for one that was cut, and at the end."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
        return row if row is not None and _place(row) and _result(row) else None
    except (KeyError, TypeError, ValueError):
        return None


def _facts(result: FrameResult, place: Place) -> dict[str, Any]:
    """What `_place` and `_result` need besides the line."""
    number, stamp_ns = place.position
    stands = [number, stamp_ns, place.earlier, place.seconds, place.ended]
    facts: dict[str, Any] = {"stamp_ns": result.frame.stamp_ns, "recorded_ns": result.frame.recorded_ns}
    facts["place"] = stands
    if result.found is not None:
        found, cloud = result.found.detections, result.found.cloud
        facts |= {"boxes": found.boxes.tolist(), "width": found.boxes.shape[1], "labels": found.labels.tolist()}
        facts |= {"class_names": found.class_names, "axes": found.frame, "origin": cloud.origin.tolist()}
        facts |= {
            "source": cloud.source,
            "templates": [note.template for notes in sort_notes(cloud.notes) for note in notes],
        }
    return facts


def _place(row: dict[str, Any]) -> Place:
    number, stamp_ns, earlier, seconds, ended = row[_KEPT]["place"]
    return Place(Position(int(number), int(stamp_ns)), tuple(map(int, earlier)), float(seconds), bool(ended))


def _result(row: dict[str, Any]) -> FrameResult:
    kept = row[_KEPT]
    frame = Frame(row["frame"], kept["stamp_ns"], kept["recorded_ns"], row["frame_id"])
    if "boxes" not in kept:
        return FrameResult(frame, error=row["error"])
    boxes = np.array(kept["boxes"], np.float32).reshape(-1, kept["width"])
    scores = np.array([one["score"] for one in row["objects"]], np.float32)
    labels, names = np.array(kept["labels"], np.int64), tuple(kept["class_names"])
    rows = zip([*row["assumptions"], *row["remarks"]], kept["templates"], strict=True)
    cloud = PointCloud(
        _EMPTY,
        origin=np.array(kept["origin"], np.float64),
        source=None if kept["source"] is None else Path(kept["source"]),
        notes=tuple(Note.from_dict(note, template) for note, template in rows),
        file_from_scan=np.array(row["file_from_scan"], np.float64),
    )
    found = BoxPrediction(Detections(boxes, scores, labels, names, kept["axes"]), cloud)
    return FrameResult(frame, found, None, row["sweeps"], row["points"], row["milliseconds"])
