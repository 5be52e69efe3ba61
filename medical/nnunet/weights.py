"""A checkpoint of nnU-Net: read without running code of it, and strictly.

nnU-Net writes many tensors under several names: the decoder knows the encoder, and each convolution keeps its layers
once by name and once in a sequence. Every repetition is compared with what it repeats.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medical.models.residual_unet import UNet
from medical.models.unet_blocks import Architecture, Layer
from vol3d.checkpoint import load_strictly, read_weights
from vol3d.errors import CheckpointError

WEIGHTS, TRAINER, ARGUMENTS, MIRROR = (
    "network_weights", "trainer_name", "init_args", "inference_allowed_mirroring_axes",
)  # fmt: skip
_SEQUENCE = re.compile(r"all_modules\.\d+\.")
_WRAPPERS = ("module.", "_orig_mod.")
_LAYERS = ("conv", "norm", "nonlin")


@dataclass(frozen=True)
class Checkpoint:
    """What a file of weights says.

    Args:
        path: the file.
        tensors: each once, by its name in `network`.
        configuration: that it was trained for.
        trainer: the class of nnU-Net that trained it.
        mirror: axes of the network's grid that predictions may be averaged over; empty for none.
    """

    path: Path
    tensors: dict[str, Tensor]
    configuration: str
    trainer: str
    mirror: tuple[int, ...]


def read_checkpoint(path: Path) -> Checkpoint:
    """One fold's file.

    Raises:
        CheckpointError: cut, no file of nnU-Net v2, asks for code to be run, or repeats a tensor with other numbers.
    """
    content = read_weights(path, [torch.device])
    weights = content.get(WEIGHTS) if isinstance(content, dict) else None
    arguments = content.get(ARGUMENTS) if isinstance(content, dict) else None
    if not isinstance(weights, Mapping) or not isinstance(arguments, Mapping):
        do = "A file with 'state_dict' is of nnU-Net v1, whose models are not read."
        got = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(
            "no checkpoint of nnU-Net v2", where=path, got=got, wanted=f"{WEIGHTS}, {ARGUMENTS}", do=do
        )
    if not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise CheckpointError("weights that are no tensors", where=path)
    configuration, trainer, mirror = arguments.get("configuration"), content.get(TRAINER), content.get(MIRROR)
    if not isinstance(configuration, str):
        raise CheckpointError("the configuration is not stated", where=path, got=configuration)
    return Checkpoint(path, distinct(weights, path), configuration, str(trainer), _axes(mirror, path))


def _axes(mirror: Any, path: Path) -> tuple[int, ...]:
    axes = tuple(mirror) if isinstance(mirror, (list, tuple)) else () if mirror is None else None
    if axes is None or len(set(axes)) != len(axes) or not set(axes) <= {0, 1, 2}:
        raise CheckpointError(f"'{MIRROR}' are no axes", where=path, got=mirror, wanted="some of 0, 1 and 2")
    return axes


def distinct(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors without repetitions.

    Raises:
        CheckpointError: a repetition of nothing, or of something else.
    """
    named = {_bare(name): tensor for name, tensor in weights.items()}
    first = {name: tensor for name, tensor in named.items() if not _repeats(name)}
    for name, tensor in named.items():
        originals = [first.get(original) for original in _originals(name)] if _repeats(name) else [tensor]
        if not any(original is not None and torch.equal(original, tensor) for original in originals):
            raise CheckpointError("a tensor that repeats no other", where=path, got=name)
    return first


def _bare(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _repeats(name: str) -> bool:
    return name.startswith("decoder.encoder.") or "all_modules." in name


def _originals(name: str) -> list[str]:
    """The names that may stand for the same layer."""
    name = name.removeprefix("decoder.")
    if not name.startswith("encoder."):
        name = f"decoder.{name}"
    return [_SEQUENCE.sub(f"{layer}.", name) for layer in _LAYERS] if "all_modules." in name else [name]


def network(settings: Architecture, checkpoint: Checkpoint, channels: int, outputs: int) -> UNet:
    """The network with the weights of a checkpoint, in evaluation mode.

    Raises:
        CheckpointError: layers whose arguments torch does not take; a tensor too many, too few or of another shape.
    """
    try:
        model = UNet(_as_trained(settings, checkpoint.tensors), channels, outputs)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"the plan's network cannot be built ({error})", where=checkpoint.path) from error
    load_strictly(model, checkpoint.tensors, checkpoint.path)
    return model.eval()


def _as_trained(settings: Architecture, tensors: Mapping[str, Tensor]) -> Architecture:
    """`nnUNetTrainerBN` takes batch norm in place of what the plan says; its running means tell it."""
    if not any(name.endswith("norm.running_mean") for name in tensors):
        return settings
    if settings.norm is not None and settings.norm.name == "BatchNorm":
        return settings
    return replace(settings, norm=Layer("BatchNorm", {"eps": 1e-5, "affine": True}))
