"""Tensors as mmdetection3d releases H3DNet, with random values, a scene, and what else a file holds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pointcloud.models.h3d_net.model import H3DNetSettings
from pointcloud.models.released.h3d_net import BINS
from pointcloud.structures.class_sizes import known_size
from pointcloud.structures.features import width
from pointcloud.structures.targets import BoxTargets
from tests.pointcloud.models.official_vote_net import Shapes, affine, convolutions


def single(name: str, out: int, channels: int) -> Shapes:
    """One layer of one tap, without a number in its name."""
    for field, shape in convolutions("", (channels, out), (1,), bias=True):
        yield f"{name}{field.removeprefix('0')}", shape


def shapes(s: H3DNetSettings, classes: int) -> Shapes:
    """Names and shapes of a network with these sizes."""
    group = s.aggregation.widths
    w, out = s.pointnet2.width, group[-1]
    for tower in range(s.towers):
        yield from _tower(f"backbone.backbone_list.{tower}.", s)
    joined = (s.towers * w, s.towers * w // 2, w)
    yield from convolutions("backbone.aggregation_layers.layer", joined, (1,), bias=True)
    yield from _votes("rpn_head.", w, group)
    yield from convolutions("rpn_head.conv_pred.shared_convs.layer", (out,) * 3, (1,), bias=True)
    yield from affine("rpn_head.conv_pred.conv_cls", 2 + classes, out)
    yield from affine("rpn_head.conv_pred.conv_reg", 3 + 2 * BINS + 4 * classes, out)
    for kind, lengths in (("z", 2), ("xy", 1), ("line", 0)):
        head = f"roi_head.primitive_{kind}."
        yield from single(f"{head}flag_conv", w // 2, w)
        yield from affine(f"{head}flag_pred", 2, w // 2)
        yield from _votes(head, w, group)
        yield from convolutions(f"{head}conv_pred.", (out,) * 3, (1,), bias=True)
        yield from affine(f"{head}conv_pred.conv_out", 3 + lengths + classes, out)
    yield from _refinement("roi_head.bbox_head.", s, classes)


def _tower(name: str, s: H3DNetSettings) -> Shapes:
    levels, up = s.pointnet2.levels, s.pointnet2.up_widths
    outs = [width(s.features), *(level.widths[-1] for level in levels)]
    for number, level in enumerate(levels):
        yield from convolutions(f"{name}SA_modules.{number}.mlps.0.layer", (3 + outs[number], *level.widths), (1, 1))
    below = outs[-1]
    for number, skip in enumerate(reversed(outs[2:-1])):
        yield from convolutions(f"{name}FP_modules.{number}.mlps.layer", (below + skip, *up), (1, 1))
        below = up[-1]


def _votes(name: str, w: int, group: tuple[int, ...]) -> Shapes:
    yield from convolutions(f"{name}vote_module.vote_conv.", (w,) * 3, (1,), bias=True)
    yield from affine(f"{name}vote_module.conv_out", 3 + w, w)
    yield from convolutions(f"{name}vote_aggregation.mlps.0.layer", (3 + w, *group), (1, 1))


def _refinement(name: str, s: H3DNetSettings, classes: int) -> Shapes:
    out, m = s.aggregation.widths[-1], s.matching.widths
    for kind, places in (("surface", 6), ("line", 12)):
        widths = (3 + places + out, *m)
        yield from convolutions(f"{name}{kind}_center_matcher.mlps.0.layer", widths, (1, 1))
    for kind in ("matching", "semantic_matching"):
        yield from single(f"{name}{kind}_conv", m[-1], m[-1])
        yield from affine(f"{name}{kind}_pred", 2, m[-1])
    for kind in ("surface", "line"):
        yield from convolutions(f"{name}{kind}_feats_aggregation.", (m[-1],) * 3, (1,), bias=True)
    yield from convolutions(f"{name}bbox_pred.", (18 * m[-1], out, out, out), (1,), bias=True)
    yield from affine(f"{name}bbox_pred.3", 5 + 2 * BINS + 5 * classes, out)


_SCALES = (
    # part of a name, and the scale of its values
    ("vote_module.conv_out", 0.02),
    ("conv_pred.conv_", 0.1),
    ("bbox_pred.3", 0.05),
    ("bbox_pred.0.conv", 0.1),
    ("flag_pred.bias", 0.0),
)


def weights(s: H3DNetSettings, classes: int, seed: int = 0) -> dict[str, Tensor]:
    """Values with which numbers of all layers matter, boxes have sizes, and some primitives match."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for name, shape in shapes(s, classes):
        if name.endswith("num_batches_tracked"):
            found[name] = torch.tensor(7452)
        elif name.endswith(("running_var", "bn.weight")):
            found[name] = 0.5 + torch.rand(shape, generator=generator)
        else:
            scale = next((value for part, value in _SCALES if part in name), 1.0)
            scale *= 0.3 if len(shape) == 1 else (2 / shape[1]) ** 0.5
            values = torch.randn(shape, generator=generator) * scale
            centred = "flag_pred" in name  # about as many seeds on a primitive as on none
            found[name] = values - values.mean(dim=1, keepdim=True) if centred and len(shape) > 1 else values
    return found


def scene(seed: int, objects: int = 4) -> tuple[Tensor, BoxTargets, Tensor]:
    """Points (N, 4) with heights on boxes and a floor; the boxes; which box a point is of, their number for none."""
    generator = torch.Generator().manual_seed(seed)
    clouds, boxes, owners = [], [], []
    for number in range(objects):
        place = torch.tensor([number % 2 * 1.2, number // 2 * 1.2, 0.6]) + 0.2 * torch.rand(3, generator=generator)
        points = torch.rand(900, 3, generator=generator) - 0.5
        face = torch.randint(0, 6, (900,), generator=generator)
        for side in range(6):
            points[face == side, side // 2] = side % 2 - 0.5
        size = 0.35 + 0.3 * torch.rand(3, generator=generator)
        points = points * size + place + 0.004 * torch.randn(900, 3, generator=generator)
        low, high = points.amin(0), points.amax(0)
        boxes.append(torch.cat([(low + high) / 2, high - low + 2e-4, torch.zeros(1)]))
        clouds.append(points)
        owners += [number] * 900
    clouds.append(torch.rand(400, 3, generator=generator) * torch.tensor([3.0, 3.0, 0.02]) - 0.5)
    xyz, order = torch.cat(clouds), torch.randperm(900 * objects + 400, generator=generator)
    labels = torch.randint(0, 18, (objects,), generator=generator)
    cloud = torch.cat([xyz, xyz[:, 2:] + 0.5], dim=1)[order]
    return cloud, BoxTargets(torch.stack(boxes), labels), torch.tensor(owners + [objects] * 400)[order]


def meta(s: H3DNetSettings, class_names: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """What mmcv writes beside the tensors, with the part of the config that says what tensors do not show."""
    levels, group, matching = s.pointnet2.levels, s.aggregation, s.matching
    means = [list(known_size(name, False) or ()) for name in class_names]
    coder = f"bbox_coder=dict(num_dir_bins={BINS}, with_rot=False, mean_sizes={means})"
    match = f"dict(radius={matching.radius_m}, num_sample={matching.neighbours})"
    config = f"""
model = dict(
    type='H3DNet',
    backbone=dict(num_streams={s.towers}, backbones=dict(
        num_points={tuple(level.points for level in levels)},
        radius={tuple(level.radius_m for level in levels)},
        num_samples={tuple(level.neighbours for level in levels)})),
    rpn_head=dict(
        vote_aggregation_cfg=dict(
            num_point={group.points}, radius={group.radius_m}, num_sample={group.neighbours}),
        {coder}),
    roi_head=dict(bbox_head=dict(suface_matching_cfg={match}, line_matching_cfg={match}, {coder})),
    test_cfg=dict(rpn=dict(sample_mod='seed'), rcnn=dict(sample_mod='seed')))
"""
    return {"mmdet3d_version": "0.16.0", "config": config, "CLASSES": class_names, **more}
