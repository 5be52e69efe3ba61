"""Clouds to a bird's-eye-view map, by pillars or by sparse voxels: the beginning of CenterPoint and of Object DGCNN.

Pillars are those of PointPillars (Lang et al., CVPR 2019), voxels those of SECOND (Yan et al., 2018): both papers
train their detector on either.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal

from jaxtyping import Float
from pydantic import Discriminator, Field, Tag, model_validator
from torch import Tensor, nn

from pointcloud.models.layers.bev_backbones import (
    Fpn,
    FpnSettings,
    Second,
    SecondFpn,
    SecondFpnSettings,
    SecondSettings,
    neck_stride,
)
from pointcloud.models.layers.reg_net import RegNet, RegNetSettings
from pointcloud.models.layers.sparse_encoder import SparseEncoder, SparseEncoderSettings
from pointcloud.models.layers.voxel_encoders import (
    MeanEncoder,
    PointStack,
    PointStackSettings,
    encode_voxels,
)
from pointcloud.structures.detector import LidarDetectorSettings
from pointcloud.structures.features import Feature, width
from vol3d.ops import scatter_to_bev


def by_kind(default: str) -> Discriminator:
    """Tells the members of a union apart by `kind`; checkpoints of a time when there was one only do not say it."""

    def kind(value: Any) -> Any:
        return value.get("kind", default) if isinstance(value, dict) else getattr(value, "kind", default)

    return Discriminator(kind)


Backbone = Annotated[
    Annotated[SecondSettings, Tag("second")] | Annotated[RegNetSettings, Tag("regnet")], by_kind("second")
]
Neck = Annotated[
    Annotated[SecondFpnSettings, Tag("second_fpn")] | Annotated[FpnSettings, Tag("fpn")], by_kind("second_fpn")
]


def build_backbone(channels: int, settings: SecondSettings | RegNetSettings) -> Second | RegNet:
    """The 2D network of a map with these channels."""
    return RegNet(channels, settings) if isinstance(settings, RegNetSettings) else Second(channels, settings)


def build_neck(channels: tuple[int, ...], settings: SecondFpnSettings | FpnSettings) -> SecondFpn | Fpn:
    """The neck of maps with these channels."""
    return Fpn(channels, settings) if isinstance(settings, FpnSettings) else SecondFpn(channels, settings)


class MapSettings(LidarDetectorSettings):
    """Of detectors that see the ground from above: an encoder of the voxels, then a 2D backbone."""

    backbone: Backbone = SecondSettings()

    @property
    def encoder_stride(self) -> int:
        """Voxels along a side of a cell of the backbone's input."""
        return 1

    def check_encoder(self) -> None:
        """Refuses voxels that the encoder cannot take.

        Raises:
            ValueError: too many of them above each other, or too few.
        """

    @model_validator(mode="after")
    def _check_grid(self) -> MapSettings:
        self.check_encoder()
        self.voxels.require_multiple(self.encoder_stride * self.backbone.stride)
        return self


class OneMapSettings(MapSettings):
    """Of detectors whose neck joins the backbone's maps to one, on which their head finds objects."""

    neck: SecondFpnSettings = SecondFpnSettings()

    @property
    def stride(self) -> int:
        """Voxels along a side of a cell of the head's map."""
        return int(self._stride())

    def _stride(self) -> Fraction:
        return self.encoder_stride * neck_stride(self.backbone.map_strides, self.neck)

    @model_validator(mode="after")
    def _check_stride(self) -> OneMapSettings:
        if self._stride() % 1:
            raise ValueError(f"neck.upsample must not go beyond the voxels, got a stride of {self._stride()}")
        return self


class BevSettings(MapSettings):
    """Of detectors that take pillars or voxels, whichever is chosen."""

    features: tuple[Feature, ...] = Field(("intensity", "time"), description="what the network sees besides the place")
    encoder: Literal["pillars", "voxels"] = Field("pillars", description="of points; voxels: means and sparse 3D")
    pillars: PointStackSettings = Field(PointStackSettings(), description="where the encoder is pillars")
    sparse: SparseEncoderSettings = Field(SparseEncoderSettings(), description="where the encoder is voxels")

    @property
    def encoder_stride(self) -> int:
        return self.sparse.stride if self.encoder == "voxels" else 1

    def check_encoder(self) -> None:
        if self.encoder == "voxels":
            self.sparse.layers(self.voxels.grid.shape[0])
        else:
            self.voxels.require_pillars()


class BevEncoder(nn.Module):
    """Voxel features on a map; `width` are its channels.

    Args:
        settings: sizes.
    """

    def __init__(self, settings: BevSettings) -> None:
        super().__init__()
        self.settings = settings
        columns = 3 + width(settings.features)
        self.points: MeanEncoder | PointStack
        if settings.encoder == "pillars":
            self.points, self.middle = PointStack(columns, settings.pillars), None
            self.width = self.points.width
        else:
            self.points, self.middle = MeanEncoder(columns), SparseEncoder(columns, settings.sparse)
            self.width = settings.sparse.map_width(settings.voxels.grid.shape[0])

    def forward(self, clouds: list[Tensor]) -> tuple[Float[Tensor, "b c y x"], tuple[int, ...]]:
        """The map of clouds (N_i, 3 + C), and the voxels of each that were beyond the limit.

        Raises:
            DataError: other columns than the features, values that are not finite.
        """
        settings, grid = self.settings, self.settings.voxels.grid
        voxels = encode_voxels(clouds, settings.voxels, settings.features, self.points)  # (V, C)
        if self.middle is None:
            bev = scatter_to_bev(voxels.features, voxels.coordinates, voxels.samples, grid.shape)  # (B, C, ny, nx)
        else:
            bev = self.middle(voxels, grid)  # (B, C, ny / 8, nx / 8)
        return bev, voxels.left_out
