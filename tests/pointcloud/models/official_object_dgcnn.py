"""Object DGCNN as its authors stored it: random tensors under their names, and a slow network that reads those names.

Written from the reference's list of names and shapes; shares no code with the package. Dense instead of sparse
convolutions, loops instead of kernels, one sample at a time.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.reference.object_dgcnn import edge_convolution, sample_maps

W, LEVELS, HEADS, POINTS, QUERIES, FFN, CLASSES = 16, 4, 2, 4, 20, 24, 10
STAGES = ((16, 16), (32, 32), (64, 64), (128, 128))  # channels of the sparse encoder, and of its blocks


class Names:
    """Collects random tensors."""

    def __init__(self, seed: int) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.generator = torch.Generator().manual_seed(seed)

    def weight(self, name: str, *shape: int, fan: int) -> None:
        self.tensors[name] = torch.randn(*shape, generator=self.generator) * math.sqrt(1.5 / fan)

    def linear(self, name: str, out: int, into: int) -> None:
        self.weight(f"{name}.weight", out, into, fan=into)
        self.weight(f"{name}.bias", out, fan=into)

    def norm(self, name: str, width: int, batch: bool = True) -> None:
        self.tensors[f"{name}.weight"] = 0.75 + 0.5 * torch.rand(width, generator=self.generator)
        self.weight(f"{name}.bias", width, fan=50)
        if batch:
            self.weight(f"{name}.running_mean", width, fan=50)
            self.tensors[f"{name}.running_var"] = 0.5 + torch.rand(width, generator=self.generator)
            self.tensors[f"{name}.num_batches_tracked"] = torch.tensor(9)

    def sparse(self, name: str, norm: str, out: int, into: int, kernel: tuple[int, int, int], spconv: int) -> None:
        self.weight(f"{name}.weight", *kernel, into, out, fan=into * math.prod(kernel) // 3 + 1)
        if spconv == 2:
            self.tensors[f"{name}.weight"] = self.tensors[f"{name}.weight"].permute(4, 0, 1, 2, 3).contiguous()
        self.norm(norm, out)


def stored(encoder: str, spconv: int = 1, seed: int = 0) -> dict[str, Tensor]:
    """A whole file's tensors of a small network: encoder "pillar" or "voxel"."""
    names = Names(seed)
    if encoder == "pillar":
        names.weight("pts_voxel_encoder.pfn_layers.0.linear.weight", 8, 10, fan=10)
        names.norm("pts_voxel_encoder.pfn_layers.0.norm", 8)
        channels = 8
    else:
        _sparse_encoder(names, spconv)
        channels = 256
    for block, (width, layers) in enumerate(((8, 1), (12, 2))):
        for layer in range(layers + 1):
            name = f"pts_backbone.blocks.{block}"
            names.weight(f"{name}.{3 * layer}.weight", width, channels, 3, 3, fan=9 * channels)
            names.norm(f"{name}.{3 * layer + 1}", width)
            channels = width
        names.weight(f"pts_neck.lateral_convs.{block}.conv.weight", W, width, 1, 1, fan=width)
        names.weight(f"pts_neck.fpn_convs.{block}.conv.weight", W, W, 3, 3, fan=9 * W)
        for part in ("lateral", "fpn"):
            names.norm(f"pts_neck.{part}_convs.{block}.bn", W)
    _head(names)
    return names.tensors


def _sparse_encoder(names: Names, spconv: int) -> None:
    p, cube = "pts_middle_encoder.", (3, 3, 3)
    names.sparse(f"{p}conv_input.0", f"{p}conv_input.1", 16, 5, cube, spconv)
    for stage, (width, _) in enumerate(STAGES):
        name = f"{p}encoder_layers.encoder_layer{stage + 1}"
        for block in (0, 1):
            for n in (1, 2):
                names.sparse(f"{name}.{block}.conv{n}", f"{name}.{block}.bn{n}", width, width, cube, spconv)
        if stage < 3:
            names.sparse(f"{name}.2.0", f"{name}.2.1", STAGES[stage + 1][0], width, cube, spconv)
    names.sparse(f"{p}conv_out.0", f"{p}conv_out.1", 128, 128, (3, 1, 1), spconv)


def _head(names: Names) -> None:
    h = "pts_bbox_head."
    names.weight(f"{h}query_embedding.weight", QUERIES, 2 * W, fan=1)
    names.weight(f"{h}transformer.level_embeds", LEVELS, W, fan=1)
    names.linear(f"{h}transformer.reference_points", 2, W)
    samples = HEADS * LEVELS * POINTS
    for kind, layers, attention, norms in (("encoder", 1, 0, 2), ("decoder", 2, 1, 3)):
        for layer in range(layers):
            name = f"{h}transformer.{kind}.layers.{layer}"
            for part, rows in (("sampling_offsets", 2 * samples), ("attention_weights", samples)):
                names.linear(f"{name}.attentions.{attention}.{part}", rows, W)
            for part in ("value_proj", "output_proj"):
                names.linear(f"{name}.attentions.{attention}.{part}", W, W)
            names.linear(f"{name}.ffns.0.layers.0.0", FFN, W)
            names.linear(f"{name}.ffns.0.layers.1", W, FFN)
            for n in range(norms):
                names.norm(f"{name}.norms.{n}", W, batch=False)
    for layer in range(2):
        for n in (1, 2):
            name = f"{h}transformer.decoder.layers.{layer}.attentions.0.conv{n}"
            names.weight(f"{name}.0.weight", W, 2 * W, 1, 1, fan=2 * W)
            names.norm(f"{name}.1", W)
        for part, at in (("cls", (0, 3, 6)), ("reg", (0, 2, 4))):
            for index in at:
                names.linear(f"{h}{part}_branches.{layer}.{index}", 10 if index == at[-1] else W, W)
        for index in (1, 4):
            names.norm(f"{h}cls_branches.{layer}.{index}", W, batch=False)


class Official:
    """The network of such tensors, in evaluation mode.

    Args:
        tensors: in spconv 1's order.
        low, size: lowest x y z of the range, and the size of a voxel, metres.
        shape: voxels along z, y, x.
        slots: points that a voxel keeps.
    """

    def __init__(
        self,
        tensors: dict[str, Tensor],
        low: tuple[float, ...],
        size: tuple[float, ...],
        shape: tuple[int, int, int],
        slots: int,
    ) -> None:
        self.t = {name: tensor.float() for name, tensor in tensors.items()}
        self.low, self.size, self.shape, self.slots = torch.tensor(low), torch.tensor(size), shape, slots

    def __call__(self, cloud: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (layers, Q, classes) and their code (layers, Q, 10) of one cloud."""
        pillars = any("pfn_layers" in name for name in self.t)
        bev = self.pillars(cloud) if pillars else self.voxels(cloud)
        strides = (2, 2) if pillars else (1, 2)
        maps = []
        for block, stride in enumerate(strides):
            for layer in range(block + 2):
                name = f"pts_backbone.blocks.{block}.{3 * layer}"
                bev = F.conv2d(bev, self.t[f"{name}.weight"], stride=1 if layer else stride, padding=1)
                bev = self.norm(bev, f"pts_backbone.blocks.{block}.{3 * layer + 1}", 1e-3).relu()
            maps.append(bev)
        return self.head(self.pyramid(maps))

    def gathered(self, cloud: Tensor) -> dict[tuple[int, int, int], list[Tensor]]:
        """Points of each voxel z y x, first come first served."""
        found: dict[tuple[int, int, int], list[Tensor]] = {}
        for point in cloud:
            x, y, z = ((point[:3] - self.low) / self.size).floor().int().tolist()
            if all(0 <= i < n for i, n in zip((z, y, x), self.shape, strict=True)):
                points = found.setdefault((z, y, x), [])
                if len(points) < self.slots:
                    points.append(point)
        return found

    def pillars(self, cloud: Tensor) -> Tensor:
        image = torch.zeros(8, *self.shape[1:])
        for (_, y, x), points in self.gathered(cloud).items():
            table = torch.stack(points)
            centre = self.low[:2] + (torch.tensor([x, y]) + 0.5) * self.size[:2]
            seen = torch.cat([table, table[:, :3] - table[:, :3].mean(0), table[:, :2] - centre], dim=1)
            seen = F.pad(seen, (0, 0, 0, self.slots - len(seen)))
            out = seen @ self.t["pts_voxel_encoder.pfn_layers.0.linear.weight"].T
            image[:, y, x] = self.norm(out, "pts_voxel_encoder.pfn_layers.0.norm", 1e-3).relu().max(0).values
        return image[None]

    def voxels(self, cloud: Tensor) -> Tensor:
        nz, ny, nx = self.shape
        x, there = torch.zeros(1, 5, nz + 1, ny, nx), torch.zeros(1, 1, nz + 1, ny, nx)
        for (k, j, i), points in self.gathered(cloud).items():
            x[0, :, k, j, i], there[0, 0, k, j, i] = torch.stack(points).mean(0), 1
        p = "pts_middle_encoder."
        x = self.sparse(x, there, f"{p}conv_input.0", f"{p}conv_input.1").relu() * there
        for stage in (1, 2, 3, 4):
            name = f"{p}encoder_layers.encoder_layer{stage}"
            for block in (0, 1):
                inner = self.sparse(x, there, f"{name}.{block}.conv1", f"{name}.{block}.bn1").relu() * there
                x = (self.sparse(inner, there, f"{name}.{block}.conv2", f"{name}.{block}.bn2") + x).relu() * there
            if stage < 4:
                padding = (0, 1, 1) if stage == 3 else (1, 1, 1)
                kept = F.max_pool3d(F.pad(there, [n for n in padding[::-1] for _ in (0, 1)]), 3, stride=2)
                x = self.sparse(x, kept, f"{name}.2.0", f"{name}.2.1", (2, 2, 2), padding).relu() * kept
                there = kept
        kept = F.max_pool3d(there, (3, 1, 1), stride=(2, 1, 1))
        x = self.sparse(x, kept, f"{p}conv_out.0", f"{p}conv_out.1", (2, 1, 1), (0, 0, 0)).relu() * kept
        return x.flatten(1, 2)

    def sparse(
        self,
        x: Tensor,
        there: Tensor,
        name: str,
        norm: str,
        stride: tuple[int, int, int] = (1, 1, 1),
        padding: tuple[int, int, int] = (1, 1, 1),
    ) -> Tensor:
        weight = self.t[f"{name}.weight"].permute(4, 3, 0, 1, 2)
        return self.norm(F.conv3d(x, weight, stride=stride, padding=padding), norm, 1e-3) * there

    def norm(self, x: Tensor, name: str, eps: float) -> Tensor:
        mean, variance, weight, bias = (
            self.t[f"{name}.{f}"] for f in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps)

    def pyramid(self, maps: list[Tensor]) -> list[Tensor]:
        def layer(x: Tensor, part: str, level: int, padding: int) -> Tensor:
            name = f"pts_neck.{part}_convs.{level}"
            return self.norm(F.conv2d(x, self.t[f"{name}.conv.weight"], padding=padding), f"{name}.bn", 1e-3).relu()

        fine, coarse = (layer(x, "lateral", level, 0) for level, x in enumerate(maps))
        fine = fine + F.interpolate(coarse, scale_factor=2, mode="nearest")
        levels = [layer(x, "fpn", level, 1) for level, x in enumerate((fine, coarse))]
        while len(levels) < LEVELS:
            levels.append(F.max_pool2d(levels[-1], 1, stride=2))
        return levels

    def head(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        t, h = self.t, "pts_bbox_head."
        sizes = [(x.shape[2], x.shape[3]) for x in maps]
        cells = torch.cat([x[0].flatten(1).T for x in maps])
        own = t[f"{h}transformer.level_embeds"]
        position = torch.cat([sine(*size) + own[level] for level, size in enumerate(sizes)])
        centers = torch.cat([grid(*size) for size in sizes])
        name = f"{h}transformer.encoder.layers.0"
        cells = cells + self.attend(cells + position, cells, sizes, centers, f"{name}.attentions.0")
        cells = self.feed(self.layer_norm(cells, f"{name}.norms.0"), name, f"{name}.norms.1")
        position, x = t[f"{h}query_embedding.weight"].split(W, dim=1)
        reference = self.linear(position, f"{h}transformer.reference_points").sigmoid()
        logits, codes = [], []
        for layer in range(2):
            name = f"{h}transformer.decoder.layers.{layer}"
            x = self.layer_norm(x + self.graph(x + position, f"{name}.attentions.0"), f"{name}.norms.0")
            heard = self.attend(x + position, cells, sizes, reference, f"{name}.attentions.1")
            x = self.feed(self.layer_norm(x + heard, f"{name}.norms.1"), name, f"{name}.norms.2")
            logits.append(self.branch(x, f"{h}cls_branches.{layer}", (0, 1, -1, 3, 4, -1, 6)))
            raw = self.branch(x, f"{h}reg_branches.{layer}", (0, -1, 2, -1, 4))
            reference = (raw[:, :2] + (reference / (1 - reference)).log()).sigmoid()
            extent = self.size[:2] * torch.tensor([self.shape[2], self.shape[1]])
            codes.append(torch.cat([self.low[:2] + reference * extent, raw[:, 2:]], dim=1))
        return torch.stack(logits), torch.stack(codes)

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.t[f"{name}.weight"].T + self.t[f"{name}.bias"]

    def layer_norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (W,), self.t[f"{name}.weight"], self.t[f"{name}.bias"])

    def feed(self, x: Tensor, name: str, norm: str) -> Tensor:
        inner = self.linear(x, f"{name}.ffns.0.layers.0.0").relu()
        return self.layer_norm(x + self.linear(inner, f"{name}.ffns.0.layers.1"), norm)

    def branch(self, x: Tensor, name: str, layers: tuple[int, ...]) -> Tensor:
        """Layers by their number: linear, layer norm where the weight is a vector, ReLU (-1)."""
        for layer in layers:
            if layer < 0:
                x = x.relu()
            elif self.t[f"{name}.{layer}.weight"].ndim == 1:
                x = self.layer_norm(x, f"{name}.{layer}")
            else:
                x = self.linear(x, f"{name}.{layer}")
        return x

    def graph(self, x: Tensor, name: str) -> Tensor:
        found = []
        for n in (1, 2):
            norm = {f: self.t[f"{name}.conv{n}.1.{f}"] for f in ("weight", "bias", "running_mean", "running_var")}
            x = edge_convolution(x, self.t[f"{name}.conv{n}.0.weight"][:, :, 0, 0], norm, 16, farthest=True)
            found.append(x)
        return found[0] + found[1]

    def attend(self, x: Tensor, cells: Tensor, sizes: list[tuple[int, int]], reference: Tensor, name: str) -> Tensor:
        shape = (len(x), HEADS, LEVELS, POINTS)
        extent = torch.tensor([[w, h] for h, w in sizes])[:, None]
        places = reference[:, None, None, None] + self.linear(x, f"{name}.sampling_offsets").view(*shape, 2) / extent
        weights = self.linear(x, f"{name}.attention_weights").view(len(x), HEADS, -1).softmax(-1).view(shape)
        values = self.linear(cells, f"{name}.value_proj").view(1, -1, HEADS, W // HEADS)
        return self.linear(sample_maps(values, sizes, places[None], weights[None])[0], f"{name}.output_proj")


def grid(height: int, width: int) -> Tensor:
    """x y of the cells' centres in [0, 1], row by row."""
    return torch.tensor([[(i + 0.5) / width, (j + 0.5) / height] for j in range(height) for i in range(width)])


def sine(height: int, width: int) -> Tensor:
    """SinePositionalEncoding with half of W for each axis, normalised, offset -0.5: y first."""
    half, rows = W // 2, []
    for j in range(height):
        for i in range(width):
            row = []
            for at, length in ((j, height), (i, width)):
                angle = (at + 0.5) / (length + 1e-6) * 2 * math.pi
                for n in range(half):
                    wave = angle / 10000 ** (2 * (n // 2) / half)
                    row.append(math.cos(wave) if n % 2 else math.sin(wave))
            rows.append(row)
    return torch.tensor(rows)
