"""The port that benchmarks compare with does the same work: same samples, same balls, same overlaps."""

import torch

from benchmarks.detection import some_boxes, some_detections
from tests.reference import original_ops
from tests.reference.geometry import overlap_3d
from vol3d.ops import ball_query, farthest_point_sample


def test_the_port_samples_and_groups_alike():
    xyz = torch.rand(2, 500, 3, generator=torch.Generator().manual_seed(0))
    picks = farthest_point_sample(xyz, 40)
    assert torch.equal(original_ops.farthest_points(xyz, 40), picks)
    centers = xyz.gather(1, picks[..., None].expand(-1, -1, 3))
    ours, port = ball_query(xyz, centers, 0.2, 16, padding="first"), original_ops.ball(xyz, centers, 0.2, 16)
    assert torch.equal(ours.indices, port.indices) and torch.equal(ours.hits, port.hits)


def test_the_port_overlaps_alike():
    first, second = some_boxes(12, 0, turn=True), some_boxes(9, 1, turn=True)
    volumes = torch.from_numpy(original_ops.overlap_volumes(first, second))
    assert volumes.max() > 0 and torch.allclose(volumes, overlap_3d(first, second), atol=1e-9)


def test_made_up_detections_are_near_what_is_annotated():
    found, truth = some_detections(0)
    assert len(found) == 128 * 18 and len(truth) == 12
