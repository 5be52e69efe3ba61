"""What was found in a recording: a line of JSON for each cloud, and a summary that is bound to scan and model."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from vol3d.errors import UsageError
from vol3d.files import atomic, plain, sha256
from vol3d.notes import MergedNotes, Note, as_facts
from vol3d.prediction import BoxPrediction, Prediction
from vol3d.scans.recordings.find import recording_stem
from vol3d.scans.recordings.recording import Frame, Recording
from vol3d.scans.results.read import FORMAT
from vol3d.scans.results.record import way_to, write_record
from vol3d.scans.results.write import BOX, describe_objects

LINES_SUFFIX = ".jsonl"
_FRAME = "scan: file_from_scan of each line leads to its frame_id"


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What became of one cloud of a recording.

    Args:
        frame: the cloud, without its points: its number, times and coordinates.
        found: the boxes, without the points; None if it failed.
        error: why it failed.
        sweeps: how many clouds it was joined of.
        points: of these together.
        milliseconds: from its points to its boxes.
    """

    frame: Frame
    found: BoxPrediction | None = None
    error: str | None = None
    sweeps: int = 1
    points: int = 0
    milliseconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The line of the cloud, ready for JSON."""
        line: dict[str, Any] = {"frame": self.frame.number, "time": round(self.frame.seconds, 9)}
        line |= {"frame_id": self.frame.frame_id}
        if self.found is None:
            return {**line, "error": self.error}
        objects = describe_objects(self.found.detections, self.found.cloud.origin)
        about = {"sweeps": self.sweeps, "milliseconds": round(self.milliseconds, 3), "points": self.points}
        about["file_from_scan"] = self.found.cloud.file_from_scan.tolist()
        return {**line, **about, "objects": objects, **as_facts(self.found.notes)}


class _Summary:
    """What all clouds have in common, collected one after the other; the memory holds 8 bytes for each."""

    def __init__(self, frames: Sequence[FrameResult]) -> None:
        self.class_names: tuple[str, ...] = ()
        self.counts: Counter[str] = Counter()
        self.milliseconds, self.failed = array("d"), 0
        self.first_fault: str | None = None
        self.notes = MergedNotes()
        for frame in frames:
            if frame.found is None:
                self.first_fault = self.first_fault if self.failed else frame.error
                self.failed += 1
            else:
                self._add(frame.found, frame.milliseconds)

    def _add(self, found: BoxPrediction, milliseconds: float) -> None:
        self.class_names = self.class_names or found.class_names
        self.counts.update(found.names)
        self.milliseconds.append(milliseconds)
        for note in found.notes:
            self.notes.add(note)


@dataclass(frozen=True, eq=False)
class FramesPrediction(Prediction):
    """Objects in the clouds of a recording.

    Args:
        recording: the clouds.
        frames: one for each cloud that was meant, in order; of a long recording they are on disk, not in memory.
        said: what holds for the whole recording.
        resumed: how many clouds an interrupted run had left, and the seconds that it took for them.
        finished: removes what is kept on disk.
    """

    recording: Recording
    frames: Sequence[FrameResult]
    said: tuple[Note, ...] = field(default=())
    resumed: tuple[int, float] = (0, 0.0)
    finished: Callable[[], None] = lambda: None

    @property
    def done(self) -> list[FrameResult]:
        """The clouds that were predicted."""
        return [frame for frame in self.frames if frame.found is not None]

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was chosen for the recording, and each kind of note on its clouds once."""
        return (*self.recording.notes, *self.said, *self._summary.notes)

    @cached_property
    def _summary(self) -> _Summary:
        return _Summary(self.frames)

    def write(self, path: Path) -> tuple[Note, ...]:
        """The lines as `drive.jsonl`, and what they mean, with the record, as `drive.json`."""
        lines, source = path.with_suffix(LINES_SUFFIX), self.recording.path
        with atomic(lines) as temporary, temporary.open("wb") as file:
            for frame in self.frames:
                row = json.dumps(plain(frame.to_dict()), ensure_ascii=False, allow_nan=False)
                file.write(f"{row}\n".encode())
        about = {"format": FORMAT, "result": lines.name, "frame": _FRAME, "units": "m", "box": BOX}
        about |= {"source": source.name, "source_path": way_to(source, path.parent), **self._described()}
        kept, seconds = self.resumed
        spent = None if self.record.seconds is None else round(self.record.seconds + seconds, 3)
        record = replace(self.record, seconds=spent, files={**self.record.files, lines.name: sha256(lines)})
        write_record(path, about, record)
        return (resumed_note(kept, len(self.frames)),) if kept else ()

    def finish(self) -> None:
        """Removes what is kept on disk."""
        self.finished()

    def _described(self) -> dict[str, Any]:
        about = {"topic": self.recording.topic, "every": self.recording.every, **self.facts()}
        notes = self.notes
        about |= {"class_names": list(self._summary.class_names), "notes": [str(note) for note in notes]}
        return about | as_facts(notes)

    def facts(self) -> dict[str, Any]:
        """How many clouds and boxes, how long a cloud took (the median, without reading), and the first fault."""
        all_of = self._summary
        facts: dict[str, Any] = {"frames": len(all_of.milliseconds), "boxes": all_of.counts.total()}
        facts["found"] = ", ".join(f"{number} {name}" for name, number in all_of.counts.most_common())
        if all_of.milliseconds:
            facts["ms_a_frame"] = round(median(all_of.milliseconds), 1)
        return facts | ({"failed_frames": all_of.failed, "first_fault": all_of.first_fault} if all_of.failed else {})

    def rows(self) -> list[dict[str, Any]]:
        """Number, time, boxes and milliseconds of each cloud, and why one failed."""
        return [
            {
                "frame": result.frame.number,
                "time": result.frame.seconds,
                "boxes": None if result.found is None else len(result.found.detections),
                "milliseconds": result.milliseconds,
                "error": result.error,
            }
            for result in self.frames
        ]

    def _repr_html_(self) -> str:
        """Without a picture: the viewer shows one cloud at a time."""
        from vol3d.report.inline import table_html

        return table_html(self.rows())

    def to_dict(self) -> dict[str, Any]:
        """The summary and all lines."""
        about = {**self.record.terms, **self._described(), "source": str(self.recording.path)}
        return {**about, "lines": [frame.to_dict() for frame in self.frames]}

    def default_name(self) -> str:
        """`drive.json`."""
        return f"{recording_stem(self.recording.path)}.json"

    def on_disk(self, folder: Path) -> tuple[Path, FramesPrediction]:
        """Refused: the viewer shows one cloud of a recording at a time."""
        do = f"Run `vol3d view {self.recording.path.name} --frame N`."
        raise UsageError("a whole recording cannot be shown", where=self.recording.path, do=do)


def resumed_note(kept: int, count: int) -> Note:
    """How many of the clouds an interrupted run had predicted."""
    text = "{kept} of {clouds} clouds were kept from a run that was interrupted"
    return Note("clouds-kept", text, numbers={"kept": kept, "clouds": count})
