"""Tensors of mmdetection3d, OpenPCDet and CenterPoint under the names of our parts of LiDAR networks.

Each function takes the tensors of one part without the part's prefix and returns them renamed; layouts are recognised
by their names, orders of sparse convolutions by their shapes. A name that is not one of theirs stays, so that strict
loading refuses it. A bias before a batch norm, which ours do not have, moves into the norm's mean: the same numbers.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import torch
from torch import Tensor, nn

from pointcloud.models.layers.bev_backbones import SecondFpn
from pointcloud.models.layers.sparse_encoder import SparseEncoder
from pointcloud.structures.weight_names import Rules, Tensors, renamed
from vol3d.sparse import from_spconv


def point_stack_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Of a pillar network or a VFE, in all three layouts (tianweiy, OpenPCDet and mmdetection3d name them alike)."""
    return renamed(
        tensors,
        (
            (r"(?:pfn|vfe)_layers\.(\d+)\.linear\.weight", r"linears.\1.weight"),
            (r"(?:pfn|vfe)_layers\.(\d+)\.norm\.(\w+)", r"norms.\1.\2"),
            (r"vfe_layers\.(\d+)\.0\.weight", r"linears.\1.weight"),
            (r"vfe_layers\.(\d+)\.1\.(\w+)", r"norms.\1.\2"),
        ),
    )


_BLOCK = {"conv1": "first", "bn1": "first_norm", "conv2": "second", "bn2": "second_norm"}


def sparse_encoder_weights(model: SparseEncoder, tensors: Tensors) -> dict[str, Tensor]:
    """Of SECOND's encoder, plain or residual: mmdetection3d, OpenPCDet, CenterPoint; spconv 1 or 2."""
    residual, blocks = model.settings.block == "residual", model.settings.blocks
    outside: Rules = (
        (r"conv_input\.(\d)\.(\w+)", r"input.\1.\2"),
        (r"(?:conv_out|extra_conv)\.(\d)\.(\w+)", r"output.\1.\2"),
    )
    encoder_layers = r"encoder_layers\.encoder_layer(\d+)\.(\d+)\."

    def of_mmdet3d(match: re.Match[str]) -> str:
        stage, index = int(match[1]) - 1, int(match[2])
        if residual and index == blocks[stage]:  # the strided convolution of the next stage
            return f"stages.{stage + 1}.0.{_inside(match[3])}"
        return f"stages.{stage}.{index + (residual and stage > 0)}.{_inside(match[3])}"

    def of_center_point(match: re.Match[str]) -> str:
        stage, index = int(match[1]) - 1, int(match[2])
        if stage and index < 2:  # convolution, norm, ReLU, blocks
            return f"stages.{stage}.0.{index}.{match[3]}"
        return f"stages.{stage}.{index - 2 * (stage > 0)}.{_inside(match[3])}"

    flat = residual and "conv2.3.conv1.weight" in tensors
    rules: Rules = (
        *outside,
        (encoder_layers + r"(.+)", of_mmdet3d),
        (r"conv(\d)\.(\d+)\.(.+)", of_center_point if flat else _stage),
    )
    found = renamed(tensors, rules)
    own = model.state_dict()
    for name, tensor in found.items():
        if tensor.ndim == 5 and name in own and tensor.shape != own[name].shape:
            found[name] = from_spconv(tensor, 2)
    return found


def _stage(match: re.Match[str]) -> str:
    return f"stages.{int(match[1]) - 1}.{match[2]}.{_inside(match[3])}"


def _inside(name: str) -> str:
    layer, _, field = name.partition(".")
    return f"{_BLOCK.get(layer, layer)}.{field}"


def second_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Of SECOND's 2D backbone; OpenPCDet and CenterPoint count a padding layer in front."""
    pad = 0 if "blocks.0.0.weight" in tensors else 1
    triple = (r"blocks\.(\d+)\.(\d+)\.(\w+)", lambda m: f"blocks.{m[1]}.{divided(int(m[2]) - pad)}.{m[3]}")
    return renamed(tensors, (triple,))


_X_BLOCK = {
    "conv1": "reduce.0",
    "bn1": "reduce.1",
    "conv2": "grouped.0",
    "bn2": "grouped.1",
    "conv3": "restore.0",
    "bn3": "restore.1",
    "downsample.0": "shortcut.0",
    "downsample.1": "shortcut.1",
}


def reg_net_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Of mmdetection's RegNet."""
    layer = "|".join(map(re.escape, _X_BLOCK))
    block = (
        rf"layer(\d+)\.(\d+)\.({layer})\.(\w+)",
        lambda m: f"stages.{int(m[1]) - 1}.{m[2]}.{_X_BLOCK[m[3]]}.{m[4]}",
    )
    return renamed(tensors, (block,))


def divided(index: int) -> str:
    """Place in a chain of convolution, norm, ReLU as the layer and the part of it."""
    return f"{index // 3}.{index % 3}"


def second_fpn_weights(
    model: SecondFpn, tensors: Tensors, stride_one: Literal["convolution", "transposed"]
) -> dict[str, Tensor]:
    """Of SECOND's neck. A transposed convolution of one tap is a convolution with its axes swapped.

    Args:
        model: ours.
        tensors: `deblocks.*`.
        stride_one: what the original uses where a map keeps its size.
    """
    found = renamed(tensors, ((r"deblocks\.(\d+)\.(\d)\.(\w+)", r"branches.\1.\2.\3"),))
    for index, branch in enumerate(model.branches):
        layer, name = branch.get_submodule("0"), f"branches.{index}.0.weight"
        one_tap = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
        if name in found and one_tap and stride_one == "transposed":
            found[name] = found[name].transpose(0, 1)
    return found


def fpn_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Of mmdetection's FPN."""
    return renamed(
        tensors,
        (
            (r"lateral_convs\.(\d+)\.conv\.(\w+)", r"laterals.\1.0.\2"),
            (r"lateral_convs\.(\d+)\.bn\.(\w+)", r"laterals.\1.1.\2"),
            (r"fpn_convs\.(\d+)\.conv\.(\w+)", r"outputs.\1.0.\2"),
            (r"fpn_convs\.(\d+)\.bn\.(\w+)", r"outputs.\1.1.\2"),
        ),
    )


def without_bias(tensors: Tensors, convolution: str, norm: str) -> dict[str, Tensor]:
    """The tensors with the bias of a convolution moved into the norm behind it; as they are if there is none."""
    found = dict(tensors)
    bias = found.pop(f"{convolution}.bias", None)
    mean = f"{norm}.running_mean"
    if bias is not None and mean in found:
        found[mean] = found[mean] - bias
    return found


def under(prefix: str, tensors: Tensors) -> dict[str, Tensor]:
    """Every name behind a prefix."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def part(tensors: Tensors, *prefixes: str) -> dict[str, Tensor]:
    """Tensors whose name starts with one of the prefixes, without it."""
    return {
        name[len(prefix) :]: tensor
        for prefix in prefixes
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def to_float(tensors: Tensors) -> dict[str, Tensor]:
    """Halves become float32; counters stay."""
    return {name: t.to(torch.float32) if t.is_floating_point() else t for name, t in tensors.items()}


Convention = Literal["ours", "clockwise", "openpcdet"]
"""What a head's outputs mean: as ours (mmdetection3d from 1.0); w before l and yaw clockwise from -y (before 1.0, and
CenterPoint); cosine before sine (OpenPCDet)."""

_CENTER_OUTPUTS = {
    "heatmap": "heatmap",
    "hm": "heatmap",
    "reg": "offset",
    "center": "offset",
    "height": "height",
    "center_z": "height",
    "dim": "size",
    "rot": "rotation",
    "vel": "velocity",
}


def center_head_weights(tensors: Tensors, convention: Convention) -> dict[str, Tensor]:
    """Of CenterPoint's head, in the layouts of mmdetection3d, CenterPoint and OpenPCDet."""

    def output(match: re.Match[str]) -> str:
        name = _CENTER_OUTPUTS.get(match["output"], match["output"])
        return f"tasks.{match['task']}.outputs.{name}.{_center_layer(match['layer'], match[0].startswith('tasks'))}"

    places = r"(?:task_heads|tasks|heads_list)\.(?P<task>\d+)\.(?P<output>\w+)\.(?P<layer>.+)"
    rules: Rules = (
        (r"shared_conv\.(?:conv|0)\.(\w+)", r"shared.0.\1"),
        (r"shared_conv\.(?:bn|1)\.(\w+)", r"shared.1.\1"),
        (places, output),
    )
    found = renamed(tensors, rules)
    for name in [name for name in found if name.endswith("0.bias") and found[name].ndim == 1]:
        convolution = name.removesuffix(".bias")
        found = without_bias(found, convolution, convolution.removesuffix("0") + "1")
    for name in list(found):
        if ".size.1." in name and convention == "clockwise":
            found[name] = found[name][[1, 0, 2]]
        if ".rotation.1." in name and convention != "ours":
            # sin(-yaw - pi/2) = -cos(yaw) and cos(-yaw - pi/2) = -sin(yaw)
            found[name] = found[name][[1, 0]] * (-1 if convention == "clockwise" else 1)
    return found


_CENTER_LAYERS = {"0.conv": "0.0", "0.bn": "0.1", "0.0": "0.0", "0.1": "0.1", "1": "1"}
_FLAT_CENTER_LAYERS = {"0": "0.0", "1": "0.1", "3": "1"}  # CenterPoint counts the ReLU


def _center_layer(layer: str, flat: bool) -> str:
    """Convolution, norm, last convolution as 0.0, 0.1, 1."""
    stem, _, field = layer.rpartition(".")
    names = _FLAT_CENTER_LAYERS if flat else _CENTER_LAYERS
    return f"{names.get(stem, stem)}.{field}"


def anchor_head_weights(tensors: Tensors, convention: Convention, columns: int = 7) -> dict[str, Tensor]:
    """Of SECOND's head on anchors, whose boxes have so many columns.

    Before 1.0, mmdetection3d's offsets have w before l and turn clockwise; the anchors' yaws that `turned_yaws` gives
    stand for theirs. Its decoding (`dir_limit_offset=1`) reads the first direction as [-pi, 0) although its targets
    call [0, pi) so; what it decodes is kept, and further training learns the directions again.
    """
    found = renamed(
        tensors,
        (
            (r"conv_cls\.(\w+)", r"classes.\1"),
            (r"conv_(?:reg|box)\.(\w+)", r"offsets.\1"),
            (r"conv_dir_cls\.(\w+)", r"directions.\1"),
        ),
    )
    for offsets in ("offsets.weight", "offsets.bias"):
        if convention == "clockwise" and offsets in found and len(found[offsets]) % columns == 0:
            boxes = found[offsets].unflatten(0, (-1, columns))[:, [0, 1, 2, 4, 3, *range(5, columns)]]
            boxes[:, 6] = -boxes[:, 6]
            found[offsets] = boxes.flatten(0, 1)
    return found


def ssn_head_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Of mmdetection3d's ShapeAwareHead; there are files from 1.0 on only."""
    found = renamed(
        tensors,
        (
            (r"heads\.(\d+)\.shared_conv\.(\d+)\.conv\.(\w+)", r"groups.\1.shared.\2.0.\3"),
            (r"heads\.(\d+)\.shared_conv\.(\d+)\.bn\.(\w+)", r"groups.\1.shared.\2.1.\3"),
        ),
    )
    layers = (("conv_cls", "classes"), ("conv_reg", "offsets"), ("conv_dir_cls", "directions"))
    return renamed(found, tuple((rf"heads\.(\d+)\.{a}\.(\w+)", rf"groups.\1.{b}.\2") for a, b in layers))


def turned_yaws(yaws: tuple[float, ...]) -> tuple[float, ...]:
    """Angles of mmdetection3d before 1.0 as ours."""
    return tuple(-yaw - math.pi / 2 for yaw in yaws)
