"""Test-time flips: a mirrored cloud gives mirrored objects, and what all views say is averaged with the right signs."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pointcloud.inference.tta import VIEWS, Flips, detect_flipped, merge_views, mirrored
from pointcloud.models.center_point.decode import CenterDecodeSettings, CenterOutputs, candidates
from pointcloud.models.center_point.views import map_back
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.similarity import Similarity
from tests.pointcloud.models.small_lidar import CLASSES, MODELS, PILLARS
from vol3d.errors import UsageError
from vol3d.scans.results.detections import Detections

MIRRORS = [how for how in VIEWS["xy"] if how != Similarity()]
RANGE = (-8.0, -8.0, -2.0, 8.0, 8.0, 2.0)


class OneBoxPerPoint(nn.Module):
    """Finds a box at each point, heading away from the scanner; `fond_of_left` gives more to those on one side."""

    def __init__(self, fond_of_left=0.0, velocity=True):
        super().__init__()
        self.settings = SimpleNamespace(voxels=SimpleNamespace(point_range_m=RANGE))
        self.fond_of_left, self.velocity = fond_of_left, velocity

    def forward(self, clouds):
        return clouds

    def averaged(self, predictions, views):
        return None

    def decode(self, prediction):
        found = []
        for cloud in prediction:
            x, y, z = cloud[:, :3].numpy().T
            columns = [x, y, z, 1 + 0 * x, 0.5 + 0 * x, 1 + 0 * x, np.arctan2(y, x), 0.1 * x, 0.2 * y]
            boxes = np.stack(columns[: 9 if self.velocity else 7], axis=1)
            scores = 0.5 + self.fond_of_left * np.sign(y)
            found.append(Detections(boxes, scores, np.arange(len(x)) % 2, CLASSES, "lidar"))
        return found


def clouds(seed=0):
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid([-6.0, -2.0, 3.0, 7.0], [-5.0, -1.0, 2.0, 6.0]), axis=-1).reshape(-1, 2)
    xy = places + rng.uniform(-0.4, 0.4, places.shape)
    table = np.concatenate([xy, rng.uniform(-1, 1, (16, 1)), np.arange(16)[:, None]], axis=1)
    return [torch.from_numpy(table.astype(np.float32)), torch.zeros(0, 4)]


def by_place(found):
    return found.select(np.lexsort(np.round(found.boxes[:, :2].T, 3)))


def assert_same(one, other, tolerance=1e-5):
    one, other = by_place(one), by_place(other)
    assert len(one) == len(other) and np.array_equal(one.labels, other.labels)
    difference = one.boxes - other.boxes
    difference[:, 6] = np.sin(difference[:, 6] / 2)
    assert np.abs(difference).max(initial=0) < tolerance
    np.testing.assert_allclose(one.scores, other.scores, atol=tolerance)


@pytest.mark.parametrize("flips", get_args(Flips))
@pytest.mark.parametrize("velocity", [False, True])
def test_a_detector_that_does_not_mind_mirrors_finds_the_same_with_them(flips, velocity):
    model = OneBoxPerPoint(velocity=velocity)
    for plain, together in zip(model.decode(clouds()), detect_flipped(model, clouds(), flips), strict=True):
        assert_same(plain, together)
        assert together.boxes.dtype == together.scores.dtype == np.float32


def test_the_score_of_an_object_is_the_mean_of_all_views():
    together = detect_flipped(OneBoxPerPoint(fond_of_left=0.4), clouds(), "y")[0]
    np.testing.assert_allclose(together.scores, 0.5, atol=1e-6)
    turned = detect_flipped(OneBoxPerPoint(fond_of_left=0.4), clouds(), "x")[0]
    assert set(np.round(turned.scores, 5)) == {np.float32(0.9), np.float32(0.1)}
    assert (np.diff(turned.scores) <= 0).all()


@pytest.mark.parametrize("how", MIRRORS)
def test_with_all_flips_it_does_not_matter_which_view_comes_in(how):
    model = OneBoxPerPoint(fond_of_left=0.3)
    straight, other = (detect_flipped(model, views, "xy")[0] for views in (clouds(), mirrored(clouds(), how)))
    assert_same(replace(other, boxes=how.boxes(other.boxes)), straight)


def boxes_of(rows, scores, labels=None):
    table = np.array(rows, np.float32).reshape(-1, 7)
    labels = np.zeros(len(table), np.int64) if labels is None else np.array(labels)
    return Detections(table, np.array(scores, np.float32), labels, CLASSES, "lidar")


def test_boxes_of_an_object_are_averaged_by_their_scores():
    one = boxes_of([[0, 0, 0, 4, 2, 1, 0.1], [20, 0, 0, 4, 2, 1, 0]], [0.9, 0.6])
    other = boxes_of([[0.3, 0, 0, 4, 2, 2, 0.1 + math.pi]], [0.3])
    found = merge_views([one, other], 0.5)
    np.testing.assert_allclose(
        found.boxes[0], [0.075, 0, 0, 4, 2, 1.25, 0.1], atol=1e-6
    )  # seen from behind is the same
    np.testing.assert_allclose(found.boxes[1], one.boxes[1])
    np.testing.assert_allclose(found.scores, [0.6, 0.3])


def test_of_two_boxes_of_one_view_on_an_object_the_better_counts():
    one = boxes_of([[0, 0, 0, 4, 2, 1, 0], [0.5, 0, 0, 4, 2, 1, 0]], [0.8, 0.7])
    found = merge_views([one, boxes_of([], [])], 0.5)
    assert len(found) == 1 and found.boxes[0, 0] == 0 and found.scores[0] == np.float32(0.4)


def test_boxes_of_two_classes_are_two_objects():
    same = [0, 0, 0, 4, 2, 1, 0]
    found = merge_views([boxes_of([same], [0.8], [0]), boxes_of([same], [0.6], [1])], 0.5)
    assert found.labels.tolist() == [0, 1] and np.allclose(found.scores, [0.4, 0.3])


def test_a_box_joins_the_best_of_its_own_class_only():
    place, beside, near = [0, 0, 0, 4, 2, 1, 0], [0.4, 0, 0, 4, 2, 1, 0], [0.5, 0, 0, 4, 2, 1, 0]
    found = merge_views([boxes_of([place, beside], [0.8, 0.6], [0, 1]), boxes_of([near], [0.2], [0])], 0.5)
    assert found.labels.tolist() == [0, 1]
    np.testing.assert_allclose(found.boxes[:, 0], [0.1, 0.4], atol=1e-6)
    np.testing.assert_allclose(found.scores, [0.5, 0.3], atol=1e-6)


def test_no_boxes_in_any_view():
    assert len(merge_views([boxes_of([], [])] * 2, 0.5)) == 0


GRID = MapGrid((-3.2, -2.4), (0.4, 0.3), 2, (8, 8))


def head(seed, velocity=True):
    generator = torch.Generator().manual_seed(seed)
    heat, *rest = (torch.randn(2, size, 8, 8, generator=generator) for size in (3, 2, 1, 3, 2, 2))
    rest[0] = rest[0].sigmoid()
    return CenterOutputs(heat, *rest[:4], rest[4] if velocity else None)


@given(st.integers(0, 10**6), st.sampled_from(MIRRORS), st.booleans())
def test_maps_turned_back_have_the_boxes_turned_back(seed, how, velocity):
    said = head(seed, velocity)
    settings = CenterDecodeSettings(score=0.0, candidates=40, center_range_m=None)
    tasks = [range(said.heatmap.shape[1])]
    boxes, scores, labels = (part[1, 0] for part in candidates([said], tasks, GRID, settings)[:3])
    back, same_scores, same_labels = (
        part[1, 0] for part in candidates([map_back(said, how)], tasks, GRID, settings)[:3]
    )
    assert torch.equal(scores, same_scores) and torch.equal(labels, same_labels)
    expected = how.boxes(boxes.numpy())
    difference = back.numpy() - expected
    difference[:, 6] = np.sin(difference[:, 6] / 2)
    assert np.abs(difference).max() < 1e-5
    again = map_back(map_back(said, how), how)
    assert all(a is b is None or torch.allclose(a, b, atol=1e-6) for a, b in zip(again, said, strict=True))


def small_center_point(velocity=True):
    settings = MODELS["centerpoint pillars"]
    voxels = PILLARS.model_copy(update={"point_range_m": RANGE, "max_points": None})
    decode = settings.head.decode.model_copy(update={"score": 0.0, "candidates": 20, "nms": "none"})
    options = {"decode": decode, "velocity": velocity}
    settings = settings.model_copy(update={"voxels": voxels, "head": settings.head.model_copy(update=options)})
    torch.manual_seed(0)
    model = settings.build(CLASSES).eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):  # so that untrained maps differ from cell to cell
            nn.init.normal_(module.weight, std=0.1)
    return model


@pytest.mark.parametrize("velocity", [False, True])
@torch.no_grad()
def test_averaged_maps_of_a_mirrored_cloud_are_the_averaged_maps_mirrored(velocity):
    model = small_center_point(velocity)
    for how in MIRRORS:
        straight, other = (
            model.averaged([model(mirrored(views, each)) for each in VIEWS["xy"]], VIEWS["xy"])
            for views in (clouds(1), mirrored(clouds(1), how))
        )
        for one, turned in zip(straight.outputs, other.outputs, strict=True):
            assert float(one.heatmap.std()) > 1e-3
            for a, b in zip(one, map_back(turned, how), strict=True):
                assert a is b is None or torch.allclose(a, b, atol=1e-4)


@torch.no_grad()
def test_center_point_with_flips_finds_the_boxes_of_the_averaged_maps():
    model = small_center_point()
    plain, none = model.decode(model(clouds(1))), detect_flipped(model, clouds(1))
    assert all(np.array_equal(a.boxes, b.boxes) for a, b in zip(plain, none, strict=True))
    flipped = detect_flipped(model, clouds(1), "y")
    wanted = [
        map_back(said, Similarity(flip_y=True)) for said in model(mirrored(clouds(1), Similarity(flip_y=True))).outputs
    ]
    probability = (model(clouds(1)).outputs[0].heatmap.sigmoid() + wanted[0].heatmap.sigmoid()) / 2
    assert flipped[0].scores[0] == pytest.approx(float(probability[0].max()), abs=1e-5)
    assert len(flipped) == 2 and not np.allclose(flipped[0].boxes, plain[0].boxes)


@pytest.mark.parametrize("name", ["pointpillars", "second", "voxelnet"])
def test_every_detector_takes_flips_along_which_its_range_is_symmetric(name):
    model = MODELS[name].build(CLASSES).eval()
    found = detect_flipped(model, clouds(), "y")
    assert len(found) == 2 and all(len(one.boxes) == len(one.scores) for one in found)
    with pytest.raises(UsageError, match=r"x cannot be mirrored in this range.*Mirror y only"):
        detect_flipped(model, clouds(), "xy")
