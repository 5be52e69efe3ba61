"""Detectors with a graph in the place of their dense layers; points, voxels and the choice of boxes stay here.

LiDAR detectors are split at the map seen from above, 3DETR at its tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pointcloud.structures.detector import Detector, LidarDetector, RoomDetector, SplitDetector
from pointcloud.structures.features import width
from pointcloud.structures.proposals import Proposals
from pointcloud.structures.similarity import Similarity
from pointcloud.structures.targets import BoxTargets
from vol3d.checkpoint import load_strictly
from vol3d.errors import UsageError
from vol3d.exported.part import Part, Run
from vol3d.scans.results.detections import Detections

_POINTS = 4096  # of the random clouds that a graph is traced with
_ROOM_M = (0.0, 0.0, 0.0, 5.0, 4.0, 2.5)


class DenseLayers(nn.Module):
    """The second half of a detector."""

    def __init__(self, detector: SplitDetector[Any]) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.detector.dense(*inputs)


class GraphDetector(Detector[Any]):
    """A detector in which a graph stands for the dense layers.

    Args:
        detector: all the rest; its own dense layers are not called.
        run: what they take -> what they give.
    """

    class_layers = ()

    def __init__(self, detector: SplitDetector[Any], run: Run) -> None:
        super().__init__(detector.settings, detector.class_names)
        self.detector, self.run = detector, run

    def forward(self, clouds: list[Tensor]) -> Any:
        inputs, context = self.detector.encode(clouds)
        return self.detector.prediction(self.run(*inputs), context)

    def loss(self, prediction: Any, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """Raises UsageError: a graph does not learn."""
        raise UsageError("an exported network cannot be trained", do="Train the checkpoint.")

    def decode(self, prediction: Any) -> list[Detections]:
        return self.detector.decode(prediction)


class GraphLidarDetector(GraphDetector, LidarDetector[Any]):
    """Such a one around a scanner."""

    def averaged(self, predictions: Sequence[Any], views: Sequence[Similarity]) -> Any:
        return LidarDetector.of(self.detector).averaged(predictions, views)


class GraphRoomDetector(GraphDetector, RoomDetector[Any]):
    """Such a one for rooms."""

    def proposals(self, prediction: Any) -> list[Proposals]:
        return RoomDetector.of(self.detector).proposals(prediction)


def exported_task(task: Any) -> Any:
    """With the precision of the graph."""
    settings = task.resolved()
    predict = settings.predict.model_copy(update={"amp": "off"})
    return task.with_settings(settings.model_copy(update={"predict": predict}))


def part_of(task: Any, model: nn.Module) -> Part:
    """The dense layers, with what they see of two clouds of random points.

    Raises:
        UsageError: a detector without dense layers that could stand alone.
    """
    detector = _split(model)
    with torch.no_grad():
        example, _ = detector.encode(_clouds(detector))
    inputs = tuple(one.contiguous() for one in example)
    return Part(DenseLayers(detector), inputs, detector.input_names, detector.output_names, _kept(detector))


def holding(task: Any, run: Run, kept: Mapping[str, Tensor]) -> nn.Module:
    """The detector with the weights of its first half, and with the graph for its dense layers.

    Raises:
        UsageError: a precision, which is the graph's own.
        CheckpointError: weights of another detector.
    """
    if (amp := task.settings.predict.amp) != "off":
        do = "Export with --half for 16-bit numbers."
        raise UsageError("the precision of an exported network is its own", where="predict.amp", got=amp, do=do)
    detector = _split(task.model())
    first = _kept(detector)
    dense = {name: value for name, value in detector.state_dict().items() if name not in first}  # there, but not called
    load_strictly(detector, {**dense, **kept}, "exported model")
    kind = GraphLidarDetector if isinstance(detector, LidarDetector) else GraphRoomDetector
    return kind(detector.eval(), run).eval()


def _split(model: nn.Module) -> SplitDetector[Any]:
    if not isinstance(model, SplitDetector):
        what = "this detector groups points up to its last layers: no half of it is dense, and ONNX cannot group points"
        wanted = "3DETR in rooms; PointPillars, SECOND, CenterPoint or Object DGCNN around a LiDAR"
        do = "Run the checkpoint itself (`vol3d predict`, or vol3d.load in Python), or train one of these for export."
        raise UsageError(what, where="model", got=type(model).__name__, wanted=wanted, do=do)
    return model


def _clouds(detector: SplitDetector[Any]) -> list[Tensor]:
    """Two clouds of points anywhere in the range of the voxels, or in a room."""
    lidar = isinstance(detector, LidarDetector)
    limits = torch.tensor(detector.settings.voxels.point_range_m if lidar else _ROOM_M).view(2, 3)  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(0)
    clouds = torch.rand(2, _POINTS, 3 + width(detector.settings.features), generator=generator)
    clouds[..., :3] = limits[0] + clouds[..., :3] * (limits[1] - limits[0])
    return [*clouds]


def _kept(detector: SplitDetector[Any]) -> dict[str, Tensor]:
    """Weights of the first half."""
    dense = tuple(f"{name}." for name in detector.dense_layers)
    state = detector.state_dict()
    return {name: value.contiguous() for name, value in state.items() if not name.startswith(dense)}
