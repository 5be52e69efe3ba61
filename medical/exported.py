"""Segmentation networks as graphs: windows of voxels in, logits out; preparation and stitching stay here."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from medical.segmenter import Segmenter
from medical.task import SegmentationTask
from vol3d.errors import UsageError
from vol3d.exported.part import Part, Run


class GraphNetwork(nn.Module):
    """A graph in the place of a network: windows (B, C, i, j, k) -> logits (B, outputs, i, j, k)."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def forward(self, image: Tensor) -> Tensor:
        return self.run(image)[0]


def exported_task(task: SegmentationTask) -> SegmentationTask:
    """With the precision of the graph."""
    settings = task.resolved()
    window = settings.window.model_copy(update={"amp": "off"})
    return SegmentationTask(settings.model_copy(update={"window": window}))


def part_of(task: SegmentationTask, model: nn.Module) -> Part:
    """The whole network, on windows of the size that it was trained with."""
    network = Segmenter.network_of(model)
    example = torch.randn(2, len(task.channel_names), *task.settings.window.size, generator=_seeded())
    return Part(network, (example,), ("image",), ("logits",))


def holding(task: SegmentationTask, run: Run, kept: Mapping[str, Tensor]) -> nn.Module:
    """A segmenter with the graph as its network."""
    if (amp := task.settings.window.amp) != "off":
        do = "Export with --half for 16-bit numbers."
        raise UsageError("the precision of an exported network is its own", where="window.amp", got=amp, do=do)
    return task.holding(GraphNetwork(run))


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
