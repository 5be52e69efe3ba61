"""What the queries of a set detector propose for one scan, before it is decided which of them are detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pointcloud.structures.detections import to_detections
from vol3d.errors import DataError
from vol3d.host import fetch
from vol3d.scans.results.detections import Detections


@dataclass(frozen=True, eq=False)
class Proposals:
    """Proposals for one scan, on the device of the network.

    Args:
        boxes: (Q, 7) `x y z l w h yaw`, metres and radians, as everywhere.
        class_probability: (Q, classes) of each class without the background; rows sum to the objectness at most
            where the background is one of the classes of a softmax.
        objectness: (Q,) probability that there is an object at all.
        points: (N, 3) of the scan as the network saw it, metres.

    >>> boxes = torch.tensor([[0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 0.0]])
    >>> scan = Proposals(boxes, torch.tensor([[0.25, 0.5]]), torch.tensor([0.75]), torch.zeros(1, 3))
    >>> found = scan.best(("chair", "table"))
    >>> found.names(), found.scores.tolist()
    (['table'], [0.375])
    """

    boxes: Float[Tensor, "q 7"]
    class_probability: Float[Tensor, "q classes"]
    objectness: Float[Tensor, " q"]
    points: Float[Tensor, "n 3"]

    def __post_init__(self) -> None:
        count, classes = len(self.boxes), self.class_probability.shape[-1]
        parts = (self.boxes, self.class_probability, self.objectness, self.points)
        shapes = tuple(tuple(part.shape) for part in parts)
        if shapes != ((count, 7), (count, classes), (count,), (len(self.points), 3)):
            raise DataError("proposals do not fit together", got=shapes, wanted="(Q, 7), (Q, classes), (Q,), (N, 3)")

    def best(self, class_names: tuple[str, ...]) -> Detections:
        """Every proposal with its best class; scores are objectness times that class's probability. On the CPU."""
        best = self.class_probability.max(dim=-1)
        return to_detections(self.boxes, best.values * self.objectness, best.indices, class_names, "scan")

    @property
    def on_host(self) -> Proposals:
        """The same on the CPU, without gradients and in float32; one transfer."""
        held = fetch(self.boxes, self.class_probability, self.objectness, self.points)
        return Proposals(*(part.float() for part in held))


def of_each_scan(boxes: Tensor, probability: Tensor, objectness: Tensor, points: Sequence[Tensor]) -> list[Proposals]:
    """Proposals of the last layer of (layers, B, Q, ...), one entry for each of the B scans."""
    last = (values[-1].detach() for values in (boxes, probability, objectness))
    return [Proposals(*parts) for parts in zip(*last, points, strict=True)]


def join_proposals(parts: Sequence[Proposals]) -> Proposals:
    """Proposals of several models for one scan as if of one model; the points are those that the first one saw.

    Raises:
        DataError: no model, or models of different classes.
    """
    if not parts:
        raise DataError("nothing to join", where="parts", got="no proposals")
    classes = [part.class_probability.shape[1] for part in parts]
    if len(set(classes)) > 1:
        raise DataError("models of different classes", where="parts", got=classes, wanted="as many classes in each")
    boxes, probability, objectness = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("boxes", "class_probability", "objectness")
    )
    return Proposals(boxes, probability, objectness, parts[0].points)
