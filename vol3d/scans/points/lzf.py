"""LZF (Marc Lehmann's liblzf), the compression inside PCD files: decoding only, every step within its bounds."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def decode_lzf(packed, size):
    """`size` bytes from `packed` (both uint8); fewer if the data is damaged.

    A control byte below 32 is followed by that many literals plus one. Any other starts a copy: length in its upper
    three bits (7: one more byte is added) plus two, distance back in its lower five and the next byte, plus one.
    """
    out = np.zeros(size, np.uint8)
    source, target = 0, 0
    while source < packed.size:
        control = np.int64(packed[source])
        source += 1
        if control < 32:
            length = control + 1
            if source + length > packed.size or target + length > size:
                return out[:target]
            out[target : target + length] = packed[source : source + length]
            source += length
        else:
            length = control >> 5
            extra = 1 if length == 7 else 0
            if source + extra >= packed.size:
                return out[:target]
            if extra:
                length += np.int64(packed[source])
            back = ((control & 31) << 8) + np.int64(packed[source + extra]) + 1
            source += 1 + extra
            length += 2
            if back > target or target + length > size:
                return out[:target]
            for step in range(length):  # one by one: a copy may read what it has just written
                out[target + step] = out[target + step - back]
        target += length
    return out[:target]
