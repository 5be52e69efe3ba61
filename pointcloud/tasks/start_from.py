"""A network that begins with parts of another one, as Object DGCNN begins with the backbone of a CenterPoint."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import nn

from pointcloud.structures.detector import Detector
from vol3d.checkpoint import load, load_strictly
from vol3d.engine.settings import Settings
from vol3d.errors import UsageError


class StartSettings(Settings):
    """Whose weights, and of which parts."""

    checkpoint: str = Field(description="a run's folder, its best.safetensors, or the name of a shipped model")
    parts: tuple[str, ...] = Field(("encoder", "backbone"), min_length=1, description="those that both have")


def take_over(model: nn.Module, settings: StartSettings) -> None:
    """Copies the weights of the parts, in place.

    Raises:
        UsageError: one of the networks has no such part; an ensemble; other features of the points.
        CheckpointError: a part has other sizes.
    """
    models = load(settings.checkpoint).models
    if len(models) != 1:
        raise UsageError("a run cannot start from an ensemble", where="start_from.checkpoint", got=settings.checkpoint)
    other = models[0]
    if "encoder" in settings.parts and _features(model) != _features(other):
        what, got, wanted = "the other network sees other features of the points", _features(model), _features(other)
        raise UsageError(what, where="model.features", got=got, wanted=wanted)
    for name in settings.parts:
        mine, theirs = _part(model, name, "the model"), _part(other, name, settings.checkpoint)
        load_strictly(mine, theirs.state_dict(), f"{settings.checkpoint}: {name}")


def _features(network: nn.Module) -> str:
    detector: Detector[Any] = Detector.of(network)
    return ", ".join(detector.settings.features)


def _part(network: nn.Module, name: str, who: str) -> nn.Module:
    parts = dict(network.named_children())
    if name not in parts:
        raise UsageError(f"{who} has no such part", where="start_from.parts", got=name, wanted=", ".join(parts))
    return parts[name]
