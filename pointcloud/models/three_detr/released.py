"""3DETR's weights as its authors released them, read strictly into our network.

A file holds a dictionary with `model` (the tensors), `args` (the options of the training run, an
`argparse.Namespace`), and what predicting does not need: `optimizer`, `epoch`, `best_val_metrics`. A bare table of
tensors with the same names is read too. Every tensor is used; the options are compared with the network's sizes.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.three_detr.loss import SUN_RGBD, SetLossSettings
from pointcloud.models.three_detr.model import RELEASED_RADII_M, ThreeDetr, ThreeDetrMaskedSettings, ThreeDetrSettings
from pointcloud.structures.class_names import SCANNET_CLASSES, SUN_RGBD_CLASSES
from vol3d.checkpoint import load_strictly, read_weights
from vol3d.errors import CheckpointError

IGNORED = frozenset({"optimizer", "epoch", "best_val_metrics"})
"""What a file may hold besides `model` and `args`."""

QUIRKS: dict[str, Any] = {"skip_near_origin": True}
"""How the released code differs from the paper, in the network; `LOSS_QUIRKS` in the loss, `RELEASED_RADII_M` in -m."""

LOSS_QUIRKS: dict[str, Any] = {"intersection": "3detr", "rotation_switch": True}

_SCANNET: dict[str, Any] = {**QUIRKS, "loss": SetLossSettings(**LOSS_QUIRKS)}
_SUN: dict[str, Any] = {**QUIRKS, "queries": 128, "angle_bins": 12}
_SUN_LOSS = SUN_RGBD.model_copy(update=LOSS_QUIRKS)

_HEADS = {"sem_cls": "class_logits", "angle_cls": "angle_logits"}
_RENAMES = (
    (r"^pre_encoder\.mlp_module\.", "aggregate.mlp."),
    (r"^encoder\.interim_downsampling\.mlp_module\.", "encoder.interim.mlp."),
    (r"\.mlp\.layer(\d)\.(conv|bn\.bn)\.", lambda m: f".mlp.{m[1]}.{'linear' if m[2] == 'conv' else 'norm'}."),
    (r"^(encoder\.layers\.\d+)\.self_attn\.", r"\1.attention."),
    (r"^(decoder\.layers\.\d+)\.self_attn\.", r"\1.self_attention."),
    (r"^(decoder\.layers\.\d+)\.multihead_attn\.", r"\1.cross_attention."),
    (r"^((?:en|de)coder\.layers\.\d+)\.linear([12])\.", lambda m: f"{m[1]}.feed_forward.{3 * int(m[2]) - 3}."),
    (r"^pos_embedding\.gauss_B$", "embed.projection"),
    (r"^query_projection\.layers\.", "place_queries."),
    # Their stacks count ReLUs and dropouts too: convolution, norm, ReLU (, dropout), and so on.
    (r"^encoder_to_decoder_projection\.layers\.(\d)\.", lambda m: f"project.{_step(int(m[1]), 3)}."),
    (r"^mlp_heads\.(\w+)_head\.layers\.8\.", lambda m: f"heads.{_HEADS.get(m[1], m[1])}.4."),
    (
        r"^mlp_heads\.(\w+)_head\.layers\.(\d)\.",
        lambda m: f"heads.{_HEADS.get(m[1], m[1])}.{_step(int(m[2]), 4, apart=2)}.",
    ),
)


@dataclass(frozen=True)
class Released:
    """One of the networks that were released: its sizes and what its classes are called."""

    settings: ThreeDetrSettings | ThreeDetrMaskedSettings
    class_names: tuple[str, ...]


RELEASED = {
    "3detr-scannet": Released(ThreeDetrSettings(**_SCANNET), SCANNET_CLASSES),
    "3detr-m-scannet": Released(
        ThreeDetrMaskedSettings(**_SCANNET, mask_radii_m=RELEASED_RADII_M, encoder_dropout=0.3), SCANNET_CLASSES
    ),
    "3detr-sunrgbd": Released(ThreeDetrSettings(**_SUN, loss=_SUN_LOSS), SUN_RGBD_CLASSES),
    "3detr-m-sunrgbd": Released(
        ThreeDetrMaskedSettings(
            **_SUN, mask_radii_m=RELEASED_RADII_M, loss=_SUN_LOSS.model_copy(update={"classes": 0.8})
        ),
        SUN_RGBD_CLASSES,
    ),
}


def load(name: str, path: str | Path, settings: Mapping[str, Any] | None = None) -> ThreeDetr:
    """A released 3DETR with the original's numbers, in evaluation mode.

    Args:
        name: a key of `RELEASED`.
        path: the authors' `.pth`, or the same tensors as safetensors.
        settings: `queries`, if the network shall answer with another number of boxes than it was trained with.

    Raises:
        CheckpointError: the file is damaged, asks for code to be run, holds another network, lacks a tensor or has one
            too many; the message lists them.
    """
    weights, options = _parts(read_weights(path, allow=(argparse.Namespace,)), path)
    released, chosen = RELEASED[name], dict(settings or {})
    if set(chosen) - {"queries"}:
        raise CheckpointError("the name decides these settings", where=path, got=sorted(chosen), wanted="queries alone")
    _compare(options, expected_options(released), name, path)
    try:
        sizes = type(released.settings).model_validate({**released.settings.model_dump(), **chosen})
    except ValidationError as error:
        raise CheckpointError("settings that cannot be", where=path, got=chosen, wanted="fewer queries") from error
    network = sizes.build(released.class_names)
    load_strictly(network, our_names(weights), path)
    return network.eval()


def our_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The released tensors under our names; convolutions of 1x1 become linear maps, halves become float32.

    A name that is not one of theirs stays, so that strict loading refuses it.
    """
    return {_our_name(name): _linear(tensor, name) for name, tensor in weights.items()}


def expected_options(released: Released) -> dict[str, Any]:
    """The options of the training run that decide the network's tensors or what they mean."""
    sizes = released.settings
    masked = isinstance(sizes, ThreeDetrMaskedSettings)
    layers = len(sizes.mask_radii_m) if isinstance(sizes, ThreeDetrMaskedSettings) else sizes.encoder_layers
    return {
        "dataset_name": "scannet" if released.class_names == SCANNET_CLASSES else "sunrgbd",
        "enc_type": "masked" if masked else "vanilla",
        "enc_nlayers": layers,
        "enc_dim": sizes.width,
        "enc_ffn_dim": sizes.encoder_ffn,
        "enc_nhead": sizes.heads,
        "enc_pos_embed": None,
        "enc_activation": "relu",
        "dec_nlayers": sizes.decoder_layers,
        "dec_dim": sizes.width,
        "dec_ffn_dim": sizes.decoder_ffn,
        "dec_nhead": sizes.heads,
        "preenc_npoints": sizes.aggregation.points,
        "pos_embed": sizes.position,
        "nqueries": sizes.queries,
        "use_color": False,
    }


def _parts(document: Any, path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and options of a file; without options where it is a bare table of tensors."""
    if not isinstance(document, Mapping):
        got = type(document).__name__
        raise CheckpointError("not a 3DETR checkpoint", where=path, got=got, wanted="a dictionary with `model`")
    options: dict[str, Any] = {}
    if "model" in document:
        unknown = sorted(map(str, set(document) - IGNORED - {"model", "args"}))
        if unknown:
            raise CheckpointError("not a 3DETR checkpoint: it holds more", where=path, got=", ".join(unknown[:8]))
        options = _options(document.get("args", {}), path)
        document = document["model"]
    if not isinstance(document, Mapping) or not all(isinstance(tensor, Tensor) for tensor in document.values()):
        raise CheckpointError("not a 3DETR checkpoint", where=path, wanted="`model`: names and tensors")
    return dict(document), options


def _options(arguments: Any, path: str | Path) -> dict[str, Any]:
    if isinstance(arguments, argparse.Namespace):
        return vars(arguments)
    if isinstance(arguments, Mapping):
        return dict(arguments)
    raise CheckpointError("not a 3DETR checkpoint", where=path, got=f"args {arguments!r}", wanted="a Namespace")


def _compare(options: Mapping[str, Any], expected: Mapping[str, Any], name: str, path: str | Path) -> None:
    # The released code ignores the number of encoder layers where tokens are masked: there are always three.
    ignored = {"enc_nlayers"} if expected["enc_type"] == "masked" else set()
    wrong = [key for key in expected if key in options and key not in ignored and options[key] != expected[key]]
    if wrong:
        got = ", ".join(f"{key} {options[key]}" for key in wrong)
        wanted = ", ".join(f"{key} {expected[key]}" for key in wrong)
        raise CheckpointError(f"trained with other options than {name}", where=path, got=got, wanted=wanted)


def _our_name(name: str) -> str:
    for pattern, ours in _RENAMES:
        name = re.sub(pattern, ours, name)
    return name


def _linear(tensor: Tensor, name: str) -> Tensor:
    if tensor.is_floating_point():
        tensor = tensor.float()
    is_convolution = name.endswith("weight") and tensor.ndim > 2 and set(tensor.shape[2:]) == {1}
    return tensor.flatten(1) if is_convolution else tensor


def _step(index: int, period: int, apart: int = 1) -> str:
    """Place `index` in one of their stacks as the layer and the part of it in ours."""
    part = {0: "linear", 1: "norm"}.get(index % period, "unknown")
    return f"{index // period * apart}.{part}"
