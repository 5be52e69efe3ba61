"""Files with flipped, lost and doubled bytes: a cloud of finite points or a named fault, never anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.scans.points.maker import write_pcd, write_ply
from vol3d.errors import Vol3dError
from vol3d.scans import read_points

TRIES = 60  # of each format; 250 of each and 3,000 of five were run once

RNG = np.random.default_rng(0)
COLUMNS = {axis: RNG.normal(size=30).astype("f4") for axis in "xyz"} | {"intensity": RNG.random(30).astype("f4")}
TABLE = np.stack(list(COLUMNS.values()), axis=1)
FACES = [[0, 1, 2], [3, 4, 5, 6]]
TEXT = "x y z intensity\n" + "".join(" ".join(f"{value:.4g}" for value in row) + "\n" for row in TABLE)


def _las(path: Path) -> None:
    laspy = pytest.importorskip("laspy")
    las = laspy.LasData(laspy.LasHeader(version="1.2", point_format=3))
    las.x, las.y, las.z = TABLE[:, :3].T
    las.write(str(path))


MAKERS: dict[str, Callable[[Path], object]] = {
    "text.ply": lambda path: write_ply(path, COLUMNS, "ascii", FACES),
    "little.ply": lambda path: write_ply(path, COLUMNS, "binary_little_endian", FACES),
    "big.ply": lambda path: write_ply(path, COLUMNS, "binary_big_endian", FACES),
    "text.pcd": lambda path: write_pcd(path, COLUMNS, "ascii"),
    "plain.pcd": lambda path: write_pcd(path, COLUMNS, "binary"),
    "packed.pcd": lambda path: write_pcd(path, COLUMNS, "binary_compressed"),
    "a.npy": lambda path: np.save(path, TABLE),
    "a.npz": lambda path: np.savez_compressed(path, points=TABLE),
    "a.bin": TABLE.tofile,
    "a.csv": lambda path: path.write_text(TEXT),
    "a.pts": lambda path: path.write_text("30\n" + TEXT.split("\n", 1)[1]),
    "a.las": _las,
}


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """One to three bits flipped, bytes replaced, stretches lost or doubled."""
    data = bytearray(whole)
    for _ in range(rng.integers(1, 4)):
        at, kind, length = int(rng.integers(len(data))), rng.integers(4), int(rng.integers(1, 9))
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at] = int(rng.choice([0, 10, 32, 45, 48, 57, 101, 255]))
        elif kind == 2 and len(data) > 20:
            del data[at : at + length]
        else:
            data[at:at] = data[at : at + length]
    return bytes(data)


@pytest.mark.filterwarnings("ignore")  # NumPy's, on numbers near the ends of their types
@pytest.mark.parametrize("name", MAKERS)
def test_damage_gives_finite_points_or_a_named_fault(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    MAKERS[name](path)
    whole = path.read_bytes()
    rng = np.random.default_rng(list(name.encode()))
    for _ in range(TRIES):
        path.write_bytes(damaged(whole, rng))
        try:
            cloud = read_points(path)
        except Vol3dError as fault:
            assert name in str(fault)
        else:
            assert len(cloud) and np.isfinite(cloud.xyz).all() and np.isfinite(cloud.file_from_scan).all()
            assert cloud.faces is None or (cloud.faces.min() >= 0 and cloud.faces.max() < len(cloud))
