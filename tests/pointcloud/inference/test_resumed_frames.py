"""A recording that is predicted in several runs: killed, cut and resumed, with the bytes of one that was not."""

from __future__ import annotations

import json
import os
import signal
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pointcloud.evaluation.exports import write_frames_csv
from pointcloud.evaluation.markers import write_markers
from pointcloud.inference.frames import predict_frames
from tests.pointcloud.inference.test_frames import drive, one_box
from tests.vol3d.scans.recordings.bags import CLOUD, cloud_message, needs_rosbags, table_of, wall, write_bag
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.frame_store import FrameStore, part_path
from vol3d.prediction import BoxPrediction, Unfinished
from vol3d.recording_prediction import FramesPrediction
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.recordings.recording import Frame, Recording, open_recording
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.record import Record
from vol3d.terminal import speaking

needs_rosbags()
RECORD = Record(input_sha256="a" * 64, model="m", model_sha256=("b" * 64,), seconds=1.0)
Predict = Callable[[PointCloud], BoxPrediction]


def moving(cloud: PointCloud) -> BoxPrediction:
    """Boxes of as many sweeps as were joined, some with half a velocity; one cloud fails, one is empty."""
    sweeps = np.unique(cloud.columns["time"]) if "time" in cloud.columns else np.zeros(1)
    if round(float(cloud.xyz[0, 0])) == 17:
        raise DataError("not this one")
    count = 0 if round(float(cloud.xyz[0, 0])) == 15 else len(sweeps)
    boxes = np.tile(np.array([[0.1, 2, 0, 4, 2, 1.5, 0.3, 1.25, np.nan]], np.float32), (count, 1))
    boxes[:, 0] = cloud.xyz[0, 0] + sweeps[:count]
    return BoxPrediction(
        Detections(boxes, np.full(count, 0.9, np.float32), np.zeros(count, int), ("car", "van")), cloud
    )


def stopping(predict: Predict, after: int, stop: Callable[[], object]) -> Predict:
    """The same for so many clouds; then `stop` is called."""
    left = [after]

    def found(cloud: PointCloud) -> BoxPrediction:
        if not left[0]:
            stop()
        left[0] -= 1
        return predict(cloud)

    return found


def interrupt() -> None:
    raise KeyboardInterrupt


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def unfinished(folder: Path, record: Record = RECORD, replaced: bool = False) -> Unfinished:
    return Unfinished(folder / "drive.json", record, replaced)


def run(bag: Path, folder: Path, predict: Predict, every: int = 1, sweeps: int = 3) -> FramesPrediction:
    recording = open_recording(bag, every=every)
    return replace(predict_frames(recording, sweeps, predict, unfinished=unfinished(folder)), record=RECORD)


def contents(found: FramesPrediction, folder: Path) -> dict[str, bytes]:
    """All that is written, without what a clock measured."""
    notes = found.write(folder / "drive.json")
    write_frames_csv(found, folder / "drive.csv")
    write_markers(found, folder / "drive.boxes.mcap")
    found.finish()
    assert [note.code for note in notes] == (["clouds-kept"] if found.resumed[0] else [])
    lines = [json.loads(line) for line in (folder / "drive.jsonl").read_text("utf-8").splitlines()]
    timeless = [{key: value for key, value in line.items() if key != "milliseconds"} for line in lines]
    summary = json.loads((folder / "drive.json").read_text("utf-8"))
    del summary["ms_a_frame"], summary["record"]
    files = {name: (folder / name).read_bytes() for name in ("drive.csv", "drive.boxes.mcap")}
    assert sorted(path.name for path in folder.iterdir()) == [*sorted(files), "drive.json", "drive.jsonl"]
    return files | {"lines": json.dumps(timeless).encode(), "summary": json.dumps(summary).encode()}


def in_a_child(work: Callable[[], object]) -> int:
    """Runs `work` in a forked process; the signal that ended it."""
    if not (child := os.fork()):
        try:
            work()
        finally:
            os._exit(1)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drive(tmp_path_factory.mktemp("bag") / "drive", clouds=9)


def whole(bag: Path, folder: Path, every: int = 1, sweeps: int = 3) -> dict[str, bytes]:
    folder.mkdir()
    return contents(run(bag, folder, moving, every, sweeps), folder)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_run_goes_on_and_ends_with_the_bytes_of_one_that_was_not(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for after in (4, 3):  # killed twice
        assert in_a_child(lambda after=after: run(bag, out, stopping(moving, after, die))) == signal.SIGKILL
        assert [path.name for path in out.iterdir()] == ["drive.jsonl.part"]  # nothing has a final name
    with speaking():
        found = run(bag, out, moving)
    assert found.resumed[0] == 7 and "7 of 9 clouds were kept" in capsys.readouterr().err
    assert contents(found, out) == whole(bag, tmp_path / "whole")


@pytest.mark.parametrize("every, sweeps", [(1, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_ctrl_c_anywhere_changes_nothing(bag: Path, tmp_path: Path, every: int, sweeps: int, after: int) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(bag, out, stopping(moving, after, interrupt), every, sweeps)
    found = run(bag, out, moving, every, sweeps)
    assert found.resumed[0] >= after  # a cloud that failed before is kept too
    assert contents(found, out) == whole(bag, tmp_path / "whole", every, sweeps)


def test_nothing_is_predicted_again_where_only_the_files_were_not_written(bag: Path, tmp_path: Path) -> None:
    first = [one.to_dict() for one in run(bag, tmp_path, moving).frames]
    found = run(bag, tmp_path, stopping(moving, 0, interrupt))
    assert found.resumed[0] == 9 and [one.to_dict() for one in found.frames] == first  # milliseconds too


@pytest.mark.parametrize("cut", [1, 20, 400])
def test_a_line_that_was_cut_is_predicted_again(bag: Path, tmp_path: Path, cut: int) -> None:
    out = tmp_path / "out"
    run(bag, out, moving)
    part = part_path(out / "drive.json")
    os.truncate(part, part.stat().st_size - cut)
    found = run(bag, out, moving)
    assert found.resumed[0] == 8
    assert contents(found, out) == whole(bag, tmp_path / "whole")


@pytest.mark.parametrize("start", [b"", b"x", b"{}\n", b'{"format": 1, "record": {}}\n', b'{"format": 1'])
def test_what_does_not_begin_as_a_store_is_no_run(bag: Path, tmp_path: Path, start: bytes) -> None:
    part_path(tmp_path / "drive.json").write_bytes(start)
    found = run(bag, tmp_path, moving)
    assert found.resumed[0] == 0 and len(found.frames) == 9


def test_the_beginning_of_another_result_is_not_continued(bag: Path, tmp_path: Path) -> None:
    run(bag, tmp_path, moving)
    for other in (replace(RECORD, input_sha256="c" * 64), replace(RECORD, settings={"predict.score": 0.5})):
        with pytest.raises(UsageError, match=r"the beginning of another result is there.*--overwrite"):
            FrameStore.open(unfinished(tmp_path, other))
        assert len(FrameStore.open(unfinished(tmp_path))) == 9
    assert len(FrameStore.open(unfinished(tmp_path, other, replaced=True))) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_runs_do_not_write_into_one_store(bag: Path, tmp_path: Path) -> None:
    store = FrameStore.open(unfinished(tmp_path))

    def second() -> None:
        try:
            FrameStore.open(unfinished(tmp_path))
        except Vol3dError as fault:
            if "another run is predicting this recording" in str(fault):
                os.kill(os.getpid(), signal.SIGTERM)

    assert in_a_child(second) == signal.SIGTERM
    store.remove()


def test_clocks_that_were_set_back_and_clouds_that_fail_do_not_matter(tmp_path: Path) -> None:
    stamps, x = [1.0, 1.1, 1.2, 1.0, 1.1, 1.2, 1.3], [20.0, 19, 18, 20, 19, 18, 17]
    points = [np.array([[one, 5, 0, 0.5], [-8, 3, 0.5, 0.5]], np.float32) for one in x]
    messages = [
        ("/p", CLOUD, 9.0 + number, cloud_message(table_of(cloud), at))
        for number, (at, cloud) in enumerate(zip(stamps, points, strict=True))
    ]
    bag = write_bag(tmp_path / "loop", messages)
    expected = whole(bag, tmp_path / "whole")
    assert b"the clock runs backwards" in expected["lines"]
    for after in range(1, 6):
        out = tmp_path / f"out{after}"
        with pytest.raises(KeyboardInterrupt):
            run(bag, out, stopping(moving, after, interrupt))
        assert contents(run(bag, out, moving), out) == expected


def test_a_recording_that_breaks_off_ends_once(bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vol3d.scans.recordings import recording

    messages = recording._messages

    def broken(path: Path, wanted: dict[str, str]):
        for number, one in enumerate(messages(path, wanted)):
            if number == 4 and "/points" in wanted:
                raise DataError("the recording cannot be read", where=path)
            yield one

    monkeypatch.setattr(recording, "_messages", broken)
    for _ in range(2):
        found = run(bag, tmp_path, moving, every=3)
        assert [one.frame.number for one in found.frames] == [0, 3, 4] and found.frames[2].error is not None
    assert found.resumed[0] == 3


def test_the_memory_does_not_grow_with_the_number_of_clouds(monkeypatch: pytest.MonkeyPatch) -> None:
    xyz = wall(50)[:, :3].astype(np.float32)

    def peak(clouds: int) -> int:
        recording = Recording(Path("long"), "/points", clouds, ())
        made = (Frame(number, number, number, "lidar", PointCloud(xyz.copy())) for number in range(clouds))
        monkeypatch.setattr(Recording, "frames", lambda *_: made)
        tracemalloc.start()
        found = predict_frames(recording, 1, one_box)
        assert found.facts()["boxes"] == clouds and len(found.notes) == 0
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)
    assert (peak(600) - peak(100)) / 500 < 60  # bytes a cloud: 8 for its place, 8 for its time, and growing room
