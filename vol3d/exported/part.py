"""What of a model leaves the package, and how it comes back: the contract between this room and the problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from vol3d import catalog
from vol3d.engine.task import Task
from vol3d.errors import UsageError

Run = Callable[..., tuple[Tensor, ...]]
"""The inputs of a part, batch first -> its outputs."""


@dataclass(frozen=True, eq=False)
class Part:
    """The part of a model that becomes a graph: tensors in, tensors out, batch first in all of them.

    Args:
        module: `module(*example)` is a tensor or a tuple of tensors.
        example: inputs of two samples, so that no size is taken for the constant 1.
        inputs, outputs: names in the graph.
        kept: weights of what stays outside the graph, by their names in the whole model.
    """

    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kept: Mapping[str, Tensor] = field(default_factory=dict)


class Exporter(Protocol):
    """What a problem states about the export of its models: a module of `catalog.EXPORTERS` with these functions."""

    def exported_task(self, task: Any) -> Any:
        """The task of the exported model: computing in the precision of the graph, which no setting changes."""
        ...

    def part_of(self, task: Any, model: nn.Module) -> Part:
        """The part of the model that becomes a graph.

        Raises:
            UsageError: a network that cannot be exported.
        """
        ...

    def holding(self, task: Any, run: Run, kept: Mapping[str, Tensor]) -> nn.Module:
        """A model that the task takes, in which `run` stands for the part.

        Raises:
            UsageError: settings that a graph cannot follow.
            CheckpointError: `kept` are not the weights of this model.
        """
        ...


def exporter_of(task: Task) -> Exporter:
    """What knows about the models of a task.

    Raises:
        UsageError: they cannot be exported.
    """
    name = getattr(task, "name", type(task).__name__)
    if name not in catalog.EXPORTERS:
        wanted = f"a model of {' or '.join(catalog.EXPORTERS)}"
        raise UsageError(f"models of {name} cannot be exported", got=name, wanted=wanted)
    found: Exporter = catalog.load_module(catalog.EXPORTERS[name])
    return found
