"""Arrays as the bytes that a graphics card takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Buffer = bytes | memoryview
Buffers = dict[str, Callable[[], Buffer]]


def as_buffer(values: np.ndarray) -> memoryview:
    """The bytes of an array, the last axis fastest; without a copy where they lie in this order."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
