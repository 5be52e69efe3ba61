"""Tensors as mmdetection3d releases VoteNet, with random values, and what else a file holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from pointcloud.models.vote_net.model import VoteNetSettings
from pointcloud.structures.class_sizes import known_size
from pointcloud.structures.features import width

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def convolutions(name: str, widths: tuple[int, ...], taps: tuple[int, ...], bias: bool = False) -> Shapes:
    """Layers of a convolution, with a bias or without, and a batch norm."""
    for number, out in enumerate(widths[1:]):
        yield f"{name}{number}.conv.weight", (out, widths[number], *taps)
        if bias:
            yield f"{name}{number}.conv.bias", (out,)
        for field in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}{number}.bn.{field}", (out,)
        yield f"{name}{number}.bn.num_batches_tracked", ()


def shapes(s: VoteNetSettings, classes: int, early: bool = False) -> Shapes:
    """Names and shapes of a network with these sizes; `early`: before 0.6."""
    levels, up, group = s.pointnet2.levels, s.pointnet2.up_widths, s.aggregation.widths
    outs = [width(s.features), *(level.widths[-1] for level in levels)]
    for number, level in enumerate(levels):
        widths = (3 + outs[number], *level.widths)
        yield from convolutions(f"backbone.SA_modules.{number}.mlps.0.layer", widths, (1, 1))
    below = outs[-1]
    for number, skip in enumerate(reversed(outs[2:-1])):
        yield from convolutions(f"backbone.FP_modules.{number}.mlps.layer", (below + skip, *up), (1, 1))
        below = up[-1]
    yield from convolutions("bbox_head.vote_module.vote_conv.", (below,) * 3, (1,), bias=True)
    yield from affine("bbox_head.vote_module.conv_out", 3 + below, below)
    yield from convolutions("bbox_head.vote_aggregation.mlps.0.layer", (3 + below, *group), (1, 1))
    head = "bbox_head.conv_pred."
    yield from convolutions(head if early else f"{head}shared_convs.layer", (group[-1],) * 3, (1,), bias=True)
    scores, box = 2 + classes, 3 + 2 * s.angle_bins + 4 * classes
    for name, out in {"conv_out": scores + box}.items() if early else {"conv_cls": scores, "conv_reg": box}.items():
        yield from affine(f"{head}{name}", out, group[-1])


def affine(name: str, out: int, channels: int) -> Shapes:
    """A convolution of one tap without a norm."""
    yield f"{name}.weight", (out, channels, 1)
    yield f"{name}.bias", (out,)


def weights(s: VoteNetSettings, classes: int, seed: int = 0, early: bool = False) -> dict[str, Tensor]:
    """Values that keep activations near 1, so that numbers of all layers matter."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for name, shape in shapes(s, classes, early):
        if name.endswith("num_batches_tracked"):
            found[name] = torch.tensor(7452)
        elif name.endswith(("running_var", "bn.weight")):
            found[name] = 0.5 + torch.rand(shape, generator=generator)
        else:
            last = name.startswith("bbox_head.conv_pred.conv_")  # proposals of random networks differ little
            scale = 0.3 if len(shape) == 1 else 1.0 if last else (2 / shape[1]) ** 0.5
            found[name] = torch.randn(shape, generator=generator) * scale
    return found


def config(s: VoteNetSettings, class_names: tuple[str, ...], sample: str = "seed") -> str:
    """The part of a config that says what tensors do not show, as mmcv prints it."""
    levels, group, turned = s.pointnet2.levels, s.aggregation, s.angle_bins > 1
    means = [list(known_size(name, turned) or ()) for name in class_names]
    return f"""
dataset_type = 'SUNRGBDDataset'
model = dict(
    type='VoteNet',
    backbone=dict(
        type='PointNet2SASSG',
        num_points={tuple(level.points for level in levels)},
        radius={tuple(level.radius_m for level in levels)},
        num_samples={tuple(level.neighbours for level in levels)},
        sa_cfg=dict(type='PointSAModule', pool_mod='max', use_xyz=True, normalize_xyz=True)),
    bbox_head=dict(
        size_res_loss=dict(type='SmoothL1Loss', loss_weight=10.0 / 3.0),
        vote_aggregation_cfg=dict(
            num_point={group.points}, radius={group.radius_m}, num_sample={group.neighbours}, normalize_xyz=True),
        bbox_coder=dict(num_dir_bins={s.angle_bins}, with_rot={turned}, mean_sizes={means})),
    test_cfg=dict(sample_mod='{sample}', nms_thr=0.25))
log_level = 'INFO'
"""


def meta(s: VoteNetSettings, class_names: tuple[str, ...], version: str = "0.16.0", **more: Any) -> dict[str, Any]:
    """What mmcv writes beside the tensors; from 1.1 on mmengine has other keys."""
    if version >= "1.1":
        about = {"mmengine_version": "0.7.4", "cfg": config(s, class_names), "dataset_meta": {"classes": class_names}}
    else:
        about = {"mmdet3d_version": version, "config": config(s, class_names), "CLASSES": class_names}
    return {**about, "epoch": 36, **more}
