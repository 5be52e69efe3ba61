"""Slow twin of VoteNet in mmdetection3d: its steps with its names of tensors, one cloud at a time.

`w` is a table of released tensors, from 0.6 on. Features are (N, width).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tests.reference.points import ball, farthest_points, interpolate

Weights = dict[str, Tensor]


def layer(w: Weights, name: str, x: Tensor) -> Tensor:
    """Convolution of one tap, with its bias if it has one, batch norm and ReLU."""
    x = x @ w[f"{name}.conv.weight"].flatten(1).T + w.get(f"{name}.conv.bias", torch.zeros(()))
    mean, variance = w[f"{name}.bn.running_mean"], w[f"{name}.bn.running_var"]
    return ((x - mean) / (variance + 1e-5).sqrt() * w[f"{name}.bn.weight"] + w[f"{name}.bn.bias"]).relu()


def layers(w: Weights, name: str, x: Tensor) -> Tensor:
    """All layers of which the names begin so, one after the other."""
    for number in range(sum(key.startswith(name) and key.endswith("conv.weight") for key in w)):
        x = layer(w, f"{name}{number}", x)
    return x


def abstraction(
    w: Weights, name: str, xyz: Tensor, features: Tensor, picks: Sequence[int], radius: float, k: int
) -> tuple[Tensor, Tensor]:
    """Places and features of the points picked."""
    near, _ = ball(xyz.numpy(), xyz[list(picks)].numpy(), radius, k)
    rows = []
    for pick, row in zip(picks, torch.from_numpy(near), strict=True):
        row = torch.where(row < 0, row[0], row)
        rows.append(layers(w, name, torch.cat([(xyz[row] - xyz[pick]) / radius, features[row]], 1)).max(0).values)
    return xyz[list(picks)], torch.stack(rows)


def vote_net(
    w: Weights, cloud: Tensor, levels: Sequence[tuple[int, float, int]], group: tuple[int, float, int]
) -> dict[str, Tensor]:
    """Votes, places and raw outputs of the proposals.

    Args:
        cloud: (N, 4) x y z height.
        levels: points, radius, neighbours of each abstraction.
        group: the same of the votes; the proposals are at the votes of the farthest seeds.
    """
    xyz, features = cloud[:, :3], cloud[:, 3:]
    down = [(xyz, features)]
    for number, (points, radius, k) in enumerate(levels):
        picks = farthest_points(xyz.numpy(), points)
        xyz, features = abstraction(w, f"backbone.SA_modules.{number}.mlps.0.layer", xyz, features, picks, radius, k)
        down.append((xyz, features))
    for number, (xyz, skip) in enumerate(reversed(down[2:-1])):
        features = torch.cat([interpolate(down[len(down) - 1 - number][0], features, xyz, 3, power=1), skip], 1)
        features = layers(w, f"backbone.FP_modules.{number}.mlps.layer", features)

    out = "bbox_head.vote_module.conv_out"
    moved = layers(w, "bbox_head.vote_module.vote_conv.", features) @ w[f"{out}.weight"].flatten(1).T + w[f"{out}.bias"]
    votes, voted = xyz + moved[:, :3], features + moved[:, 3:]
    voted = voted / voted.norm(dim=1, keepdim=True)

    points, radius, k = group
    picks = farthest_points(xyz.numpy(), points)
    places, x = abstraction(w, "bbox_head.vote_aggregation.mlps.0.layer", votes, voted, picks, radius, k)
    x = layers(w, "bbox_head.conv_pred.shared_convs.layer", x)
    scores, box = (
        x @ w[f"bbox_head.conv_pred.{one}.weight"].flatten(1).T + w[f"bbox_head.conv_pred.{one}.bias"]
        for one in ("conv_cls", "conv_reg")
    )
    return {"votes": votes, "places": places, "scores": scores, "box": box}


def decode(found: dict[str, Tensor], mean_sizes: Tensor, bins: int) -> Tensor:
    """Boxes (Q, 7): centre, size, yaw counter-clockwise, 0 where there is one bin."""
    rows = []
    for place, row in zip(found["places"], found["box"], strict=True):
        size = int(row[3 + 2 * bins : 3 + 2 * bins + len(mean_sizes)].argmax())
        share = row[3 + 2 * bins + len(mean_sizes) :].view(-1, 3)[size]
        turn = int(row[3 : 3 + bins].argmax())
        yaw = 2 * math.pi / bins * turn + float(row[3 + bins + turn]) * math.pi / bins
        yaw = 0.0 if bins == 1 else yaw - 2 * math.pi if yaw > math.pi else yaw
        rows.append(torch.cat([place + row[:3], mean_sizes[size] * (1 + share), torch.tensor([yaw])]))
    return torch.stack(rows)
