"""Which proposals become detections: the original's choice exactly, and every rule on its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pointcloud.inference.postprocess import FOR_PEOPLE, DetectionPostprocessSettings, postprocess, surviving
from pointcloud.structures.proposals import Proposals
from tests.pointcloud.metrics.official_ap import read_official

NAMES = ("chair", "table")


def proposals(
    places: list[float], objectness: list[float], classes: list[int], points: torch.Tensor | None = None
) -> Proposals:
    """Unit cubes along x, sure of their class to 0.8, and ten points in each unless there are others."""
    n = len(places)
    boxes = torch.tensor([(x, 0, 0, 1, 1, 1, 0) for x in places], dtype=torch.float32).reshape(n, 7)
    probability = torch.full((n, 2), 0.2)
    probability[torch.arange(n), torch.tensor(classes, dtype=torch.int64)] = 0.8
    filled = boxes[:, :3].repeat_interleave(10, dim=0)
    return Proposals(boxes, probability, torch.tensor(objectness), filled if points is None else points)


def test_the_original_keeps_the_same(oracle_root: Path):
    folders = sorted((oracle_root / "3detr").glob("D_ap_*"))
    assert folders
    for folder in folders:
        for index, scene in enumerate(read_official(folder)[0]):
            kept = surviving(scene.proposals, DetectionPostprocessSettings())
            assert kept.tolist() == scene.kept, (folder.name, index)
            kept = surviving(scene.proposals, DetectionPostprocessSettings(min_points=0))
            assert kept.tolist() == scene.kept_without_removal, (folder.name, index)


def test_each_proposal_counts_for_every_class():
    found = postprocess(proposals([0, 5], [0.5, 1.0], [0, 1]), NAMES)
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert found.scores == pytest.approx([0.4, 0.2, 0.1, 0.8])
    np.testing.assert_array_equal(found.boxes[:, 0], [0, 5, 0, 5])


def test_people_get_one_class_per_box():
    found = postprocess(proposals([0, 5, 9], [0.5, 1.0, 0.1], [0, 1, 1]), NAMES, FOR_PEOPLE, frame="aligned")
    assert found.labels.tolist() == [0, 1] and found.scores == pytest.approx([0.4, 0.8]) and found.frame == "aligned"


def test_of_overlapping_boxes_of_one_class_the_surest_stays():
    same = proposals([0, 0.1, 0.2], [0.5, 0.9, 0.7], [0, 0, 1])
    assert surviving(same, DetectionPostprocessSettings()).tolist() == [1, 2]
    assert surviving(same, DetectionPostprocessSettings(nms_iou=None)).tolist() == [0, 1, 2]
    assert surviving(same, DetectionPostprocessSettings(nms_iou=0.95)).tolist() == [0, 1, 2]


def test_of_equally_sure_boxes_the_first_stays():
    assert surviving(proposals([0, 0.1], [0.6, 0.6], [0, 0]), DetectionPostprocessSettings()).tolist() == [0]


def test_rotated_boxes_compete_by_their_axis_aligned_hulls():
    boxes = torch.tensor([(0, 0, 0, 4, 0.2, 1, 0.785), (0, 0, 0, 4, 0.2, 1, -0.785)])
    crossed = Proposals(boxes, torch.tensor([[0.8, 0.2]] * 2), torch.tensor([0.9, 0.8]), torch.zeros(10, 3))
    assert surviving(crossed, DetectionPostprocessSettings()).tolist() == [0]


def test_nearly_empty_boxes_go_unless_all_are():
    points = torch.zeros(5, 3)
    assert surviving(proposals([0, 5], [0.3, 0.9], [0, 0], points), DetectionPostprocessSettings()).tolist() == [0]
    alone = proposals([0, 5], [0.3, 0.9], [0, 0], points[:4])
    assert surviving(alone, DetectionPostprocessSettings()).tolist() == [1]
    assert surviving(alone, DetectionPostprocessSettings(min_points=4)).tolist() == [0]


def test_objectness_must_be_above_the_limit():
    limit = DetectionPostprocessSettings(min_objectness=0.5)
    assert surviving(proposals([0, 5], [0.5, 0.75], [0, 0]), limit).tolist() == [1]


@pytest.mark.parametrize("rule", [DetectionPostprocessSettings(), FOR_PEOPLE])
def test_no_proposals_no_points_and_one_class(rule: DetectionPostprocessSettings):
    assert len(postprocess(proposals([], [], []), NAMES, rule)) == 0
    empty = proposals([0, 5], [0.9, 0.8], [0, 1], torch.zeros(0, 3))
    assert set(postprocess(empty, NAMES, rule).boxes[:, 0]) == {0.0}
    single = Proposals(torch.ones(1, 7), torch.ones(1, 1), torch.ones(1), torch.ones(9, 3))
    assert postprocess(single, ("thing",), rule).labels.tolist() == [0]


def test_gradients_do_not_travel():
    open_ended = proposals([0], [0.9], [0])
    open_ended.boxes.requires_grad_()
    assert len(postprocess(open_ended, NAMES)) == 2
