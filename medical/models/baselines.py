"""Other networks by name, through MONAI: the rivals that a UNETR result is compared with.

Each settings class holds the numbers that its paper or MONAI's recipe varies and builds MONAI's network, unwrapped, so
weights keep MONAI's names. MONAI is imported by `build`, since every segmentation task imports this module.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator
from torch import nn

from medical.models.common import Size, check_window
from vol3d.engine.settings import Settings


class UnetSettings(Settings):
    """3D U-Net with residual units (Kerfoot et al., 2018). `channels[n]` at level n, each `strides` below the last."""

    name: Literal["unet"] = "unet"
    channels: tuple[int, ...] = (16, 32, 64, 128, 256)
    strides: tuple[int, ...] = (2, 2, 2, 2)
    residual_units: int = Field(2, ge=0)
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> UnetSettings:
        _check_strides(self.channels, self.strides)
        return self

    def build(self, in_channels: int, out_channels: int, window: Size) -> nn.Module:
        """The network with fresh weights; `window` (voxels) is checked, the network takes any that fits."""
        from monai.networks.nets import UNet

        check_window(window, (math.prod(self.strides),) * 3)
        return UNet(
            spatial_dims=3,
            in_channels=in_channels,
            out_channels=out_channels,
            channels=self.channels,
            strides=self.strides,
            num_res_units=self.residual_units,
            dropout=self.dropout,
        )


class AttentionUnetSettings(Settings):
    """Attention U-Net (Oktay et al., 2018)."""

    name: Literal["attention_unet"] = "attention_unet"
    channels: tuple[int, ...] = (16, 32, 64, 128, 256)
    strides: tuple[int, ...] = (2, 2, 2, 2)
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> AttentionUnetSettings:
        _check_strides(self.channels, self.strides)
        return self

    def build(self, in_channels: int, out_channels: int, window: Size) -> nn.Module:
        """The network with fresh weights; `window` (voxels) is checked, the network takes any that fits."""
        from monai.networks.nets import AttentionUnet

        check_window(window, (math.prod(self.strides),) * 3)
        return AttentionUnet(
            spatial_dims=3,
            in_channels=in_channels,
            out_channels=out_channels,
            channels=self.channels,
            strides=self.strides,
            dropout=self.dropout,
        )


class DynUnetSettings(Settings):
    """nnU-Net's network (Isensee et al., Nature Methods 2021). The first stride is 1; one filter count a level."""

    name: Literal["dynunet"] = "dynunet"
    kernels: tuple[Size, ...] = Field(((3, 3, 3),) * 5, min_length=3)
    strides: tuple[Size, ...] = ((1, 1, 1), *((2, 2, 2),) * 4)
    filters: tuple[int, ...] = (32, 64, 128, 256, 320)
    residual: bool = False
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> DynUnetSettings:
        if not len(self.kernels) == len(self.strides) == len(self.filters):
            raise ValueError("kernels, strides and filters must have one entry a level")
        return self

    def build(self, in_channels: int, out_channels: int, window: Size) -> nn.Module:
        """The network with fresh weights; `window` (voxels) is checked, the network takes any that fits."""
        from monai.networks.nets import DynUNet

        check_window(window, tuple(math.prod(axis) for axis in zip(*self.strides, strict=True)))
        return DynUNet(
            spatial_dims=3,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=self.kernels,
            strides=self.strides,
            upsample_kernel_size=self.strides[1:],
            filters=self.filters,
            dropout=self.dropout or None,
            res_block=self.residual,
        )


class SwinUnetrSettings(Settings):
    """Swin UNETR (Hatamizadeh et al., 2022); the window's edges must be multiples of 32."""

    name: Literal["swin_unetr"] = "swin_unetr"
    features: int = Field(48, ge=12, multiple_of=12)
    depths: tuple[int, int, int, int] = (2, 2, 2, 2)
    heads: tuple[int, int, int, int] = (3, 6, 12, 24)
    dropout: float = Field(0.0, ge=0, lt=1)
    checkpointing: bool = Field(False, description="recompute activations in the backward pass to save memory")

    def build(self, in_channels: int, out_channels: int, window: Size) -> nn.Module:
        """The network with fresh weights; `window` (voxels) is checked, the network takes any that fits."""
        from monai.networks.nets import SwinUNETR

        check_window(window, (32, 32, 32))
        return SwinUNETR(
            in_channels=in_channels,
            out_channels=out_channels,
            feature_size=self.features,
            depths=self.depths,
            num_heads=self.heads,
            drop_rate=self.dropout,
            use_checkpoint=self.checkpointing,
        )


class SegResNetSettings(Settings):
    """SegResNet without the autoencoder branch (Myronenko, 2018)."""

    name: Literal["segresnet"] = "segresnet"
    features: int = Field(16, ge=8, multiple_of=8)
    down: tuple[int, ...] = (1, 2, 2, 4)
    up: tuple[int, ...] = (1, 1, 1)
    dropout: float = Field(0.0, ge=0, lt=1)

    def build(self, in_channels: int, out_channels: int, window: Size) -> nn.Module:
        """The network with fresh weights; `window` (voxels) is checked, the network takes any that fits."""
        from monai.networks.nets import SegResNet

        check_window(window, (2 ** (len(self.down) - 1),) * 3)
        return SegResNet(
            spatial_dims=3,
            init_filters=self.features,
            in_channels=in_channels,
            out_channels=out_channels,
            dropout_prob=self.dropout or None,
            blocks_down=self.down,
            blocks_up=self.up,
        )


def _check_strides(channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
    if len(strides) != len(channels) - 1:
        raise ValueError(f"{len(channels)} channels need {len(channels) - 1} strides, got {len(strides)}")
