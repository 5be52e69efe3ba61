"""What is known of point files that they do not say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOptions:
    """What is known of point files that they do not say; see `vol3d.scans.points.read`."""

    columns: tuple[str, ...] | None = None
    up: str = "auto"
    units: str = "auto"
