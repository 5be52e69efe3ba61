"""Label and result files of KITTI: the official files keep every value, and what is wrong with a file is reported."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pointcloud.conventions.kitti_objects import KittiObjects, read_kitti_objects, write_kitti_objects
from vol3d.errors import DataError

CAR = "Car 0.12 1 -1.57 599.41 156.40 629.75 189.25 2.85 2.63 12.34 0.47 1.49 69.44 -1.56"
DONT_CARE = "DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10"


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.write_bytes(end.join(lines).encode())
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_are_read_whatever_the_line_ends(tmp_path: Path, end: str):
    rows = read_kitti_objects(write(tmp_path / "a.txt", CAR, "", DONT_CARE, "", end=end))
    assert rows.types.tolist() == ["Car", "DontCare"] and rows.occlusion.tolist() == [1, -1]
    assert (rows.truncation[0], rows.alpha[0], rows.rotation_y[0], rows.scores[0]) == (0.12, -1.57, -1.56, 1)
    assert rows.bbox[0].tolist() == [599.41, 156.40, 629.75, 189.25]
    assert rows.dimensions_hwl[0].tolist() == [2.85, 2.63, 12.34] and rows.location[0].tolist() == [0.47, 1.49, 69.44]


def test_results_have_a_score(tmp_path: Path):
    rows = read_kitti_objects(write(tmp_path / "a.txt", f"{CAR} 0.75"), scored=True)
    assert rows.scores.tolist() == [0.75]


def test_an_empty_file_has_no_objects(tmp_path: Path):
    for scored in (False, True):
        assert len(read_kitti_objects(write(tmp_path / "a.txt", ""), scored)) == 0


@pytest.mark.parametrize("scored", [False, True])
def test_what_is_written_is_read_back(tmp_path: Path, scored: bool):
    rng = np.random.default_rng(0)
    rows = KittiObjects(
        np.array(["Car", "Person_sitting", "DontCare"]),
        np.array([0.25, 0, -1]),
        np.array([0, 3, -1]),
        *(rng.normal(0, 50, shape).round(6) for shape in (3, (3, 4), (3, 3), (3, 3), 3)),
        rng.random(3).round(6) if scored else np.ones(3),
    )
    write_kitti_objects(tmp_path / "a.txt", rows, scored)
    back = read_kitti_objects(tmp_path / "a.txt", scored)
    for column in fields(rows):
        np.testing.assert_array_equal(getattr(back, column.name), getattr(rows, column.name), err_msg=column.name)
    write_kitti_objects(tmp_path / "a.txt", rows.select(np.zeros(3, np.bool_)), scored)
    assert (tmp_path / "a.txt").read_bytes() == b""


def test_real_labels_are_read_and_keep_their_values(data_root: Path, tmp_path: Path):
    paths = sorted((data_root / "kitti" / "training" / "label_2").glob("*.txt"))
    assert len(paths) == 5
    for path in paths:
        write_kitti_objects(tmp_path / "a.txt", read_kitti_objects(path))
        for one, other in zip(
            path.read_text().splitlines(), (tmp_path / "a.txt").read_text().splitlines(), strict=True
        ):
            assert one.split()[0] == other.split()[0]
            assert [float(word) for word in one.split()[1:]] == [float(word) for word in other.split()[1:]]


@pytest.mark.parametrize(
    ("lines", "scored", "words"),
    [
        ([CAR, CAR.rsplit(" ", 1)[0]], False, "a.txt:2: wrong number of columns; got 14, wanted 15"),
        (["Car"], False, "a.txt:1: wrong number of columns; got 1, wanted 15"),
        ([f"{CAR} 0.5"], False, "got 16, wanted 15.*Result files have a score"),
        ([CAR], True, "got 15, wanted 16"),
        ([CAR.replace("2.85", "tall")], False, "a.txt:1: 'h' makes no sense; got tall, wanted a number"),
        ([CAR.replace("69.44", "nan")], False, "'z' makes no sense; got nan"),
        ([CAR.replace("69.44", "1e999")], False, "'z' makes no sense"),
        ([CAR.replace(" 1 ", " 1.5 ")], False, "'occlusion' makes no sense; got 1.5, wanted a whole number"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, lines: list[str], scored: bool, words: str):
    with pytest.raises(DataError, match=words):
        read_kitti_objects(write(tmp_path / "a.txt", *lines), scored)


def test_what_is_no_text_or_no_file_is_told(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="the text is not UTF-8"):
        read_kitti_objects(tmp_path / "a.txt")
    with pytest.raises(DataError, match="no such file"):
        read_kitti_objects(tmp_path / "none.txt")


def test_values_that_are_not_finite_are_not_written(tmp_path: Path):
    rows = read_kitti_objects(write(tmp_path / "a.txt", CAR))
    rows.location[0, 1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        write_kitti_objects(tmp_path / "b.txt", rows)
    assert not (tmp_path / "b.txt").exists()


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"bbox must be \(1, 4\)"):
        KittiObjects(np.array(["Car"]), *(np.zeros(s) for s in (1, 1, 1, (1, 3), (1, 3), (1, 3), 1, 1)))
