"""Numbers in text, at the speed of the disk: one compiled pass that finds the line of every fault.

A decimal with up to 15 digits and an exponent of at most 22 is exact, any other within two units of the last place.
"""

from __future__ import annotations

import numpy as np
from numba import njit

GOOD, NO_NUMBER = 0, 1
_NEWLINE, _HASH, _SLASH = 10, 35, 47
_PLUS, _MINUS, _POINT, _ZERO, _NINE = 43, 45, 46, 48, 57
_SMALL = 32  # the bit that makes a capital letter small
_A, _E, _F, _I, _N = 97, 101, 102, 105, 110
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
    negative = data[at] == _MINUS
    mantissa, scale, digits, at = parse_digits(data, skip_sign(data, at))
    if digits == 0:
        return parse_word(data, at, negative)

    if at < data.size and (data[at] | _SMALL) == _E:
        power, good, at = parse_exponent(data, at + 1)
        if not good:
            return 0.0, at, False
        scale += power

    value = scaled(mantissa, scale)
    return (-value if negative else value), at, True


@njit(cache=True)
def skip_sign(data, at):
    """The place behind a sign, or `at`."""
    return at + 1 if at < data.size and (data[at] == _MINUS or data[at] == _PLUS) else at


@njit(cache=True)
def parse_digits(data, at):
    """Digits with at most one point among them: mantissa, power of ten, number of digits, and the place behind.

    The mantissa holds the first 18 digits that are not leading zeros.
    """
    mantissa, scale, digits, kept = np.uint64(0), 0, 0, 0
    point = False
    while at < data.size:
        byte = data[at]
        if _ZERO <= byte <= _NINE:
            digits += 1
            if kept < 18:
                mantissa = mantissa * np.uint64(10) + np.uint64(byte - _ZERO)
                kept += 1 if mantissa > 0 else 0
                scale -= 1 if point else 0
            else:
                scale += 0 if point else 1
        elif byte == _POINT and not point:
            point = True
        else:
            break
        at += 1
    return mantissa, scale, digits, at


@njit(cache=True)
def parse_exponent(data, at):
    """The power of ten behind an `e`, whether there is one, and the place behind it."""
    down = at < data.size and data[at] == _MINUS
    first = at = skip_sign(data, at)
    power = 0
    while at < data.size and _ZERO <= data[at] <= _NINE:
        power = min(power * 10 + data[at] - _ZERO, 9999)
        at += 1
    return (-power if down else power), at > first, at


@njit(cache=True)
def scaled(mantissa, scale):
    """`mantissa` times ten to the power of `scale`, infinite or 0 where float64 ends."""
    value = float(mantissa)
    if scale < -308:
        value /= _TENS[308]
        scale = max(scale + 308, -308)
    if scale < 0:
        return value / _TENS[-scale]
    if scale <= 308:
        return value * _TENS[scale]
    return np.inf if value else 0.0


@njit(cache=True)
def parse_word(data, at, negative):
    """`nan` and `inf` in any case, with whatever follows them in brackets."""
    value = word_value(data, at, negative)
    if value == 0.0:
        return 0.0, at, False
    while at < data.size and data[at] != _NEWLINE and not is_separator(data[at]):
        at += 1
    return value, at, True


@njit(cache=True)
def word_value(data, at, negative):
    """What a word that begins with `nan` or `inf` means; 0 for any other."""
    if at + 2 >= data.size:
        return 0.0
    first, second, third = data[at] | _SMALL, data[at + 1] | _SMALL, data[at + 2] | _SMALL
    if first == _N and second == _A and third == _N:
        return np.nan
    if first == _I and second == _N and third == _F:
        return -np.inf if negative else np.inf
    return 0.0


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
