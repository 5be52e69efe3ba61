"""Numbers in text, at the speed of the disk: one compiled pass that knows the line of every fault.

A decimal with up to 15 digits and an exponent of at most 22 is exact, any other within two units of the last place.
"""

from __future__ import annotations

import numpy as np
from numba import njit

GOOD, NO_NUMBER = 0, 1
_NEWLINE, _HASH, _SLASH = 10, 35, 47
_TENS = np.array([10.0**power for power in range(309)])


@njit(cache=True)
def is_separator(byte):
    """Whether it stands between two words."""
    return byte == 32 or byte == 9 or byte == 13 or byte == 44 or byte == 59 or byte == 34  # space tab CR , ; "


@njit(cache=True)
def skip_comment(data, at):
    """The end of the line if it is a comment, otherwise `at`."""
    if at < data.size and (data[at] == _HASH or (data[at] == _SLASH and at + 1 < data.size and data[at + 1] == _SLASH)):
        while at < data.size and data[at] != _NEWLINE:
            at += 1
    return at


@njit(cache=True)
def count_tokens(data):
    """Words and lines outside comments, as upper bounds."""
    tokens, lines, inside, start = 0, 1, False, True
    at = 0
    while at < data.size:
        if start:
            at = skip_comment(data, at)
            start = False
            if at >= data.size:
                break
        byte = data[at]
        if byte == _NEWLINE:
            lines += 1
            inside, start = False, True
        elif is_separator(byte):
            inside = False
        elif not inside:
            tokens += 1
            inside = True
        at += 1
    return tokens, lines


@njit(cache=True)
def parse_number(data, at):
    """The number at `at`, the place behind it, and whether it is one."""
    negative = data[at] == 45
    if data[at] == 45 or data[at] == 43:
        at += 1
    mantissa, digits, seen, scale = np.uint64(0), 0, 0, 0
    point = False
    while at < data.size:
        byte = data[at]
        if 48 <= byte <= 57:
            seen += 1
            if digits < 18:
                mantissa = mantissa * np.uint64(10) + np.uint64(byte - 48)
                digits += 1 if mantissa > 0 else 0
                scale -= 1 if point else 0
            else:
                scale += 0 if point else 1
        elif byte == 46 and not point:
            point = True
        else:
            break
        at += 1
    if seen == 0:
        return parse_word(data, at, negative)
    if at < data.size and (data[at] | 32) == 101:  # e, E
        at += 1
        down = at < data.size and data[at] == 45
        if at < data.size and (data[at] == 45 or data[at] == 43):
            at += 1
        first, power = at, 0
        while at < data.size and 48 <= data[at] <= 57:
            power = min(power * 10 + data[at] - 48, 9999)
            at += 1
        if at == first:
            return 0.0, at, False
        scale += -power if down else power
    value = float(mantissa)
    if scale < -308:
        value /= _TENS[308]
        scale = max(scale + 308, -308)
    value = value / _TENS[-scale] if scale < 0 else value * (_TENS[scale] if scale <= 308 else np.inf if value else 0.0)
    return (-value if negative else value), at, True


@njit(cache=True)
def parse_word(data, at, negative):
    """`nan` and `inf` in any case, with whatever follows them in brackets."""
    if at + 2 < data.size:
        first, second, third = data[at] | 32, data[at + 1] | 32, data[at + 2] | 32
        value = 0.0
        if first == 110 and second == 97 and third == 110:
            value = np.nan
        elif first == 105 and second == 110 and third == 102:
            value = -np.inf if negative else np.inf
        if value != 0.0:
            while at < data.size and data[at] != _NEWLINE and not is_separator(data[at]):
                at += 1
            return value, at, True
    return 0.0, at, False


@njit(cache=True)
def parse_lines(data, first_line, values, starts, lines):
    """Fill `values` with all numbers; row r is `values[starts[r]:starts[r + 1]]` and stands on line `lines[r]`.

    Returns:
        Rows, and the line of the first word that is no number (0 if all are).
    """
    at, line, rows, filled = 0, first_line, 0, 0
    while at < data.size:
        at = skip_comment(data, at)
        before = filled
        while at < data.size and data[at] != _NEWLINE:
            if is_separator(data[at]):
                at += 1
                continue
            value, at, good = parse_number(data, at)
            if not good or (at < data.size and data[at] != _NEWLINE and not is_separator(data[at])):
                return rows, line
            values[filled] = value
            filled += 1
        if filled > before:
            starts[rows] = before
            lines[rows] = line
            rows += 1
            starts[rows] = filled
        at += 1
        line += 1
    return rows, 0
