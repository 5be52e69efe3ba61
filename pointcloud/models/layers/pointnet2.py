"""The PointNet++ backbone of VoteNet (Qi et al., ICCV 2019, section 4.1): four abstractions down, two steps back up.

3DETR's table 2 puts it in the place of its transformer encoder; VoteNet and BoxNet vote from what it gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.models.layers.set_abstraction import (
    FeaturePropagation,
    SetAbstraction,
    SetAbstractionSettings,
    TokenSet,
    sample_points,
)
from vol3d.engine.settings import Settings
from vol3d.ops import gather


class PointNet2Settings(Settings):
    """Sizes of the backbone; the defaults are the papers'. Its output has the points of the second level."""

    levels: tuple[SetAbstractionSettings, ...] = Field(
        (
            SetAbstractionSettings(points=2048, radius_m=0.2, neighbours=64, widths=(64, 64, 128)),
            SetAbstractionSettings(points=1024, radius_m=0.4, neighbours=32, widths=(128, 128, 256)),
            SetAbstractionSettings(points=512, radius_m=0.8, neighbours=16, widths=(128, 128, 256)),
            SetAbstractionSettings(points=256, radius_m=1.2, neighbours=16, widths=(128, 128, 256)),
        ),
        min_length=3,
    )
    up_widths: tuple[int, ...] = Field((256, 256), min_length=1, description="of the layers of each step back")
    power: Literal[1, 2] = Field(
        2, description="interpolation weighs by 1 / distance^power: 2 is PointNet++'s paper, 1 VoteNet's released code"
    )

    @property
    def points(self) -> int:
        """Points of the output."""
        return self.levels[1].points

    @property
    def width(self) -> int:
        """Channels of the output."""
        return self.up_widths[-1]

    @model_validator(mode="after")
    def _fewer_and_fewer(self) -> PointNet2Settings:
        points = [level.points for level in self.levels]
        if points != sorted(points, reverse=True):
            raise ValueError(f"each level must keep no more points than the one before it, got {points}")
        return self


class PointNet2(nn.Module):
    """Clouds to fewer points that have seen far.

    Args:
        channels: features of a point besides its place.
        settings: sizes.
        skip_near_origin: quirk of the released code, see `vol3d.ops.farthest_point_sample`.
    """

    def __init__(self, channels: int, settings: PointNet2Settings, *, skip_near_origin: bool = False) -> None:
        super().__init__()
        widths = [channels, *(level.widths[-1] for level in settings.levels)]
        self.down = nn.ModuleList(
            SetAbstraction(width, level, skip_near_origin=skip_near_origin)
            for width, level in zip(widths, settings.levels, strict=False)
        )
        below = [*(settings.up_widths[-1] for _ in widths[4:]), widths[-1]]  # channels that each step starts from
        self.up = nn.ModuleList(
            FeaturePropagation(start + own, settings.up_widths, power=settings.power)
            for start, own in zip(below, widths[2:-1], strict=True)
        )

    def forward(
        self,
        xyz: Float[Tensor, "b n 3"],
        features: Float[Tensor, "b n c"] | None = None,
        counts: Sequence[int] | None = None,
        kept: Sequence[Int64[Tensor, "b _"]] | None = None,
    ) -> TokenSet:
        """The points of the second level; `picks` say where they were in the cloud.

        Args:
            xyz, features, counts: as `SetAbstraction`.
            kept: which points of the level above each level keeps, from `farthest_of_levels`; None: the farthest.
        """
        levels: list[TokenSet] = []
        picks = None

        given: Sequence[Tensor | None] = [None] * len(self.down) if kept is None else kept
        for abstraction, own in zip(self.down, given, strict=True):
            level: TokenSet = abstraction(xyz, features, counts=counts, picks=own)
            picks = level.picks if picks is None else picks.gather(1, level.picks)
            levels.append(level._replace(picks=picks))
            xyz, features, counts = level.xyz, level.features, None

        deep = levels.pop()  # from here on the levels are joined, the deepest first
        while len(levels) > 1:
            upper = levels.pop()
            step = self.up[len(levels) - 1]
            deep = upper._replace(features=step(upper.xyz, upper.features, deep.xyz, deep.features))
        return deep


def farthest_of_levels(
    xyz: Float[Tensor, "b n 3"],
    settings: PointNet2Settings,
    counts: Sequence[int] | None = None,
    *,
    skip_near_origin: bool = False,
) -> list[Int64[Tensor, "b _"]]:
    """Which points of the level above each level keeps: several backbones on one cloud need to find them once."""
    kept = []
    for level in settings.levels:
        picks = sample_points(xyz, level.points, counts, skip_near_origin=skip_near_origin)
        kept.append(picks)
        xyz, counts = gather(xyz, picks), None
    return kept
