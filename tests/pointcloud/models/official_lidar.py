"""A network of ours as mmdetection3d, OpenPCDet or CenterPoint would have stored it: names, biases, orders."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pointcloud.models.anchors.ssn import SsnHead
from pointcloud.models.layers.bev_backbones import Fpn
from pointcloud.models.layers.reg_net import RegNet
from pointcloud.models.layers.sparse_encoder import ResidualBlock
from vol3d.sparse import to_spconv

NAMES = {
    "mmdetection3d": ("reg", "height", "dim", "rot", "vel", "heatmap"),
    "OpenPCDet": ("center", "center_z", "dim", "rot", "vel", "hm"),
    "CenterPoint": ("reg", "height", "dim", "rot", "vel", "hm"),
}
OURS = ("offset", "height", "size", "rotation", "velocity", "heatmap")


def randomise(model: nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        elif name.endswith(("running_mean", "bias")):
            tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))


class Export:
    """Collects tensors under the names of a layout."""

    def __init__(self, layout: str, spconv: int, clockwise: bool) -> None:
        self.layout, self.spconv, self.clockwise = layout, spconv, clockwise
        self.tensors: dict[str, Tensor] = {}

    def layer(self, name: str, layer: nn.Module) -> None:
        for field, tensor in layer.state_dict().items():
            if tensor.ndim == 5:
                tensor = to_spconv(tensor, self.spconv)
            self.tensors[f"{name}.{field}"] = tensor.clone()

    def pair(self, convolution: str, norm: str, chain: Any, bias: bool = False) -> None:
        """Convolution and norm; where they store a bias it is one that the norm's mean undoes."""
        self.layer(convolution, chain[0])
        self.layer(norm, chain[1])
        if bias:
            extra = torch.linspace(-1, 1, len(chain[1].running_mean))
            self.tensors[f"{convolution}.bias"] = extra
            self.tensors[f"{norm}.running_mean"] += extra

    def block(self, name: str, block: ResidualBlock) -> None:
        for theirs, ours in (("conv1", "first"), ("bn1", "first_norm"), ("conv2", "second"), ("bn2", "second_norm")):
            self.layer(f"{name}.{theirs}", getattr(block, ours))

    def encoder(self, prefix: str, model: Any) -> None:
        out = "extra_conv" if self.layout == "CenterPoint" else "conv_out"
        for name, chain in (("conv_input", model.input), (out, model.output)):
            self.pair(f"{prefix}{name}.0", f"{prefix}{name}.1", chain)
        residual = model.settings.block == "residual"
        for number, stage in enumerate(model.stages):
            for index, layer in enumerate(stage):
                strided = number > 0 and index == 0
                if self.layout == "mmdetection3d":
                    of, at = number + 1, index - (residual and number > 0)
                    if strided and residual:
                        of, at = number, len(model.stages[number - 1]) - (number > 1)
                    name = f"{prefix}encoder_layers.encoder_layer{of}.{at}"
                elif self.layout == "CenterPoint" and number:
                    name = f"{prefix}conv{number + 1}.{index + 1}"
                    if strided:
                        self.pair(f"{prefix}conv{number + 1}.0", f"{prefix}conv{number + 1}.1", layer)
                        continue
                    name = f"{prefix}conv{number + 1}.{index + 2}"
                else:
                    name = f"{prefix}conv{number + 1}.{index}"
                if isinstance(layer, ResidualBlock):
                    self.block(name, layer)
                else:
                    self.pair(f"{name}.0", f"{name}.1", layer)

    def backbone(self, prefix: str, model: Any) -> None:
        if isinstance(model, RegNet):
            return self.reg_net(prefix, model)
        first = 0 if self.layout == "mmdetection3d" else 1
        for number, block in enumerate(model.blocks):
            for index, chain in enumerate(block):
                at = 3 * index + first
                self.pair(f"{prefix}blocks.{number}.{at}", f"{prefix}blocks.{number}.{at + 1}", chain)

    def reg_net(self, prefix: str, model: RegNet) -> None:
        for number, stage in enumerate(model.stages):
            for index, block in enumerate(stage):
                name = f"{prefix}layer{number + 1}.{index}"
                for at, part in enumerate((block.reduce, block.grouped, block.restore), start=1):
                    self.pair(f"{name}.conv{at}", f"{name}.bn{at}", part)
                if isinstance(block.shortcut, nn.Sequential):
                    self.pair(f"{name}.downsample.0", f"{name}.downsample.1", block.shortcut)

    def pyramid(self, prefix: str, model: Fpn) -> None:
        for kind, chains in (("lateral_convs", model.laterals), ("fpn_convs", model.outputs)):
            for number, chain in enumerate(chains):
                self.pair(f"{prefix}{kind}.{number}.conv", f"{prefix}{kind}.{number}.bn", chain)

    def neck(self, prefix: str, model: Any, transposed: bool) -> None:
        if isinstance(model, Fpn):
            return self.pyramid(prefix, model)
        for number, chain in enumerate(model.branches):
            name = f"{prefix}deblocks.{number}"
            self.pair(f"{name}.0", f"{name}.1", chain)
            if transposed and isinstance(chain[0], nn.Conv2d) and chain[0].kernel_size == (1, 1):
                self.tensors[f"{name}.0.weight"] = self.tensors[f"{name}.0.weight"].transpose(0, 1).contiguous()

    def center_head(self, prefix: str, model: Any) -> None:
        mmdet3d, bias = self.layout == "mmdetection3d", self.layout != "mmdetection3d"
        shared = ("conv", "bn") if mmdet3d else ("0", "1")
        self.pair(f"{prefix}shared_conv.{shared[0]}", f"{prefix}shared_conv.{shared[1]}", model.shared, bias)
        tasks = {"mmdetection3d": "task_heads", "OpenPCDet": "heads_list", "CenterPoint": "tasks"}[self.layout]
        inner = {"mmdetection3d": ("0.conv", "0.bn", "1"), "OpenPCDet": ("0.0", "0.1", "1")}
        places = inner.get(self.layout, ("0", "1", "3"))
        for number, task in enumerate(model.tasks):
            for theirs, ours in zip(NAMES[self.layout], OURS, strict=True):
                name = f"{prefix}{tasks}.{number}.{theirs}"
                self.pair(f"{name}.{places[0]}", f"{name}.{places[1]}", task.outputs[ours][0], bias)
                self.layer(f"{name}.{places[2]}", task.outputs[ours][1])
                for field in (f"{name}.{places[2]}.weight", f"{name}.{places[2]}.bias"):
                    self.tensors[field] = self.turned(ours, self.tensors[field])

    def ssn_head(self, prefix: str, model: SsnHead) -> None:
        for number, group in enumerate(model.groups):
            for index, chain in enumerate(group.shared):
                name = f"{prefix}heads.{number}.shared_conv.{index}"
                self.pair(f"{name}.conv", f"{name}.bn", chain)
            for theirs, ours in (("conv_cls", "classes"), ("conv_reg", "offsets"), ("conv_dir_cls", "directions")):
                self.layer(f"{prefix}heads.{number}.{theirs}", getattr(group, ours))

    def turned(self, output: str, tensor: Tensor) -> Tensor:
        if output == "rotation" and self.layout == "OpenPCDet":
            return tensor[[1, 0]]
        if output == "rotation" and self.clockwise:
            return -tensor[[1, 0]]
        return tensor[[1, 0, 2]] if output == "size" and self.clockwise else tensor


def export(
    model: Any, layout: str, *, spconv: int = 1, clockwise: bool = False, pts: bool = True, vfe: bool = False
) -> dict[str, Tensor]:
    """The network's tensors as the layout has them.

    Args:
        pts: mmdetection3d's prefix of detectors for several sensors.
        vfe: points are encoded by its HardVFE.
    """
    out = Export(layout, spconv, clockwise)
    p = "pts_" if pts else ""
    points, middle, backbone, neck, head = {
        "mmdetection3d": (f"{p}voxel_encoder.", f"{p}middle_encoder.", f"{p}backbone.", f"{p}neck.", f"{p}bbox_head."),
        "OpenPCDet": ("vfe.", "backbone_3d.", "backbone_2d.", "backbone_2d.", "dense_head."),
        "CenterPoint": ("reader.", "backbone.", "neck.", "neck.", "bbox_head."),
    }[layout]
    stem = getattr(model, "encoder", model)
    layers = "vfe_layers" if vfe else "pfn_layers"
    for number, linear in enumerate(getattr(stem.points, "linears", ())):
        out.layer(f"{points}{layers}.{number}.linear", linear)
        out.layer(f"{points}{layers}.{number}.norm", stem.points.norms[number])
    if getattr(stem, "middle", None) is not None:
        out.encoder(middle, stem.middle)
    out.backbone(backbone, model.backbone)
    center = hasattr(model.head, "shared")
    out.neck(neck, model.neck, layout == "OpenPCDet" or (layout == "mmdetection3d" and not center))
    if center:
        out.center_head(head, model.head)
    elif isinstance(model.head, SsnHead):
        out.ssn_head(head, model.head)
    else:
        box = "conv_box" if layout == "OpenPCDet" else "conv_reg"
        for theirs, ours in (("conv_cls", "classes"), (box, "offsets"), ("conv_dir_cls", "directions")):
            out.layer(f"{head}{theirs}", getattr(model.head, ours))
    return out.tensors
