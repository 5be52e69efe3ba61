"""`vol3d view RECORDING --every N`: scenes of a recording's clouds with their boxes, pictures, the page, the window."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.vol3d.scans.recordings.bags import CLOUD, cloud_message, needs_rosbags, table_of, wall, write_bag
from tests.vol3d.view.page.browser import Browser
from tests.vol3d.view.page.test_page import until
from vol3d.cli.console import SOME_FAILED
from vol3d.cli.view_frames import view_frames
from vol3d.cli.view_shown import Shown
from vol3d.errors import DataError, UsageError
from vol3d.scans.points.options import ReadOptions
from vol3d.view.load.frames import load_frames
from vol3d.view.page.server import PageServer
from vol3d.view.page.serving import pages_of
from vol3d.view.scene import FrameScene, Opening

needs_rosbags()
CAR = {"class": "car", "score": 0.9, "center": [5, 1, 0], "size": [4, 2, 1.5], "yaw": 0.3}
VAN = {**CAR, "class": "van", "score": 0.4}


def bag(path: Path, stamps: tuple[float, ...] = (1.0, 1.1, 1.2, 1.3, 1.4)) -> Path:
    messages = [
        ("/points", CLOUD, 10 + number, cloud_message(table_of(wall(seed=number)), at))
        for number, at in enumerate(stamps)
    ]
    return write_bag(path, messages)


def lines(folder: Path, rows: list[dict[str, Any]]) -> Path:
    summary = {
        "format": 1,
        "result": "drive.jsonl",
        "source": "drive",
        "topic": "/points",
        "class_names": ["car", "van"],
    }
    (folder / "drive.json").write_text(json.dumps(summary), "utf-8")
    (folder / "drive.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder / "drive.jsonl"


def results(folder: Path) -> Path:
    found = [
        {"frame": 0, "objects": [CAR]},
        {"frame": 2, "error": "not this one"},
        {"frame": 4, "objects": [CAR, VAN]},
    ]
    return lines(folder, found)


def shown(paths: list[Path], every: int = 1, topic: str | None = None) -> tuple[list[FrameScene], list[str]]:
    failed: list[str] = []
    options = ReadOptions(topic=topic)
    return list(load_frames(paths, every, Opening(score=0.3), options, None, failed.append)), failed


def test_every_cloud_has_its_own_boxes(tmp_path: Path) -> None:
    (zero, two, four), failed = shown([bag(tmp_path / "drive"), results(tmp_path)], every=2)
    assert not failed and [one.number for one in (zero, two, four)] == [0, 2, 4]
    assert [len(one.scene.boxes[0].detections) for one in (zero, two, four)] == [1, 0, 2]
    np.testing.assert_array_equal(four.scene.points[0].xyz, wall(seed=4).astype(np.float32)[:, :3])
    assert "frame 4 of 5" in four.scene.title and "frame 2 was not predicted: not this one" in two.scene.notes
    assert two.scene.around is zero.scene.points[0].xyz  # the pictures of a series have one view
    (_, one, *_), _ = shown([tmp_path / "drive.json"])  # the recording is found by its boxes
    assert "drive.jsonl has no line of frame 1" in one.scene.notes


def test_a_clock_that_runs_backwards_is_reported_and_the_next_cloud_follows(tmp_path: Path) -> None:
    series, failed = shown([bag(tmp_path / "drive", (1.0, 1.1, 0.5, 1.2))])
    assert [one.number for one in series] == [0, 1, 3]
    assert len(failed) == 1 and failed[0].startswith("frame 2: ") and "the clock runs backwards" in failed[0]


def test_a_missing_topic_lists_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such topic; got /points \(sensor_msgs/msg/PointCloud2, 5\)"):
        shown([bag(tmp_path / "drive")], topic="/cloud")


def test_only_a_recording_and_its_boxes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", wall())
    with pytest.raises(UsageError, match=r"of one recording; got a\.npy"):
        shown([tmp_path / "a.npy"])
    boxes = {"format": 1, "class_names": ["car"], "objects": [CAR], "source": "drive"}
    (tmp_path / "b.json").write_text(json.dumps(boxes), "utf-8")
    with pytest.raises(UsageError, match="no boxes of a recording"):
        shown([bag(tmp_path / "drive"), tmp_path / "b.json"])
    empty = write_bag(tmp_path / "e", [("/p", CLOUD, 1.0, cloud_message(table_of(wall())[:0], 1.0))])
    with pytest.raises(DataError, match="no cloud of the recording can be shown"):
        shown([empty])


def test_pictures_are_numbered_and_a_bad_cloud_is_status_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(bag(tmp_path / "drive", (1.0, 1.1, 0.5))), str(results(tmp_path))]
    way = Shown(tmp_path / "p.png", False, False, None, (320, 240), True)
    assert view_frames(files, 1, Opening(), ReadOptions(), None, way) == SOME_FAILED
    assert [path.name for path in sorted(tmp_path.glob("*.png"))] == ["p-000000.png", "p-000001.png"]
    listed = json.loads(capsys.readouterr().out)
    assert len(listed["pictures"]) == 2 and "clock runs backwards" in listed["failed"][0]
    with pytest.raises(UsageError, match="one cloud or several"):
        view_frames(files, 1, Opening(), ReadOptions(frame=1), None, way)
    with pytest.raises(UsageError, match="no such class"):
        view_frames(files, 1, Opening(classes=("bus",)), ReadOptions(), None, way)


def test_too_many_clouds_for_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vol3d.view.load.frames.MOST_FRAMES", 2)
    way = Shown(None, False, True, None, (320, 240), False)
    with pytest.raises(UsageError, match=r"more than 2.*--every 2"):
        view_frames([str(bag(tmp_path / "drive"))], 1, Opening(), ReadOptions(), None, way)


def test_the_page_steps_through_the_clouds_and_keeps_what_was_chosen(tmp_path: Path) -> None:
    series, _ = shown([bag(tmp_path / "drive"), results(tmp_path)], every=2)
    pages = pages_of(series)
    with Browser() as browser, PageServer(pages[0](), None, pages) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        browser.open(server.url)
        until(browser, lambda state: state.get("ready"))
        browser.run("vol3d.view.filter.score = 0.6; vol3d.view.stage.stand([1, 2, 3], [9, 8, 7])")
        for number in (2, 4):
            browser.run("document.querySelectorAll('#frame .buttons button')[1].click()")
            end = time.monotonic() + 60
            while not browser.run("return location.pathname").endswith(f"/frame/{number}/"):
                assert time.monotonic() < end
                time.sleep(0.05)
            until(browser, lambda state: state.get("ready"))
        assert browser.run("return vol3d.state.boxes[0]") == {"name": "found", "count": 2, "shown": 1}
        assert browser.run("return vol3d.view.stage.standing.position.map(Math.round)") == [9, 8, 7]
        assert browser.log() == []
        server.shutdown()
