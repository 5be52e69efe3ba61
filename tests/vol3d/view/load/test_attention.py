"""Attention as colours of a scan: values, the place that looks, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vol3d.view.scenes import organs, room, room_points, write_room
from vol3d.api import load
from vol3d.cli.main import main
from vol3d.errors import UsageError
from vol3d.scans.results.attention import AttentionMap
from vol3d.view.draw.colours import hex_table, point_colours
from vol3d.view.load.attention import require_scan, with_attention
from vol3d.view.page.payload import describe
from vol3d.view.theme import DARK

SCAN = replace(room(), boxes=(), origin=np.array([100.0, 0, 0]))
MAP = AttentionMap(np.array([[101.0, 1, 0], [103, 3, 0]]), np.array([0.25, 0.75], np.float32), 0, 4)


def test_points_have_the_weight_of_the_nearest_encoded_point() -> None:
    scene = with_attention(SCAN, MAP, np.array([101.2, 1, 0]), "a-model")
    (layer,), (mark,) = scene.points, scene.boxes
    near = np.linalg.norm(layer.xyz - [1, 1, 0], axis=1) < np.linalg.norm(layer.xyz - [3, 3, 0], axis=1)
    assert layer.attention is not None and layer.attention.tolist() == np.where(near, 25, 75).tolist()
    assert layer.sources()[0] == "attention" and mark.detections.boxes[0, :3].tolist() == [1, 1, 0]
    ends = hex_table(DARK.intensities)[[0, -1]].tolist()
    assert {tuple(colour) for colour in point_colours(layer).tolist()} == {tuple(end) for end in ends}
    assert "(101.00, 1.00, 0.00), 0.20 m from the place" in scene.notes[0]
    assert "mean of 4 heads" in scene.notes[0] and "weights 25 to 75 %, even would be 50 %" in scene.notes[0]


def test_the_page_gets_the_weights_with_their_range() -> None:
    described = describe(with_attention(SCAN, MAP, np.array([101.0, 1, 0]), "a-model"))
    (cloud,) = described.description["clouds"]
    assert cloud["attention_range"] == (25.0, 75.0) and "attention" in cloud["buffers"]
    assert described.description["sources"][0] == "attention" and b"attention" in described.json()


@pytest.mark.parametrize("scene", [room(), organs(), replace(SCAN, points=SCAN.points * 2)])
def test_anything_but_one_cloud_is_refused(scene) -> None:
    with pytest.raises(UsageError, match="--attention: attention is shown of one point cloud alone"):
        require_scan(scene, np.zeros(3))


def test_a_place_far_from_the_scan_is_refused() -> None:
    require_scan(SCAN, np.array([101.0, 1, 0.5]))
    with pytest.raises(UsageError, match=r"no point of the scan is near that place; got \(0, 0, 0\), 100\.0 m from"):
        require_scan(SCAN, np.zeros(3))


def test_a_picture_of_a_shipped_model(tmp_path: Path, capsys) -> None:
    scan, _ = write_room(tmp_path)
    out = tmp_path / "attention.png"
    words = [
        "view",
        str(scan),
        "--model",
        "3detr-rooms",
        "--attention",
        "1,1,0",
        "--png",
        str(out),
        "--size",
        "640x400",
    ]
    assert main([*words, "--up", "z", "--units", "m"]) == 0 and out.read_bytes().startswith(b"\x89PNG")
    assert "note: attention of 3detr-rooms's last encoder layer" in capsys.readouterr().err

    turn = np.array([[np.cos(0.5), -np.sin(0.5), 0], [np.sin(0.5), np.cos(0.5), 0], [0, 0, 1]])
    points = room_points() @ turn.T.astype(np.float32)
    found = load("3detr-rooms").attention(points, turn @ [1, 1, 0], up="z", units="m")
    away = np.linalg.norm(found.xyz[:, None] - points[None], axis=2).min(axis=1)
    assert away.max() < 1e-3 and np.linalg.norm(found.xyz[found.start] - turn @ [1, 1, 0]) < 0.6
    assert found.weights.sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.bad_input
def test_a_model_of_another_kind_is_refused() -> None:
    task = load("centerpoint-drives").task
    with pytest.raises(UsageError, match="--model: the model has no attention among points; got lidar"):
        task.attention([], None, torch.device("cpu"), np.zeros(3))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--attention", "1,1,0"], "--attention: attention is a model's"),
        (["--model", "3detr-rooms"], "--model: of a model only the attention is shown"),
        (["--model", "3detr-rooms", "--attention", "1,1"], "wanted X,Y,Z in metres"),
        (["--model", "3detr-rooms", "--attention", "1,1,nan"], "wanted X,Y,Z in metres"),
        (["--model", "3detr-rooms", "--attention", "1,1,0", "--color", "height"], "attention colours the points"),
        (["--model", "3detr-rooms", "--attention", "50,1,0"], "no point of the scan is near that place"),
        (["--model", "nothing", "--attention", "1,1,0"], "nothing"),
    ],
)
@pytest.mark.bad_input
def test_what_cannot_be_shown_is_an_error_in_a_line(tmp_path: Path, capsys, words: list[str], told: str) -> None:
    scan, _ = write_room(tmp_path)
    assert main(["view", str(scan), "--png", str(tmp_path / "a.png"), "--up", "z", "--units", "m", *words]) in (1, 2)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ") and told in last and not (tmp_path / "a.png").exists()
