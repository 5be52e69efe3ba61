"""Point files for tests: every kind of PLY and PCD, written plainly, and a furnished room."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

PLY_NAMES = {
    "i1": "char",
    "u1": "uchar",
    "i2": "short",
    "u2": "ushort",
    "i4": "int",
    "u4": "uint",
    "f4": "float",
    "f8": "double",
}
Columns = Mapping[str, np.ndarray]


def table(columns: Columns, order: str = "<") -> np.ndarray:
    """Columns as the rows of a structured array."""
    kinds = [(name, values.dtype.newbyteorder(order)) for name, values in columns.items()]
    rows = np.zeros(len(next(iter(columns.values()))), kinds)
    for name, values in columns.items():
        rows[name] = values
    return rows


def ascii_rows(rows: np.ndarray) -> str:
    return "".join(" ".join(repr(value.item()) for value in row) + "\n" for row in rows)


def write_ply(
    path: Path, columns: Columns, kind: str = "binary_little_endian", faces: Sequence[Sequence[int]] | None = None,
    count: int | None = None, comment: str = "made for a test", end: str = "\n",
) -> Path:  # fmt: skip
    """One PLY file, with an unknown element before the points and one behind the faces."""
    order = ">" if kind == "binary_big_endian" else "<"
    rows = table(columns, order)
    header = ["ply", f"format {kind} 1.0", f"comment {comment}", "element camera 2", "property double focal"]
    header += [f"element vertex {len(rows) if count is None else count}"]
    header += [f"property {PLY_NAMES[rows.dtype[name].str[1:]]} {name}" for name in rows.dtype.names or ()]
    if faces is not None:
        header += [f"element face {len(faces)}", "property uchar material", "property list uchar int vertex_indices"]
    header += ["element remark 1", "property list int uchar letters", "end_header"]
    body = struct.pack(f"{order}2d", 1.5, 2.5) + rows.tobytes()
    for face in faces or ():
        body += struct.pack(f"{order}BB{len(face)}i", 7, len(face), *face)
    body += struct.pack(f"{order}i3B", 3, 10, 13, 32)
    if kind == "ascii":
        polygons = "".join(f"7 {len(face)} {' '.join(map(str, face))}\n" for face in faces or ())
        body = f"1.5\n2.5\n{ascii_rows(rows)}{polygons}3 10 13 32\n".encode()
    path.write_bytes((end.join(header) + end).encode() + body)
    return path


def write_pcd(path: Path, columns: Columns, kind: str = "binary", height: int = 1, points: int | None = None) -> Path:
    """One PCD file of version 0.7; columns (N, k) become fields with a count."""
    count = len(next(iter(columns.values()))) if points is None else points
    kinds = {"f": "F", "i": "I", "u": "U"}
    header = ["# .PCD v0.7 - Point Cloud Data file format", "VERSION 0.7", f"FIELDS {' '.join(columns)}"]
    header += ["SIZE " + " ".join(str(values.dtype.itemsize) for values in columns.values())]
    header += ["TYPE " + " ".join(kinds[values.dtype.kind] for values in columns.values())]
    header += ["COUNT " + " ".join(str(values[0].size) for values in columns.values())]
    header += [f"WIDTH {count // height}", f"HEIGHT {height}", "VIEWPOINT 0 0 0 1 0 0 0", f"POINTS {count}"]
    if kind == "ascii":
        flat = [values.reshape(len(values), -1) for values in columns.values()]
        rows = zip(*flat, strict=True)
        body = "".join(" ".join(repr(v.item()) for part in row for v in part) + "\n" for row in rows).encode()
    elif kind == "binary":
        parts = [np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1) for values in columns.values()]
        body = np.concatenate(parts, axis=1).tobytes()
    else:
        plain = b"".join(np.ascontiguousarray(values).tobytes() for values in columns.values())
        packed = lzf(plain)
        body = struct.pack("<II", len(packed), len(plain)) + packed
    path.write_bytes(("\n".join([*header, f"DATA {kind}"]) + "\n").encode() + body)
    return path


def lzf(plain: bytes) -> bytes:
    """LZF encoder: copies of at least three bytes where their like was seen, literals elsewhere."""
    out, literals, seen, at = bytearray(), bytearray(), dict[bytes, int](), 0

    def flush() -> None:
        for begin in range(0, len(literals), 32):
            part = literals[begin : begin + 32]
            out.extend([len(part) - 1, *part])
        literals.clear()

    while at < len(plain):
        key = plain[at : at + 3]
        back = at - seen.get(key, -(1 << 20)) - 1
        seen[key] = at
        if len(key) < 3 or back >= 1 << 13:
            literals.append(plain[at])
            at += 1
            continue
        length = 3
        while length < 264 and at + length < len(plain) and plain[at + length] == plain[at + length - back - 1]:
            length += 1
        flush()
        code = length - 2
        out.extend([min(code, 7) << 5 | back >> 8, *([code - 7] if code >= 7 else []), back & 255])
        at += length
    flush()
    return bytes(out)


def room(rng: np.random.Generator, size: Sequence[float] = (5, 4, 2.5), n: int = 8000) -> np.ndarray:
    """(N, 3) float64 metres, z up, floor at 0: floor, walls and eight pieces of furniture on the floor."""
    length, width, height = size
    areas = np.array([length * width, length * height, length * height, width * height, width * height])
    side = rng.choice(5, n, p=areas / areas.sum())
    shell = rng.random((n, 3)) * size
    for number, (axis, value) in enumerate(((2, 0.0), (1, 0.0), (1, width), (0, 0.0), (0, length))):
        shell[side == number, axis] = value
    parts = [shell]
    for _ in range(8):
        extent = rng.uniform(0.4, (min(2, length / 2), min(1.2, width / 2), 1.2))
        corner = rng.random(3) * (np.array(size) - extent) * (1, 1, 0)
        block, face = rng.random((n // 16, 3)), rng.integers(0, 5, n // 16)
        for number, (axis, value) in enumerate(((2, 1), (0, 0), (0, 1), (1, 0), (1, 1))):
            block[face == number, axis] = value
        parts.append(block * extent + corner)
    return np.concatenate(parts)
