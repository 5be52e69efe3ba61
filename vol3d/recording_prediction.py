"""What was found in a recording: a line of JSON for each cloud, and a summary that is bound to scan and model."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from vol3d.errors import UsageError
from vol3d.files import plain, sha256, write_text
from vol3d.notes import Note, merge_notes
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
        notes = [note.to_dict() for note in self.found.notes]
        objects = describe_objects(self.found.detections, self.found.cloud.origin)
        about = {"sweeps": self.sweeps, "milliseconds": round(self.milliseconds, 3), "points": self.points}
        about["file_from_scan"] = self.found.cloud.file_from_scan.tolist()
        return {**line, **about, "objects": objects, "assumptions": notes}


@dataclass(frozen=True, eq=False)
class FramesPrediction(Prediction):
    """Objects in the clouds of a recording.

    Args:
        recording: the clouds.
        frames: one for each cloud that was meant, in order.
        said: what holds for the whole recording.
    """

    recording: Recording
    frames: tuple[FrameResult, ...]
    said: tuple[Note, ...] = field(default=())

    @property
    def done(self) -> list[FrameResult]:
        """The clouds that were predicted."""
        return [frame for frame in self.frames if frame.found is not None]

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was chosen for the recording, and each kind of note on its clouds once."""
        kinds: dict[tuple[str, str | None, str | None], list[Note]] = {}
        for frame in self.done:
            for note in frame.found.notes if frame.found is not None else ():
                kinds.setdefault(note.kind, []).append(note)
        return (*self.recording.notes, *self.said, *(merge_notes(notes) for notes in kinds.values()))

    def write(self, path: Path) -> tuple[Note, ...]:
        """The lines as `drive.jsonl`, and what they mean, with the record, as `drive.json`."""
        lines, source = path.with_suffix(LINES_SUFFIX), self.recording.path
        rows = (json.dumps(plain(frame.to_dict()), ensure_ascii=False, allow_nan=False) for frame in self.frames)
        write_text(lines, "".join(f"{row}\n" for row in rows))
        about = {"format": FORMAT, "result": lines.name, "frame": _FRAME, "units": "m", "box": BOX}
        about |= {"source": source.name, "source_path": way_to(source, path.parent), **self._described()}
        write_record(path, about, replace(self.record, files={**self.record.files, lines.name: sha256(lines)}))
        return ()

    def _described(self) -> dict[str, Any]:
        names = self.done[0].found.class_names if self.done and self.done[0].found is not None else ()
        about = {"topic": self.recording.topic, "every": self.recording.every, **self.facts()}
        notes = self.notes
        about |= {"class_names": list(names), "notes": [str(note) for note in notes]}
        return about | {"assumptions": [note.to_dict() for note in notes]}

    def facts(self) -> dict[str, Any]:
        """How many clouds and boxes, how long a cloud took (the median, without reading), and the first fault."""
        failed = [frame for frame in self.frames if frame.found is None]
        counts: Counter[str] = Counter()
        for frame in self.done:
            counts.update(frame.found.names if frame.found is not None else ())
        facts: dict[str, Any] = {"frames": len(self.done), "boxes": counts.total()}
        facts["found"] = ", ".join(f"{number} {name}" for name, number in counts.most_common())
        if self.done:
            facts["ms_a_frame"] = round(median(frame.milliseconds for frame in self.done), 1)
        return facts | ({"failed_frames": len(failed), "first_fault": failed[0].error} if failed else {})

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
        return {**self._described(), "source": str(self.recording.path), "lines": [f.to_dict() for f in self.frames]}

    def default_name(self) -> str:
        """`drive.json`."""
        return f"{recording_stem(self.recording.path)}.json"

    def on_disk(self, folder: Path) -> tuple[Path, FramesPrediction]:
        """Refused: the viewer shows one cloud of a recording at a time."""
        do = f"Run `vol3d view {self.recording.path.name} --frame N`."
        raise UsageError("a whole recording cannot be shown", where=self.recording.path, do=do)
