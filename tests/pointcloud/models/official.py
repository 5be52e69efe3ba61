"""Tensors as 3DETR's authors release them, with random values: their names, their shapes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from pointcloud.models.three_detr.model import ThreeDetrMaskedSettings, ThreeDetrSizes
from pointcloud.models.three_detr.released import Released, expected_options

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def norm(name: str, width: int) -> Shapes:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (width,)
    yield f"{name}.num_batches_tracked", ()


def convolutions(name: str, widths: tuple[int, ...]) -> Shapes:
    for layer, (channels, width) in enumerate(pairwise(widths)):
        yield f"{name}.layer{layer}.conv.weight", (width, channels, 1, 1)
        yield from norm(f"{name}.layer{layer}.bn.bn", width)


def affine(name: str, *shape: int) -> Shapes:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def attention(name: str, width: int) -> Shapes:
    yield f"{name}.in_proj_weight", (3 * width, width)
    yield f"{name}.in_proj_bias", (3 * width,)
    yield from affine(f"{name}.out_proj", width, width)


def layer(name: str, width: int, hidden: int, attentions: tuple[str, ...]) -> Shapes:
    for kind in attentions:
        yield from attention(f"{name}.{kind}", width)
    for number in range(len(attentions) + 1):
        yield from affine(f"{name}.norm{number + 1}", width)
    yield from affine(f"{name}.linear1", hidden, width)
    yield from affine(f"{name}.linear2", width, hidden)


def shapes(s: ThreeDetrSizes, classes: int, channels: int) -> Shapes:
    """Names and shapes of a network with these sizes."""
    w, masked = s.width, isinstance(s, ThreeDetrMaskedSettings)
    yield from convolutions("pre_encoder.mlp_module", (3 + channels, *s.aggregation.widths))
    for n in range(3):
        yield from layer(f"encoder.layers.{n}", w, s.encoder_ffn, ("self_attn",))
    if isinstance(s, ThreeDetrMaskedSettings):
        yield from convolutions("encoder.interim_downsampling.mlp_module", (3 + w, *s.interim.widths))
    for n in range(2 if masked else 3):
        yield f"encoder_to_decoder_projection.layers.{3 * n}.weight", (w, w, 1)
        yield from norm(f"encoder_to_decoder_projection.layers.{3 * n + 1}", w)
    yield "pos_embedding.gauss_B", (3, w // 2)
    for n in (0, 2):
        yield from affine(f"query_projection.layers.{n}", w, w, 1)
    for n in range(s.decoder_layers):
        yield from layer(f"decoder.layers.{n}", w, s.decoder_ffn, ("self_attn", "multihead_attn"))
    yield from affine("decoder.norm", w)
    outputs = {
        "sem_cls": classes + 1,
        "center": 3,
        "size": 3,
        "angle_cls": s.angle_bins,
        "angle_residual": s.angle_bins,
    }
    for name, count in outputs.items():
        for n in (0, 4):
            yield f"mlp_heads.{name}_head.layers.{n}.weight", (w, w, 1)
            yield from norm(f"mlp_heads.{name}_head.layers.{n + 1}", w)
        yield from affine(f"mlp_heads.{name}_head.layers.8", count, w, 1)


def weights(settings: ThreeDetrSizes, classes: int, channels: int = 0, seed: int = 0) -> dict[str, Tensor]:
    """Random tensors under which queries differ from each other."""
    generator = torch.Generator().manual_seed(seed)
    table = {}
    for name, shape in shapes(settings, classes, channels):
        value = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            value = torch.tensor(7)
        elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            value = 0.5 + torch.rand(shape, generator=generator)
        elif name != "pos_embedding.gauss_B":
            value = value * ((2 / shape[1]) ** 0.5 if len(shape) > 1 else 0.3)
            value = value * (3 if "in_proj" in name or name.startswith("query_projection.layers.2") else 1)
        table[name] = value
    return table


def options(released: Released, **changes: Any) -> dict[str, Any]:
    """The options of a training run, those that do not matter among them."""
    return {**expected_options(released), "base_lr": 5e-4, "ngpus": 1, "checkpoint_dir": "runs/a", **changes}
