"""What all networks for volumes share."""

from __future__ import annotations

from vol3d.errors import UsageError

Size = tuple[int, int, int]
"""Voxels along i, j, k."""


def check_window(window: tuple[int, ...], multiple_of: Size) -> None:
    """Refuses a window that the network's halvings do not divide.

    Raises:
        UsageError: an edge is not a positive multiple.
    """
    if any(edge <= 0 or edge % step for edge, step in zip(window, multiple_of, strict=True)):
        raise UsageError("the window does not fit the network", got=window, wanted=f"multiples of {multiple_of}")
