"""3DETR's encoder and decoder as parts for detectors that vote: what table 3 of its paper exchanges.

Misra et al., "An End-to-End Transformer Model for 3D Object Detection", ICCV 2021, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.models.layers.attention import Decoder, EncoderLayer
from pointcloud.models.layers.looks import LastLayer
from pointcloud.models.layers.position import FourierEmbedding
from pointcloud.models.layers.set_abstraction import (
    SetAbstraction,
    SetAbstractionSettings,
    SharedLayer,
    TokenSet,
)
from pointcloud.structures.bounds import Bounds
from vol3d.engine.settings import Settings


class TransformerPartsSettings(Settings):
    """Sizes of both parts; the defaults are 3DETR's."""

    aggregation: SetAbstractionSettings = SetAbstractionSettings()
    width: int = Field(256, ge=2, description="length of a token")
    heads: int = Field(4, ge=1, description="of every attention")
    dropout: float = Field(0.1, ge=0, lt=1)
    encoder_layers: int = Field(3, ge=0)
    encoder_ffn: int = Field(128, ge=1)
    decoder_layers: int = Field(8, ge=1)
    decoder_ffn: int = Field(256, ge=1)

    @model_validator(mode="after")
    def _check(self) -> TransformerPartsSettings:
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width must be even and a multiple of heads, got {self.width} and {self.heads}")
        if self.aggregation.widths[-1] != self.width:
            raise ValueError(f"aggregation.widths must end with width {self.width}, got {self.aggregation.widths}")
        return self


class TransformerEncoder(nn.Module):
    """Clouds to tokens by one set abstraction, then self-attention of all tokens."""

    def __init__(self, channels: int, settings: TransformerPartsSettings) -> None:
        super().__init__()
        sizes = (settings.width, settings.heads, settings.encoder_ffn, settings.dropout)
        self.aggregate = SetAbstraction(channels, settings.aggregation)
        self.layers = nn.ModuleList(EncoderLayer(*sizes) for _ in range(settings.encoder_layers))

    def forward(
        self,
        xyz: Float[Tensor, "b n 3"],
        features: Float[Tensor, "b n c"] | None = None,
        counts: Sequence[int] | None = None,
    ) -> TokenSet:
        """As `PointNet2`: fewer points that have seen far."""
        return self._through(self.aggregate(xyz, features, counts=counts), len(self.layers))

    def last(
        self, xyz: Float[Tensor, "b n 3"], features: Float[Tensor, "b n c"] | None, counts: Sequence[int] | None
    ) -> LastLayer | None:
        """The last layer and its input; None of an encoder without layers."""
        tokens = self.aggregate(xyz, features, counts=counts)
        *_, layer = (None, *self.layers)
        return LastLayer(self._through(tokens, len(self.layers) - 1), layer) if layer is not None else None

    def _through(self, tokens: TokenSet, layers: int) -> TokenSet:
        state = tokens.features
        for layer in self.layers[:layers]:
            state = layer(state)
        return tokens._replace(features=state)


class TransformerDecoder(nn.Module):
    """Queries at some of the points look at each other and at all points.

    Args:
        channels: of the points' features.
        settings: sizes.
    """

    def __init__(self, channels: int, settings: TransformerPartsSettings) -> None:
        super().__init__()
        w = settings.width
        self.project = nn.Sequential(SharedLayer(channels, w), SharedLayer(w, w), SharedLayer(w, w))
        self.embed = FourierEmbedding(w)
        self.place_queries = nn.Sequential(nn.Linear(w, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU())
        self.decoder = Decoder(settings.decoder_layers, w, settings.heads, settings.decoder_ffn, settings.dropout)

    def forward(
        self, xyz: Float[Tensor, "b n 3"], features: Float[Tensor, "b n c"], picks: Int64[Tensor, "b q"], bounds: Bounds
    ) -> tuple[Float[Tensor, "b q 3"], Float[Tensor, "layers b q w"]]:
        """Places of the queries, which are those of the picked points, and their features after each layer."""
        rows = picks[..., None]
        place = self.embed(bounds.normalize(xyz))  # (B, N, W)
        queries = self.place_queries(place.take_along_dim(rows, dim=1))  # (B, Q, W)
        return xyz.take_along_dim(rows, dim=1), self.decoder(queries, self.project(features), place)
