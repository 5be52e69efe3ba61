"""What a browser is sent: every number of the scene comes back out of the bytes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.vol3d.view.page.scenes import organ, room
from vol3d.scans.results.box_shapes import box_lines
from vol3d.scans.results.detections import Detections
from vol3d.scans.volumes.volume import Grid, Segmentation, Volume
from vol3d.view.draw.boxes import label_weights
from vol3d.view.page import voxels
from vol3d.view.page.payload import Payload, describe
from vol3d.view.scene import BoxLayer, Camera, MaskLayer, Opening, PointLayer, ViewScene, VolumeLayer


def array(payload: Payload, name: str, kind: str) -> np.ndarray:
    return np.frombuffer(payload.buffers[name](), kind)


def test_points_and_their_columns_come_back():
    scene = room()
    payload, layer = describe(scene), scene.points[0]
    cloud = payload.description["clouds"][0]
    assert (cloud["total"], cloud["shown"], cloud["sources"][0]) == (3000, 3000, "rgb")
    np.testing.assert_array_equal(array(payload, cloud["buffers"]["xyz"], "<f4").reshape(-1, 3), layer.xyz)
    np.testing.assert_array_equal(array(payload, cloud["buffers"]["rgb"], "u1").reshape(-1, 3), layer.rgb)
    intensity = array(payload, cloud["buffers"]["intensity"], "u1")
    assert intensity.min() == 0 and intensity.max() == 255
    assert layer.intensity is not None and layer.classes is not None
    assert np.all(np.diff(intensity[np.argsort(layer.intensity)].astype(int)) >= 0)
    classes = array(payload, cloud["buffers"]["class"], "u1")
    np.testing.assert_array_equal(classes == 0, layer.classes == 0)
    assert classes.max() < len(payload.description["ramps"]["class"])


def test_boxes_come_back_with_their_lines_classes_and_scores():
    scene = room()
    payload = describe(scene)
    for layer, sent in zip(scene.boxes, payload.description["boxes"], strict=True):
        np.testing.assert_array_equal(np.array(sent["boxes"], np.float32), layer.detections.boxes)
        np.testing.assert_array_equal(np.array(sent["scores"], np.float32), layer.detections.scores)
        assert sent["classes"] == layer.detections.names()
        assert sent["label_weights"] == label_weights(layer).tolist()
        lines = array(payload, sent["lines"], "<f4").reshape(len(layer.detections), sent["lines_per_box"], 2, 3)
        np.testing.assert_allclose(lines, box_lines(layer.detections.boxes), atol=1e-6)


def test_a_velocity_that_is_not_known_is_not_sent():
    boxes = np.array([[0, 0, 0, 1, 1, 1, 0, 2, 3], [0, 0, 0, 1, 1, 1, 0, np.nan, np.nan]], np.float32)
    layer = BoxLayer("found", Detections(boxes, np.ones(2, np.float32), np.zeros(2, np.int64), ("car",)), True)
    payload = describe(ViewScene("street", boxes=(layer,), class_colours={"car": "#ffffff"}))
    sent = json.loads(payload.json())
    assert sent["boxes"][0]["moving"] == [0]
    assert array(payload, sent["boxes"][0]["ways"], "<f4").tolist() == [0, 0, 0, 2, 3, 0]
    assert sent["boxes"][0]["boxes"] == [[0, 0, 0, 1, 1, 1, 0, 2, 3], [0, 0, 0, 1, 1, 1, 0]]


def test_of_too_many_points_some_are_drawn_and_a_note_says_how_many():
    payload = describe(room(1000), most_points=250)
    cloud = payload.description["clouds"][0]
    assert (cloud["total"], cloud["shown"]) == (1000, 250)
    assert {len(array(payload, cloud["buffers"][c], "u1")) for c in ("intensity", "class")} == {250}
    assert any("250 of 1,000 points (25%)" in note for note in payload.description["notes"])
    assert not any("points" in note for note in describe(room(1000)).description["notes"])


@pytest.mark.parametrize("points", [0, 1])
def test_clouds_of_no_and_of_one_point_and_layers_of_no_boxes_are_sent(points: int):
    none = Detections(np.zeros((0, 7), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ("chair",))
    cloud = PointLayer("c", np.zeros((points, 3), np.float32), intensity=np.full(points, np.nan, np.float32))
    scene = ViewScene("s", (cloud,), (BoxLayer("found", none, True),), class_colours={"chair": "#ffffff"})
    payload = describe(scene)
    sent = json.loads(payload.json())
    assert sent["clouds"][0]["shown"] == points and sent["boxes"][0]["boxes"] == []
    assert len(payload.buffers["cloud0-intensity"]()) == points


def test_the_eye_stands_where_the_opening_says():
    scene = replace(room(), opening=Opening(camera=Camera(azimuth=-40.0, elevation=25.0, zoom=2.0), score=0.3))
    sent = describe(scene).description["opening"]
    assert (
        sent["camera"] == pytest.approx({"azimuth": -40.0, "elevation": 25.0, "zoom": 2.0, "front": -90.0})
        and sent["score"] == 0.3
    )


def test_a_patient_is_seen_from_the_front_and_a_room_from_the_south():
    assert describe(organ()).description["opening"]["camera"]["front"] == 90.0
    assert describe(room()).description["opening"]["camera"]["front"] == -90.0


def test_voxels_come_back_to_a_two_thousandth_of_their_range():
    scene = organ()
    payload = describe(scene)
    sent = payload.description["volume"]
    assert scene.volume is not None
    low, high = sent["range"]
    values = array(payload, "voxels", "<f2").astype(np.float64) * (high - low) / 2 + (high + low) / 2
    np.testing.assert_allclose(values.reshape(sent["shape"]), scene.volume.volume.array[0], atol=(high - low) / 2000)
    np.testing.assert_array_equal(sent["affine"], scene.volume.volume.affine)


def test_values_that_half_floats_cannot_hold_are_scaled_to_fit():
    grid = Grid((2, 2, 2), np.eye(4))
    image = np.array([0, 1.7e6, 3e38, -3e38, np.nan, np.inf, -np.inf, 5], np.float32).reshape(1, 2, 2, 2)
    scene = ViewScene("s", volume=VolumeLayer("v", Volume(image, grid), (0.0, 1.0)))
    values = array(describe(scene), "voxels", "<f2")
    assert np.isfinite(values).all() and values[2] == 1 and values[3] == -1


def test_labels_are_numbered_anew_and_organs_keep_names_colours_and_volumes():
    scene = organ()
    payload = describe(scene)
    assert scene.volume is not None
    mask, sent = scene.volume.masks[0].segmentation, payload.description["volume"]["masks"][0]
    np.testing.assert_array_equal(array(payload, "mask0", "u1"), (mask.labels == 3).ravel())
    assert [(o["name"], o["colour"]) for o in sent["organs"]] == [("kidney", "#56b4e9")]
    assert sent["organs"][0]["volume_ml"] == pytest.approx(mask.volumes_ml()["kidney"])


def test_more_labels_than_a_byte_holds_share_the_last_number():
    labels = np.arange(400, dtype=np.uint16).reshape(4, 10, 10)
    grid = Grid((4, 10, 10), np.eye(4))
    mask = MaskLayer(
        "m", Segmentation(labels, grid, tuple(map(str, range(400)))), dict.fromkeys(range(1, 400), "#ffffff")
    )
    scene = ViewScene(
        "s", volume=VolumeLayer("v", Volume(np.zeros((1, 4, 10, 10), np.float32), grid), (0.0, 1.0), (mask,))
    )
    payload = describe(scene)
    sent = array(payload, "mask0", "u1")
    np.testing.assert_array_equal(sent, np.minimum(labels.ravel(), 255))
    assert len(payload.description["volume"]["masks"][0]["organs"]) == 255


def test_a_surface_lies_around_its_organ_in_millimetres():
    data = bytes(describe(organ()).buffers["mask0-surface3"]())
    corners, triangles = np.frombuffer(data, "<u4", 2)
    vertices = np.frombuffer(data, "<f4", 3 * corners, 8).reshape(-1, 3)
    normals = np.frombuffer(data, "<f4", 3 * corners, 8 + 12 * corners).reshape(-1, 3)
    faces = np.frombuffer(data, "<u4", 3 * triangles, 8 + 24 * corners).reshape(-1, 3)
    assert len(data) == 8 + 24 * corners + 12 * triangles and faces.max() < corners
    away = vertices - (0, 17, 28)  # the ball's centre: (20, 12, 21) mm from the first voxel at (-20, 5, 7)
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), 9, atol=1.2)
    assert ((normals * away).sum(axis=1) > 0).all()


def test_too_large_volumes_are_thinned_along_their_longest_edges(monkeypatch: pytest.MonkeyPatch):
    assert voxels.thinning((512, 512, 300)) == (1, 1, 1)
    assert voxels.thinning((5000, 10, 10)) == (3, 1, 1)
    monkeypatch.setattr(voxels, "MOST_VOXELS", 5000)
    scene = organ()
    payload = describe(scene)
    sent, (i, j, k) = payload.description["volume"], voxels.thinning((20, 24, 28))
    assert np.prod(sent["shape"]) <= 5000 and any("too large" in note for note in payload.description["notes"])
    assert len(array(payload, "voxels", "<f2")) == len(array(payload, "mask0", "u1")) == np.prod(sent["shape"])
    assert scene.volume is not None
    np.testing.assert_allclose(np.array(sent["affine"]), scene.volume.volume.affine @ np.diag([i, j, k, 1]))
