"""Columns without names are named where their values show it; where they can be two things, the name is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.scans.points.maker import room
from vol3d.errors import DataError
from vol3d.scans import read_points
from vol3d.scans.points.read import points_of

N = 2000
RNG = np.random.default_rng(0)
XYZ = room(RNG, n=N)[:N].round(3)
COLUMN = {
    "index": np.arange(N),
    "shuffled": RNG.permutation(N) + 7,
    "stamp": 1e5 + np.arange(N) // 20 * 0.1,
    "unix": 1.7e9 + np.arange(N) * 1e-3,
    "intensity": RNG.random(N).round(3),
    "bytes": RNG.integers(0, 256, N),
    "label": RNG.integers(0, 20, N),
    "ring": RNG.integers(0, 16, N),
    "one": np.ones(N),
    "zero": np.zeros(N),
    "rgb": RNG.integers(0, 256, (N, 3)),
    "shares": RNG.random((N, 3)),
    "normal": (lambda v: v / np.linalg.norm(v, axis=1, keepdims=True))(RNG.normal(size=(N, 3))),
    "up": np.tile([0, 0, 1.0], (N, 1)),
    "xyz": XYZ,
}


def table(words: str) -> np.ndarray:
    return np.concatenate([COLUMN[word].reshape(N, -1) for word in words.split()], axis=1).astype(np.float64)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("xyz intensity", "intensity"),
        ("xyz bytes", "intensity"),
        ("xyz zero", "intensity"),
        ("xyz rgb", "rgb"),
        ("xyz shares", "rgb"),
        ("xyz normal", "normal"),
        ("xyz intensity rgb", "intensity rgb"),
    ],
)
def test_what_the_values_show(words: str, names: str) -> None:
    cloud = points_of(table(words), up="z", units="m")
    assert set(cloud.columns) == set(names.split()) and np.allclose(cloud.xyz, XYZ, atol=1e-6)
    assert f"from the values of {N} points" in str(cloud.notes[0]) and cloud.notes[0].assumed


UNCLEAR = [
    *("index xyz", "shuffled xyz", "stamp xyz", "label xyz", "index xyz intensity", "stamp xyz intensity"),
    *("index xyz rgb", "stamp xyz rgb", "unix xyz rgb", "unix xyz", "xyz index", "xyz shuffled", "xyz stamp"),
    *("xyz label", "xyz one", "xyz ring", "xyz intensity label", "xyz intensity ring", "xyz bytes label"),
    *("xyz intensity intensity", "xyz rgb label", "xyz rgb ring", "xyz rgb bytes", "xyz bytes rgb", "label xyz rgb"),
    *(
        "xyz bytes ring label",
        "xyz label bytes ring",
        "xyz rgb intensity",
        "xyz up",
        "xyz rgb index",
        "xyz normal label",
    ),
    *("xyz shares intensity", "xyz rgb normal"),
]


@pytest.mark.parametrize("words", UNCLEAR)
@pytest.mark.parametrize("name", ["array", "a.csv", "a.bin"])
def test_what_can_be_two_things_is_asked_for(tmp_path: Path, words: str, name: str) -> None:
    values = table(words)
    with pytest.raises(DataError, match="--columns"):
        if name == "array":
            points_of(values)
        elif name == "a.csv":
            np.savetxt(tmp_path / name, values, delimiter=",", fmt="%.10g")
            read_points(tmp_path / name)
        else:
            values.astype(np.float32).tofile(tmp_path / name)
            read_points(tmp_path / name)


def test_the_error_says_how_to_name_them(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "a.csv", table("index xyz"), delimiter=",", fmt="%.10g")
    with pytest.raises(DataError, match=r"column 1 \(0 to 1999\)\. Name the columns, `--columns _,x,y,z` for example"):
        read_points(tmp_path / "a.csv")
    cloud = read_points(tmp_path / "a.csv", columns=("_", "x", "y", "z"), up="z", units="m")
    assert np.allclose(cloud.xyz, XYZ, atol=1e-6) and not cloud.columns


def test_sorted_coordinates_are_no_counters() -> None:
    by_x = XYZ[np.argsort(XYZ[:, 0])]
    assert len(points_of(by_x)) == N and len(points_of(np.concatenate((by_x, COLUMN["rgb"]), axis=1))) == N
    diagonal = np.arange(300).reshape(100, 3)
    assert len(points_of(diagonal)) == 100
