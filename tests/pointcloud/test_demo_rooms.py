"""The demo's second part on two rooms: with a network that knows nothing, and with the one that is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointcloud import demo_rooms as demo
from pointcloud.structures.class_names import SCANNET_CLASSES
from tests.vol3d.untrained import save_untrained
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.scans.results.read import read_detections

SMALL = [
    "model.aggregation={points: 64, radius_m: 0.4, neighbours: 8, widths: [16, 32]}",
    "model.interim={points: 32, radius_m: 0.8, neighbours: 8, widths: [32, 32]}",
    "model.width=32",
    "model.queries=16",
    "model.decoder_layers=1",
    "points=1024",
]


def check_results(out: Path, said: str) -> None:
    assert (out / "report.html").read_text("utf-8").count("<img") >= 2, "best and worst of two"
    assert (out / "room.png").read_bytes().startswith(b"\x89PNG")
    found = sorted((out / "boxes").glob("*.json"))
    assert len(found) == 2 and all(read_detections(path).class_names == SCANNET_CLASSES for path in found)
    assert all(word in said for word in ("AP25", "AP50 ", "report", "vol3d view"))


@pytest.fixture
def untrained(tmp_path: Path) -> str:
    """A run's folder with a very small network that knows nothing."""
    task = load_task("3detr_rooms_small", [f"data.root={tmp_path}", *SMALL])
    task = type(task)(task.settings.model_copy(update={"class_names": SCANNET_CLASSES}))
    return save_untrained(tmp_path / "run", task)


def test_with_an_untrained_network(untrained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(demo, "MODEL", untrained)
    assert main(["demo", "-o", str(tmp_path / "out"), "--cases", "2", "--only", "rooms"]) == 0
    check_results(tmp_path / "out" / "rooms", capsys.readouterr().out)


def test_with_the_shipped_network(tmp_path: Path, capsys):
    assert main(["demo", "-o", str(tmp_path / "out"), "--cases", "2", "--only", "rooms"]) == 0
    said = capsys.readouterr().out
    check_results(tmp_path / "out" / "rooms", said)
    score = next(float(line.split()[1].strip(",")) for line in said.splitlines() if line.startswith("AP25"))
    assert score > 0.3


def test_no_such_part(capsys):
    assert main(["demo", "--only", "kitchen"]) == 2
    assert main(["demo", "--background", "grey"]) == 2
    assert "--only: no such part" in capsys.readouterr().err
