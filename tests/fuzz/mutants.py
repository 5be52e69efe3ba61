"""Damaged versions of a valid file: the same for the same seed and number, whatever ran before."""

from __future__ import annotations

import gzip
import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache

HEADER = 1024  # bytes at the start that most mutations aim at
NUMBERS = (0, -1, 1, 2, 127, 255, 32767, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63))
REALS = (0.0, -0.0, -1.0, 1e-300, 1e300, 1e30, -1e30, 0.5, float("nan"), float("inf"), float("-inf"))
TEXTS = (
    *(str(number).encode() for number in NUMBERS),
    *(b"1e300", b"-1e300", b"1e-300", b"nan", b"inf", b"-inf", b"0.5", b"1e9999", b"9" * 400, b"0x10", b"1,5"),
    *(b"", b" ", b"\0", b"\xff\xfe", "\u00e9\u4e2d".encode(), b"(", b"{", b"[", b'"', b"%s%n%d", b"true", b"None"),
    *(b"1_000", b"LIST", b"../outside", b"/dev/zero", b"A" * 300, b"A" * 70000, b"1 " * 20000, b"(" * 5000),
)
Mutation = Callable[[random.Random, bytes], bytes]


def mutants(data: bytes, seed: int, n: int) -> Iterator[bytes]:
    """Mutants 0 to n - 1 of `data`."""
    return (mutant(data, seed, index) for index in range(n))


def mutant(data: bytes, seed: int, index: int) -> bytes:
    """One to three mutations of `data`; of what is in a gzip file mostly, because its checksum ends every other try."""
    rng = random.Random(f"{seed} {index}")
    packed = data[:2] == b"\x1f\x8b" and rng.random() < 0.7
    changed = gzip.decompress(data) if packed else data
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        changed = rng.choice(MUTATIONS)(rng, changed)
    return gzip.compress(changed, 1, mtime=0) if packed else changed


def _place(rng: random.Random, data: bytes) -> int:
    """Where to change something: in the header twice out of three times."""
    return rng.randrange(max(1, min(len(data), HEADER) if rng.random() < 2 / 3 else len(data)))


def _length(rng: random.Random) -> int:
    return rng.choice((1, 2, 4, 8, 16, 100, 1000))


def _replaced(data: bytes, start: int, stop: int, by: bytes) -> bytes:
    return data[:start] + by + data[stop:]


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[_place(rng, bytes(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng: random.Random, data: bytes) -> bytes:
    return data[: _place(rng, data)] if rng.random() < 0.5 else data[: len(data) - _length(rng)]


def delete(rng: random.Random, data: bytes) -> bytes:
    start = _place(rng, data)
    return _replaced(data, start, start + _length(rng), b"")


def insert(rng: random.Random, data: bytes) -> bytes:
    start, length = _place(rng, data), _length(rng)
    return _replaced(data, start, start, rng.choice((rng.randbytes(length), bytes(length), b"\xff" * length)))


def overwrite(rng: random.Random, data: bytes) -> bytes:
    start, length = _place(rng, data), _length(rng)
    return _replaced(data, start, start + length, rng.choice((rng.randbytes(length), bytes(length), b"\xff" * length)))


def duplicate(rng: random.Random, data: bytes) -> bytes:
    start, length = _place(rng, data), _length(rng)
    return _replaced(data, start, start, data[start : start + length] * rng.choice((1, 2, 50)))


def append(rng: random.Random, data: bytes) -> bytes:
    return data + rng.choice((rng.randbytes(_length(rng)), bytes(5000), data))


def binary_number(rng: random.Random, data: bytes) -> bytes:
    """A field of a binary header takes an extreme value."""
    start = _place(rng, data)
    order, kind = rng.choice("<>"), rng.choice("bhiqfd")
    if kind in "fd":
        largest = 1e300 if kind == "d" else 3e38
        value = rng.choice(REALS)
        block = struct.pack(order + kind, min(max(value, -largest), largest) if abs(value) < float("inf") else value)
    else:
        width = struct.calcsize(kind)
        block = rng.choice(NUMBERS).to_bytes(9, "little", signed=True)[:width]
        block = block if order == "<" else block[::-1]
    start -= start % rng.choice((1, 2, 4))
    return _replaced(data, start, start + len(block), block)


def text_number(rng: random.Random, data: bytes) -> bytes:
    """A number that is written out takes an extreme value."""
    return _token(rng, data, rb"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", TEXTS)


def text_word(rng: random.Random, data: bytes) -> bytes:
    """A word becomes another one, of the same file or a long one."""
    words = re.findall(rb"[A-Za-z]{2,40}", data[: 4 * HEADER]) or [b"x"]
    return _token(rng, data, rb"[A-Za-z]{2,40}", (*TEXTS, *rng.choices(words, k=20)))


def _token(rng: random.Random, data: bytes, pattern: bytes, texts: tuple[bytes, ...]) -> bytes:
    found = list(re.finditer(pattern, data[: 4 * HEADER]))
    if not found:
        return flip_bits(rng, data)
    token = rng.choice(found)
    return _replaced(data, token.start(), token.end(), rng.choice(texts))


def lines(rng: random.Random, data: bytes) -> bytes:
    """A line is left out, doubled, moved, or ends in another way."""
    head, rest = data[:HEADER], data[HEADER:]
    rows = head.split(b"\n")
    row = rng.randrange(len(rows))
    if (how := rng.randrange(4)) == 0:
        rows.pop(row)
    elif how == 1:
        rows.insert(rng.randrange(len(rows)), rows[row])
    elif how == 2:
        rows.insert(rng.randrange(len(rows)), rows.pop(row))
    else:
        rows[row] += b"\r"
    return b"\n".join(rows) + rest


@cache
def _bombs() -> tuple[bytes, bytes]:
    zeros = bytes(1 << 24)
    return zlib.compress(zeros), gzip.compress(zeros, mtime=0)


def packed_block(rng: random.Random, data: bytes) -> bytes:
    """Compressed zeros, far more than their size says, in place of the end of the file."""
    return data[: _place(rng, data)] + rng.choice(_bombs())


MUTATIONS: tuple[Mutation, ...] = (
    *(flip_bits, cut, delete, insert, overwrite, duplicate, append),
    *(binary_number, binary_number, text_number, text_number, text_word, lines, packed_block),
)
