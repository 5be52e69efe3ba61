"""Parts of a model by their names: which of them stay as they are, and which learn at a rate of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from vol3d.errors import UsageError


def lies_in(name: str, part: str) -> bool:
    """Whether a module, a parameter or a buffer belongs to a part.

    >>> lies_in("head.shared.weight", "head"), lies_in("heads.0.weight", "head")
    (True, False)
    """
    return name == part or name.startswith(f"{part}.")


def parts_of(trunk: nn.Module) -> dict[str, nn.Module | nn.Parameter]:
    """The parts of a model: its children, and parameters of its own."""
    return dict(trunk.named_children()) | dict(trunk.named_parameters(recurse=False))


def is_part(trunk: nn.Module, name: str) -> bool:
    """Whether a model has a module or a parameter of this name."""
    return name in dict(trunk.named_parameters()) or (name != "" and name in dict(trunk.named_modules()))


def check_parts(
    trunk: nn.Module, parts: Iterable[str], where: str, who: str = "the model", do: str | None = None
) -> None:
    """Refuses names that are neither modules nor parameters of a model.

    Args:
        who: what the message calls the model.
        do: what to write instead, if that is known.

    Raises:
        UsageError: names the parts that there are.
    """
    for part in parts:
        if not is_part(trunk, part):
            wanted = ", ".join(parts_of(trunk))
            if inner := _inner(trunk):
                wanted += f", or a part of these as in {inner}"
            raise UsageError(f"{who} has no such part", where=where, got=part, wanted=wanted, do=do)


def _inner(trunk: nn.Module) -> str | None:
    """A part within a part, of those that have the most parameters; None where no part has any."""
    inner = {name: module for name, module in trunk.named_modules() if name.count(".") == 1}
    sizes = {name: sum(p.numel() for p in module.parameters()) for name, module in inner.items()}
    return max(sizes, key=sizes.__getitem__, default=None)


def freeze(trunk: nn.Module, parts: Iterable[str]) -> list[nn.Module]:
    """Keeps the parameters of parts as they are: they get no gradient, and are in no optimiser.

    Returns:
        The modules of the parts, which belong into evaluation mode: there the running statistics of their batch norms
        stay as well, and nothing is dropped.

    Raises:
        UsageError: no such part, or nothing is left to learn.
    """
    parts = tuple(parts)
    check_parts(trunk, parts, "freeze")
    for name, parameter in trunk.named_parameters():
        if any(lies_in(name, part) for part in parts):
            parameter.requires_grad_(False)
    if parts and not any(parameter.requires_grad for parameter in trunk.parameters()):
        raise UsageError("every part is frozen: nothing is left to learn", where="freeze", got=", ".join(parts))
    return [module for name, module in trunk.named_modules() if name in parts]


def shares(trunk: nn.Module, parts: Mapping[str, float]) -> dict[nn.Parameter, float]:
    """The share of the learning rate of each parameter in one of the parts; of parts in each other the inner one's.

    Raises:
        UsageError: no such part.
    """
    check_parts(trunk, parts, "optim.parts")
    outer_first = sorted(parts, key=len)
    return {
        parameter: parts[part]
        for part in outer_first
        for name, parameter in trunk.named_parameters()
        if lies_in(name, part)
    }
