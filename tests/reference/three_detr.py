"""Slow twin of 3DETR: the released code's steps with its names of tensors, one cloud at a time, attention in loops.

`w` is a table of released tensors. Features are (N, width).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tests.reference.points import ball, farthest_points

Weights = dict[str, Tensor]


def norm(w: Weights, name: str, x: Tensor) -> Tensor:
    """Batch norm with the stored statistics where there are some, else layer norm."""
    if f"{name}.running_mean" in w:
        mean, variance = w[f"{name}.running_mean"], w[f"{name}.running_var"]
    else:
        mean, variance = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    """A linear map or a convolution of 1x1."""
    y = x @ w[f"{name}.weight"].flatten(1).T
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def attention(w: Weights, name: str, q: Tensor, k: Tensor, v: Tensor, heads: int, allowed: Tensor | None) -> Tensor:
    """Head by head and query by query."""
    parts = zip((q, k, v), w[f"{name}.in_proj_weight"].chunk(3), w[f"{name}.in_proj_bias"].chunk(3), strict=True)
    q, k, v = ((x @ weight.T + bias).unflatten(1, (heads, -1)) for x, weight, bias in parts)
    out = torch.zeros_like(q)
    for head in range(heads):
        for i in range(len(q)):
            seen = slice(None) if allowed is None else allowed[i]
            score = (k[seen, head] @ q[i, head]) / math.sqrt(q.shape[2])
            out[i, head] = score.softmax(0) @ v[seen, head]
    return linear(w, f"{name}.out_proj", out.flatten(1))


def feed_forward(w: Weights, name: str, x: Tensor) -> Tensor:
    """Two linear maps with a ReLU."""
    return linear(w, f"{name}.linear2", linear(w, f"{name}.linear1", x).relu())


def encoder_layer(w: Weights, name: str, x: Tensor, heads: int, allowed: Tensor | None = None) -> Tensor:
    """Pre-norm self-attention without positions."""
    y = norm(w, f"{name}.norm1", x)
    x = x + attention(w, f"{name}.self_attn", y, y, y, heads, allowed)
    return x + feed_forward(w, name, norm(w, f"{name}.norm2", x))


def decoder_layer(w: Weights, name: str, x: Tensor, place: Tensor, memory: Tensor, at: Tensor, heads: int) -> Tensor:
    """Pre-norm self-attention, cross-attention, feed-forward."""
    y = norm(w, f"{name}.norm1", x)
    x = x + attention(w, f"{name}.self_attn", y + place, y + place, y, heads, None)
    y = norm(w, f"{name}.norm2", x)
    x = x + attention(w, f"{name}.multihead_attn", y + place, memory + at, memory, heads, None)
    return x + feed_forward(w, name, norm(w, f"{name}.norm3", x))


def set_abstraction(
    w: Weights, name: str, xyz: Tensor, features: Tensor | None, points: int, radius: float, k: int
) -> tuple[Tensor, Tensor]:
    """Places and features of the points kept."""
    picks = farthest_points(xyz.numpy(), points, skip_near_origin=True)
    near, _ = ball(xyz.numpy(), xyz[picks].numpy(), radius, k)
    rows = []
    for pick, row in zip(picks, torch.from_numpy(near), strict=True):
        row = torch.where(row < 0, row[0], row)
        x = (xyz[row] - xyz[pick]) / radius
        x = x if features is None else torch.cat([x, features[row]], 1)
        for layer in range(3):
            x = norm(w, f"{name}.layer{layer}.bn.bn", linear(w, f"{name}.layer{layer}.conv", x)).relu()
        rows.append(x.max(0).values)
    return xyz[picks], torch.stack(rows)


def fourier(w: Weights, xyz: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Sines, then cosines."""
    angle = 2 * math.pi * ((xyz - low) / (high - low)) @ w["pos_embedding.gauss_B"]
    return torch.cat([angle.sin(), angle.cos()], 1)


def sine(xyz: Sequence[float], width: int) -> list[float]:
    """Sine embedding of one normalised point: even channels of an axis are sines, odd ones cosines."""
    per_axis = width // 3 // 2 * 2
    left_over, out = width - 3 * per_axis, []
    for value in xyz:
        channels = per_axis + (2 if left_over > 0 else 0)
        left_over -= 2
        for i in range(channels):
            angle = 2 * math.pi * value / 10000 ** (2 * (i // 2) / channels)
            out.append(math.sin(angle) if i % 2 == 0 else math.cos(angle))
    return out


def boxes(w: Weights, x: Tensor, query_xyz: Tensor, low: Tensor, high: Tensor) -> dict[str, Tensor]:
    """What the heads say of queries (Q, width), as boxes; clockwise angle."""
    raw = {}
    for name in ("sem_cls", "center", "size", "angle_cls", "angle_residual"):
        y = x
        for layer in (0, 4):
            y = norm(
                w, f"mlp_heads.{name}_head.layers.{layer + 1}", linear(w, f"mlp_heads.{name}_head.layers.{layer}", y)
            )
            y = y.relu()
        raw[name] = linear(w, f"mlp_heads.{name}_head.layers.8", y)
    bins = raw["angle_cls"].shape[1]
    angle = []
    for logits, residual in zip(raw["angle_cls"], raw["angle_residual"], strict=True):
        best = int(logits.argmax())
        turn = 2 * math.pi / bins * best + float(residual[best]) * math.pi / bins
        angle.append(0.0 if bins == 1 else turn - 2 * math.pi if turn > math.pi else turn)
    return {
        "logits": raw["sem_cls"],
        "center": query_xyz + raw["center"].sigmoid() - 0.5,
        "size": raw["size"].sigmoid() * (high - low).clamp(min=0.1),
        "angle": torch.tensor(angle),
    }


def three_detr(
    w: Weights, cloud: Tensor, masked: bool, tokens: int, queries: int, heads: int
) -> list[dict[str, Tensor]]:
    """Boxes of one cloud after each decoder layer."""
    xyz, features = cloud[:, :3], cloud[:, 3:] if cloud.shape[1] > 3 else None
    low, high = xyz.min(0).values, xyz.max(0).values
    xyz, x = set_abstraction(w, "pre_encoder.mlp_module", xyz, features, tokens, 0.2, 64)
    for layer, radius in enumerate((0.16, 0.64, 1.44)):
        allowed = (xyz[:, None] - xyz[None]).norm(dim=2) < radius if masked else None
        x = encoder_layer(w, f"encoder.layers.{layer}", x, heads, allowed)
        if masked and layer == 0:
            name = "encoder.interim_downsampling.mlp_module"
            xyz, x = set_abstraction(w, name, xyz, x, tokens // 2, 0.4, 32)
    for layer in (0, 3) if masked else (0, 3, 6):
        name = "encoder_to_decoder_projection.layers"
        x = norm(w, f"{name}.{layer + 1}", linear(w, f"{name}.{layer}", x)).relu()
    query_xyz = xyz[farthest_points(xyz.numpy(), queries, skip_near_origin=True)]
    place = fourier(w, query_xyz, low, high)
    for layer in (0, 2):
        place = linear(w, f"query_projection.layers.{layer}", place).relu()
    state, out = torch.zeros_like(place), []
    while f"decoder.layers.{len(out)}.norm1.weight" in w:
        state = decoder_layer(w, f"decoder.layers.{len(out)}", state, place, x, fourier(w, xyz, low, high), heads)
        out.append(boxes(w, norm(w, "decoder.norm", state), query_xyz, low, high))
    return out


def match(cost: Tensor) -> list[tuple[int, int]]:
    """(query, target) pairs of a cost (queries, targets)."""
    return list(zip(*(index.tolist() for index in linear_sum_assignment(cost.numpy())), strict=True))
