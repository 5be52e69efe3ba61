"""Points as text: separators, headers and comments of many programs, and the line of every fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vol3d.errors import DataError, UsageError
from vol3d.scans import read_points
from vol3d.scans.points.text_table import parse_rows

POINTS = "1 2 3 0.5\n4 5 6 0.25\n7 8 9 1\n"


def read(path: Path, text: str, columns: tuple[str, ...] | None = None) -> dict[str, list[float]]:
    path.write_text(text)
    cloud = read_points(path, columns=columns, up="z", units="m")
    return {"xyz": cloud.xyz.tolist(), **{name: values.tolist() for name, values in cloud.columns.items()}}


@pytest.mark.parametrize(
    "text",
    [
        POINTS,
        POINTS.replace(" ", ","),
        POINTS.replace(" ", " ; "),
        POINTS.replace(" ", "\t").replace("\n", "\r\n"),
        POINTS.rstrip("\n"),
        f"# a comment\n\n{POINTS}\n# the end\n",
        f"//X Y Z Intensity\n{POINTS}",
        f"x y z intensity\n{POINTS}",
        f'"X","Y","Z","Intensity"\n{POINTS.replace(" ", ",")}',
        f"\ufeffx;y;z;reflectance\n{POINTS.replace(' ', ';').replace('.', ',')}",
        "intensity,z,x,y\n0.5,3,1,2\n0.25,6,4,5\n1,9,7,8\n",
        "  1.0e0 +2 3. 5e-1 \n 4 5 6 .25\n7 8 9 1",
    ],
)
def test_separators_headers_and_comments(tmp_path: Path, text: str) -> None:
    for suffix in (".xyz", ".txt", ".csv", ".asc"):
        got = read(tmp_path / f"a{suffix}", text)
        assert got == {"xyz": [[1, 2, 3], [4, 5, 6], [7, 8, 9]], "intensity": [0.5, 0.25, 1]}


def test_columns_asked_for_are_taken_before_a_header(tmp_path: Path) -> None:
    got = read(tmp_path / "a.csv", "east,north,up,q\n" + POINTS.replace(" ", ","), ("y", "x", "z", "_"))
    assert got == {"xyz": [[2, 1, 3], [5, 4, 6], [8, 7, 9]]}
    with pytest.raises(UsageError, match=r"another number of columns.*got 3, wanted 4"):
        read(tmp_path / "a.csv", POINTS, ("x", "y", "z"))


def test_columns_from_values(tmp_path: Path) -> None:
    assert read(tmp_path / "a.xyz", "1 2 3 255 0 9\n1 2 4 0 1 2\n")["rgb"] == [[255, 0, 9], [0, 1, 2]]
    assert read(tmp_path / "a.xyz", "1 2 3 0 0 1\n1 2 4 0 -1 0\n")["normal"] == [[0, 0, 1], [0, -1, 0]]
    with pytest.raises(DataError, match=r"no known layout fits.*--columns"):
        read(tmp_path / "a.xyz", "1 2 3 0 0 7000\n1 2 4 0 -10 0\n")


def test_pts_announce_their_points(tmp_path: Path) -> None:
    rows = "1 2 3 -500 255 0 1\n4 5 6 20 0 1 2\n"
    wanted = {"xyz": [[1, 2, 3], [4, 5, 6]], "intensity": [-500, 20], "rgb": [[255, 0, 1], [0, 1, 2]]}
    for text in (f"2\n{rows}", f"1\n{rows.splitlines()[0]}\n1\n{rows.splitlines()[1]}\n"):
        got = read(tmp_path / "a.pts", text)
        assert got == wanted
    with pytest.raises(DataError, match=r"the file is cut; got 2 points, wanted 3"):
        read(tmp_path / "a.pts", f"3\n{rows}")
    with pytest.raises(DataError, match=r"more points than the file announces; got 2 points, wanted 1"):
        read(tmp_path / "a.pts", f"1\n{rows}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n4 5\n7 8 9\n", r"a\.xyz:2: a line with another number of values; got 2, wanted 3"),
        ("# c\n1 2 3\n\n4 5 6 7\n", r"a\.xyz:4: a line with another number of values; got 4"),
        ("1 2 3\n4 5 six\n", r"a\.xyz:2: a word that is no number; got '4 5 six'"),
        ("1 2 3\n4 5 6e\n", r"a\.xyz:2: a word that is no number"),
        ("1 2 3\n4 5 0x1F\n", r"a\.xyz:2: a word that is no number"),
        ("1 2\n3 4\n", "no known layout fits.*2 columns"),
        ("# only\n# comments\n", "no points in the file"),
        ("x y z\n", "no points in the file"),
        ("ncols 4\nnrows 3\n1 2 3\n", r"a\.xyz:2: a line that is no point"),
        ("a b c\n1 2 3\n", "header does not name the columns; got a b c"),
        ("x y z x\n1 2 3 4\n", "two properties are named 'x'"),
        ("nan nan nan\n", "no point has finite coordinates"),
        ("1 2 3\0\n", "not a text file"),
    ],
)
def test_faults_are_told_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.xyz", text)


@given(st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), min_size=1, max_size=20))
def test_floats_survive_their_shortest_decimals(rows: list[list[float]]) -> None:
    text = "\n".join(" ".join(map(repr, row)) for row in rows)
    got = parse_rows(text.encode(), Path("a")).table(Path("a")).astype(np.float32)
    assert np.array_equal(got, np.array(rows, np.float32), equal_nan=True)


@example(".0E400")
@given(st.from_regex(r"[+-]?([0-9]{1,25}(\.[0-9]{0,25})?|\.[0-9]{1,25})([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_decimals_are_within_two_units_of_the_last_place(word: str) -> None:
    (got,) = parse_rows(word.encode(), Path("a")).values
    wanted = float(word)
    assert got == wanted or abs(got - wanted) <= 2 * np.spacing(abs(wanted))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("head", ["", "x,y,z,intensity\n", "3\n", "# a\n\n// X Y Z Intensity\n3\n"])
@pytest.mark.parametrize("suffix", [".xyz", ".csv", ".pts", ".asc", ".txt"])
def test_marks_counts_and_heads(tmp_path: Path, encoding: str, head: str, suffix: str) -> None:
    text = head + POINTS.replace(" ", ",") + "\n \n"
    (tmp_path / f"a{suffix}").write_bytes(text.encode(encoding))
    cloud = read_points(tmp_path / f"a{suffix}", up="z", units="m")
    assert cloud.xyz.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]] and cloud.columns["intensity"][1] == 0.25


def test_a_wrong_count_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the file is cut; got 3 points, wanted 4"):
        read(tmp_path / "a.xyz", f"4\n{POINTS}")


@pytest.mark.parametrize(
    "head", ["//X Y Z R G B\n2\n", '"X","Y","Z","R","G","B"\n', "x;y;z;r;g;b;\n", "X\tY\tZ\tR\tG\tB\r\n"]
)
def test_heads_of_other_programs(tmp_path: Path, head: str) -> None:
    got = read(tmp_path / "a.txt", head + "1.5 2 3 255 0 9\n1 2 4 0 1 2\n")
    assert got == {"xyz": [[1.5, 2, 3], [1, 2, 4]], "rgb": [[255, 0, 9], [0, 1, 2]]}


def test_a_column_without_a_name_is_left_out(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", ",x,y,z\n0,1.5,2,3\n1,4,5,6\n") == {"xyz": [[1.5, 2, 3], [4, 5, 6]]}


def test_a_first_line_that_numbers_the_columns_is_no_point(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0,1,2\n1.5,2,3\n4.5,5,6\n")
    cloud = read_points(tmp_path / "a.csv", up="z", units="m")
    assert cloud.xyz.tolist() == [[1.5, 2, 3], [4.5, 5, 6]] and "numbers the 3 columns" in str(cloud.notes[0])
    assert read(tmp_path / "a.csv", "0,1,2\n3,4,5\n") == {"xyz": [[0, 1, 2], [3, 4, 5]]}


def test_lines_of_an_old_macintosh(tmp_path: Path) -> None:
    assert read(tmp_path / "a.xyz", "1 2 3\r4 5 6\r") == {"xyz": [[1, 2, 3], [4, 5, 6]]}
