"""A network that begins with parts of another one, as Object DGCNN begins with the backbone of a CenterPoint."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from vol3d.checkpoint import load, load_strictly
from vol3d.engine.settings import Settings
from vol3d.errors import UsageError


class StartSettings(Settings):
    """Whose weights, and of which parts."""

    checkpoint: str = Field(description="a run's folder, its best.safetensors, or the name of a shipped model")
    parts: tuple[str, ...] = Field(("points", "middle", "backbone"), min_length=1, description="those that both have")


def take_over(model: nn.Module, settings: StartSettings) -> None:
    """Copies the weights of the parts, in place; a part that neither network has (`middle` of pillars) is passed over.

    Raises:
        UsageError: only one of the networks has a part.
        CheckpointError: a part has other sizes.
    """
    other = load(settings.checkpoint).models[0]
    for name in settings.parts:
        mine, theirs = _part(model, name, "the model"), _part(other, name, settings.checkpoint)
        if mine is None and theirs is None:
            continue
        if mine is None or theirs is None:
            who = "the model" if mine is None else settings.checkpoint
            raise UsageError(f"{who} does without '{name}'", where="start_from.parts", do="Leave that part out.")
        load_strictly(mine, theirs.state_dict(), f"{settings.checkpoint}: {name}")


def _part(network: nn.Module, name: str, who: str) -> nn.Module | None:
    part = getattr(network, name, network)  # the network is no part of itself
    if part is network or not isinstance(part, nn.Module | None):
        wanted = ", ".join(child for child, _ in network.named_children())
        raise UsageError(f"{who} has no such part", where="start_from.parts", got=name, wanted=wanted)
    return part
