"""CoTr: a convolutional encoder, a deformable transformer on its coarse maps, and a convolutional decoder.

Xie et al., "CoTr: Efficiently Bridging CNN and Transformer for 3D Medical Image Segmentation", MICCAI 2021, section 2;
names follow its figure 2 and equations 1 to 4. The axis of thick slices is k, the first one in the authors' code.

Rows of its tables: `scales: 1` is CoTr*, whose transformer sees the coarsest map only. `encoder: patches` is CoTr
without its CNN encoder. The authors published no code of that one; here both scales begin with a linear map of each
patch of voxels, and the decoder has no finer skips.

Where the authors' code differs from the paper: attention looks at places whose axes are exchanged, and frequencies of
the position encoding step by three channels instead of two; `authors_code` does as it does. Their training also
supervises the decoder's three coarser maps, through layers that prediction does not use; those are left out.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from medical.models.common import Size, check_window
from vol3d.engine.settings import Settings


class CotrSettings(Settings):
    """Settings of CoTr; the defaults are the paper's and the authors' code's."""

    name: Literal["cotr"] = "cotr"
    encoder: Literal["cnn", "patches"] = "cnn"
    scales: Literal[1, 2] = Field(2, description="coarse maps that the transformer sees; 1: CoTr*")
    stem_stride: Size = Field((2, 2, 1), description="of the first convolution along i, j, k")
    channels: tuple[int, int] = Field((64, 192), description="of the encoder's two finer maps")
    blocks: tuple[int, int, int] = Field((3, 3, 2), description="residual blocks of the encoder's three stages")
    width: int = Field(384, ge=6, multiple_of=6, description="of a token, and channels of the two coarser maps")
    depth: int = Field(6, ge=1, description="deformable transformer layers")
    heads: int = Field(6, ge=1)
    points: int = Field(4, ge=1, description="places that a head looks at in each map")
    mlp: int = Field(1536, ge=1, description="hidden width of a layer's MLP")
    dropout: float = Field(0.1, ge=0, lt=1)
    authors_code: bool = Field(False, description="places and position encoding as in the authors' code")

    @model_validator(mode="after")
    def _check(self) -> CotrSettings:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}")
        if min(*self.stem_stride, *self.channels, *self.blocks) < 1:
            raise ValueError("stem_stride, channels and blocks must be at least 1")
        if self.encoder == "patches" and self.scales == 1:
            raise ValueError("encoder patches needs scales 2: there are no other maps than the transformer's")
        return self

    def build(self, in_channels: int, out_channels: int, window: Size) -> Cotr:
        """The network with fresh weights; `window` (voxels) is checked, the network takes any that fits."""
        check_window(window, self.steps)
        return Cotr(self, in_channels, out_channels)

    @property
    def steps(self) -> Size:
        """Voxels of a cell of the coarsest map along i, j, k: the stem's stride, and three halvings."""
        i, j, k = self.stem_stride
        return 8 * i, 8 * j, 8 * k


class Cotr(nn.Module):
    """The network of figure 2.

    Args:
        settings: sizes.
        in_channels: channels of the image.
        out_channels: classes (with background) or regions.
    """

    def __init__(self, settings: CotrSettings, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = (CnnEncoder if settings.encoder == "cnn" else PatchEncoder)(settings, in_channels)
        self.detrans = DeTransEncoder(settings)
        self.decoder = Decoder(settings, out_channels)

    def forward(self, image: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b o i j k"]:
        """Logits for each voxel. The image's edges must be multiples of `settings.steps`."""
        check_window(tuple(image.shape[2:]), self.settings.steps)
        maps = self.encoder(image)  # fine to coarse; the last two have the tokens' width
        scales = self.settings.scales
        return self.decoder([*maps[:-scales], *self.detrans(maps[-scales:])])


class CnnEncoder(nn.Module):
    """Section 2.1: a 7^3 convolution and three stages of residual blocks, each of which halves the resolution."""

    def __init__(self, settings: CotrSettings, in_channels: int) -> None:
        super().__init__()
        fine, middle = settings.channels
        stem = nn.Conv3d(in_channels, fine, 7, settings.stem_stride, padding=3, bias=False)
        self.stem = nn.Sequential(stem, instance_norm(fine), leaky_relu())
        widths = (fine, middle, settings.width, settings.width)
        self.stages = nn.ModuleList(
            nn.Sequential(EncoderBlock(before, after, 2), *(EncoderBlock(after, after, 1) for _ in range(count - 1)))
            for (before, after), count in zip(pairwise(widths), settings.blocks, strict=True)
        )
        start_convolutions(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, C, i, j, k) -> four maps, at the stem's stride and 1/2, 1/4, 1/8 of its resolution."""
        maps = [self.stem(image)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps


class PatchEncoder(nn.Module):
    """In place of the CNN: each patch of voxels becomes a token by one linear map, at two scales."""

    def __init__(self, settings: CotrSettings, in_channels: int) -> None:
        super().__init__()
        i, j, k = settings.steps
        patches = ((i // 2, j // 2, k // 2), (i, j, k))
        self.scales = nn.ModuleList(nn.Conv3d(in_channels, settings.width, patch, patch) for patch in patches)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, C, i, j, k) -> two maps, at 1/4 and 1/8 of the resolution behind the stem's stride."""
        return [scale(image) for scale in self.scales]


class DeTransEncoder(nn.Module):
    """Section 2.2: cells of all maps in one sequence, with their positions and their map's vector, through L layers."""

    def __init__(self, settings: CotrSettings) -> None:
        super().__init__()
        self.by_three = settings.authors_code
        self.level = nn.Parameter(torch.randn(settings.scales, settings.width))
        self.layers = nn.ModuleList(DeTransLayer(settings) for _ in range(settings.depth))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps (B, width, *size), fine to coarse -> the same after the transformer."""
        sizes = [tuple(x.shape[2:]) for x in maps]
        tokens = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], dim=1)  # (B, N, width), equation 1
        width, device = tokens.shape[2], tokens.device
        encodings = [sine_encoding(size, width, self.by_three, device) for size in sizes]
        positions = torch.cat([e + v for e, v in zip(encodings, self.level, strict=True)])  # (N, width), equation 2
        reference = torch.cat([cell_centers(size, device) for size in sizes])  # (N, 3)
        for layer in self.layers:
            tokens = layer(tokens, positions, reference, sizes)
        parts = tokens.split([math.prod(size) for size in sizes], dim=1)
        return [part.transpose(1, 2).unflatten(2, size) for part, size in zip(parts, sizes, strict=True)]


class DeTransLayer(nn.Module):
    """A layer of section 2.2: LN(x + MS-DMSA(x)), then LN(x + MLP(x))."""

    def __init__(self, settings: CotrSettings) -> None:
        super().__init__()
        width, dropout = settings.width, settings.dropout
        self.attention = DeformableAttention(settings)
        self.dropout = nn.Dropout(dropout)
        self.norm1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, settings.mlp),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(settings.mlp, width),
            nn.Dropout(dropout),
        )
        self.norm2 = nn.LayerNorm(width)
        for part in self.mlp:
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)

    def forward(self, x: Tensor, positions: Tensor, reference: Tensor, sizes: list[tuple[int, ...]]) -> Tensor:
        """Tokens (B, N, width) after the layer."""
        x = self.norm1(x + self.dropout(self.attention(x + positions, x, reference, sizes)))
        return self.norm2(x + self.mlp(x))


class DeformableAttention(nn.Module):
    """MS-DMSA, equations 3 and 4: each query gathers K places of each map, which it chooses around its own.

    Zhu et al., "Deformable DETR", ICLR 2021, section 4.1, in 3D.
    """

    def __init__(self, settings: CotrSettings) -> None:
        super().__init__()
        width, heads, levels, points = settings.width, settings.heads, settings.scales, settings.points
        self.shape, self.exchanged = (heads, levels, points), settings.authors_code
        self.offsets = nn.Linear(width, heads * levels * points * 3)
        self.weights = nn.Linear(width, heads * levels * points)
        self.values = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Each head looks into its own direction, each point one cell farther, all with equal weights."""
        heads, levels, points = self.shape
        angle = torch.arange(heads) * (2 * math.pi / heads)
        direction = torch.stack([angle.cos(), angle.sin() * angle.cos(), angle.sin().square()], dim=-1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, points + 1)[:, None]
        self.offsets.bias.copy_((direction[:, None, None] * steps.expand(levels, points, 1)).flatten())
        for zero in (self.offsets.weight, self.weights.weight, self.weights.bias, self.values.bias, self.output.bias):
            zero.zero_()
        nn.init.xavier_uniform_(self.values.weight)
        nn.init.xavier_uniform_(self.output.weight)

    def forward(self, queries: Tensor, cells: Tensor, reference: Tensor, sizes: list[tuple[int, ...]]) -> Tensor:
        """Queries and cells (B, N, width), their places (N, 3) in [0, 1] -> what each query gathered (B, N, width)."""
        heads, levels, points = self.shape
        offsets = self.offsets(queries).unflatten(2, (heads, levels, points, 3))  # in cells of each map
        extent = torch.tensor(sizes, device=queries.device)[:, None]  # (levels, 1, 3)
        if self.exchanged:  # the authors' code: a query at (i, j, k) looks around (k, i, j)
            reference, extent = reference.roll(1, -1), extent.roll(1, -1)
        places = reference[:, None, None, None] + offsets / extent  # (B, N, heads, levels, points, 3)
        weights = self.weights(queries).unflatten(2, (heads, levels * points)).softmax(-1)
        values = self.values(cells).unflatten(2, (heads, -1))
        return self.output(sample_maps(values, sizes, places, weights.unflatten(3, (levels, points))))


def sample_maps(
    values: Float[Tensor, "b cells heads d"],
    sizes: list[tuple[int, ...]],
    places: Float[Tensor, "b q heads levels points 3"],
    weights: Float[Tensor, "b q heads levels points"],
) -> Float[Tensor, "b q heads*d"]:
    """Weighted sums of trilinear samples; outside of the maps there are zeros.

    Args:
        values: cells of all maps, one map after the other.
        sizes: cells of each map along i, j, k.
        places: where each query looks, i j k in [0, 1] from the border of the first cell to that of the last.
        weights: of each sample.
    """
    batch, queries, heads = weights.shape[:3]
    grid = (2 * places.float() - 1).flip(-1).transpose(1, 2).flatten(0, 1)  # (B * heads, Q, levels, P, k j i)
    share = weights.transpose(1, 2).flatten(0, 1)[:, None]  # (B * heads, 1, Q, levels, P)
    maps = values.permute(0, 2, 3, 1).flatten(0, 1).split([math.prod(size) for size in sizes], dim=2)
    total = values.new_zeros(batch * heads, values.shape[3], queries)
    for level, (cells, size) in enumerate(zip(maps, sizes, strict=True)):
        # Half precision cannot place a sample in a map: it is computed in float32.
        samples = F.grid_sample(cells.unflatten(2, size).float(), grid[:, None, :, level], align_corners=False)
        total = total + (samples[:, :, 0] * share[:, :, :, level]).sum(-1)  # (B * heads, d, Q)
    return total.to(values.dtype).unflatten(0, (batch, heads)).permute(0, 3, 1, 2).flatten(2)


def cell_centers(size: tuple[int, ...], device: torch.device) -> Float[Tensor, "cells 3"]:
    """Places of a map's cells, i j k in [0, 1], with k running fastest."""
    axes = [(torch.arange(n, device=device) + 0.5) / n for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 2)


def sine_encoding(
    size: tuple[int, ...], width: int, by_three: bool, device: torch.device
) -> Float[Tensor, "cells width"]:
    """Equation 2: a third of the channels for each axis, sine and cosine in turn; a map is one turn long.

    Args:
        size: cells along i, j, k.
        width: number of channels.
        by_three: frequencies of the authors' code, which fall at every third channel.
        device: where to.
    """
    step, third = 3 if by_three else 2, width // 3
    channel = torch.arange(third, device=device)
    wavelength = 10000.0 ** (step * (channel // step) / third)
    angles = (2 * math.pi * cell_centers(size, device)).flip(-1)[..., None] / wavelength  # (cells, k j i, third)
    return torch.where(channel % 2 == 0, angles.sin(), angles.cos()).flatten(1)


class Decoder(nn.Module):
    """Section 2.3: deconvolutions to twice the resolution, each joined with the encoder's map and refined."""

    def __init__(self, settings: CotrSettings, out_channels: int) -> None:
        super().__init__()
        fine, middle = settings.channels
        widths = (settings.width, settings.width, middle, fine)
        self.ups = nn.ModuleList(
            nn.ConvTranspose3d(before, after, 2, 2, bias=False) for before, after in pairwise(widths)
        )
        self.blocks = nn.ModuleList(DecoderBlock(channels) for channels in widths[1:])
        self.stride = settings.stem_stride
        self.head = nn.Conv3d(fine, out_channels, 1)
        start_convolutions(self)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps, fine to coarse, all four or the coarser two -> logits (B, outputs, i, j, k)."""
        *skips, x = maps
        for up, block in zip(self.ups, self.blocks, strict=True):
            x = up(x)
            x = block(x + skips.pop() if skips else x)
        return self.head(F.interpolate(x, scale_factor=[float(s) for s in self.stride], mode="trilinear"))


class EncoderBlock(nn.Module):
    """A 3^3 convolution and instance norm beside a shortcut, which is projected if sizes differ; leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        convolution = nn.Conv3d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.convolution = nn.Sequential(convolution, instance_norm(out_channels))
        shortcut = nn.Conv3d(in_channels, out_channels, 1, stride, bias=False)
        self.shortcut = nn.Sequential(shortcut, instance_norm(out_channels)) if stride > 1 else nn.Identity()
        self.activation = leaky_relu()

    def forward(self, x: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b o i2 j2 k2"]:
        """A map at 1/stride of the resolution."""
        return self.activation(self.convolution(x) + self.shortcut(x))


class DecoderBlock(nn.Module):
    """Twice a 3^3 convolution, instance norm and leaky ReLU, then the shortcut is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for _ in range(2):
            convolution = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
            steps += [convolution, instance_norm(channels), leaky_relu()]
        self.steps = nn.Sequential(*steps)

    def forward(self, x: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b c i j k"]:
        """A map of the same size."""
        return x + self.steps(x)


def instance_norm(channels: int) -> nn.GroupNorm:
    """Instance norm with a learned scale and shift; one group a channel is the same, and faster on a CPU."""
    return nn.GroupNorm(channels, channels)


def leaky_relu() -> nn.LeakyReLU:
    """The slope of the paper's figure: 0.01."""
    return nn.LeakyReLU(0.01, inplace=True)


def start_convolutions(network: nn.Module) -> None:
    """Weights as in the authors' code: normal, by the number of outputs (He et al., 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
