"""Commas are read as what they are, or refused: never silently as the other thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vol3d.errors import DataError
from vol3d.scans import read_points

ROWS = [[1.5, 2.25, 0.5], [14.0, -5.75, 6.0], [7.0, 8.0, 9.125]]
LINES = [[f"{value:g}".replace(".", ",") for value in row] for row in ROWS]


@pytest.mark.parametrize("separator", [" ", "\t", ";", " ; ", ", ", ";\t"])
@pytest.mark.parametrize("suffix", [".xyz", ".txt", ".csv", ".asc", ".pts"])
def test_decimal_commas(tmp_path: Path, separator: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("".join(separator.join(line) + "\n" for line in LINES))
    cloud = read_points(path, up="z", units="m")
    assert np.array_equal(cloud.xyz, ROWS)
    assert str(cloud.notes[0]) == "5 commas were read as decimal points" and cloud.notes[0].numbers == {"commas": 5}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_in_quotes(tmp_path: Path, separator: str) -> None:
    (tmp_path / "a.csv").write_text("".join(separator.join(f'"{word}"' for word in line) + "\n" for line in LINES))
    assert np.array_equal(read_points(tmp_path / "a.csv", up="z", units="m").xyz, ROWS)


@pytest.mark.parametrize(
    "text",
    [
        "1.5,2.25,0.5\n14,-5.75,6\n",
        "1.5, 2.25, 0.5\n14, -5.75, 6\n",
        "1.5 ,2.25 ,0.5 ,\n14,-5.75,6,\n",
        "1.5;2.25;0.5\n",
    ],
)
def test_commas_that_separate(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    cloud = read_points(tmp_path / "a.csv", up="z", units="m")
    assert np.array_equal(cloud.xyz[0], ROWS[0]) and cloud.notes == ()


def test_commas_and_blanks_that_both_separate(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1,2,3 255 0 9\n4,5,6 0 1 2\n")
    cloud = read_points(tmp_path / "a.txt", up="z", units="m")
    assert cloud.xyz.tolist() == [[1, 2, 3], [4, 5, 6]] and cloud.columns["rgb"].tolist() == [[255, 0, 9], [0, 1, 2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,234 5,678 9,012\n2,345 6,789 1,111\n", "may separate thousands or be decimal points; got 1,234"),
        ("1,234;5,678;9,012\n", "may separate thousands or be decimal points"),
        ('"1,234","5,678","9,012"\n', "may separate thousands or be decimal points"),
        ("1,234.5 5,678.25 9,012.0\n", "may separate thousands or be decimal points"),
        ("1.234,5 5.678,25 9.012,0\n", "numbers with commas and with points"),
        ("1,5 2,5 3,5 0.5\n", "numbers with commas and with points"),
        ("1,05,2,50,3,75\n4,00,5,25,6,50\n", "may be decimal points as well as separators"),
    ],
)
def test_what_may_be_both_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_points(tmp_path / "a.csv")
