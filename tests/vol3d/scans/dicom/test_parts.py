"""A DICOM series that an export spread over folders is one scan; time points are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.scans.dicom.maker import write_series
from vol3d.errors import DataError
from vol3d.scans import find_scans, read_volume
from vol3d.scans.digest import scan_sha256


@pytest.mark.parametrize(
    "folder_of",
    [lambda k: "AB"[k // 4], lambda k: "AB"[k % 2], lambda k: f"S{k}", lambda k: ("", "below")[k // 4]],
    ids=["halves", "every other", "one each", "below"],
)
def test_slices_in_several_folders(tmp_path: Path, folder_of: Callable[[int], str]) -> None:
    values = write_series(tmp_path / "whole", count=8)
    for path in (tmp_path / "whole").iterdir():
        folder = tmp_path / "study" / folder_of(int(path.stem.split("_")[1]))
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    write_series(tmp_path / "study" / "other", count=5, series="7.7", SeriesDescription="another")
    spread, other = sorted(find_scans([tmp_path / "study"]), key=lambda one: str(one.path))
    assert (spread.name, spread.path, other.name) == ("study", tmp_path / "study", "other")
    np.testing.assert_array_equal(read_volume(spread.path, series=spread.series).array[0], values)
    (whole,) = find_scans([tmp_path / "whole"])
    assert scan_sha256(spread) == scan_sha256(whole)


def test_time_points_and_copies_in_folders_of_their_own_are_scans(tmp_path: Path) -> None:
    for name in ("t1", "t2"):
        write_series(tmp_path / name, TemporalPositionIdentifier=name[1])
    assert [source.name for source in find_scans([tmp_path])] == ["t1", "t2"]
    assert all(read_volume(source.path, series=source.series).array.shape[-1] == 6 for source in find_scans([tmp_path]))


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        ("TemporalPositionIdentifier", ["1", "2", "3"]),
        ("EchoNumbers", ["1", "2"]),
        ("TriggerTime", ["0", "40.5"]),
        ("ImageType", [["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]]),
        ("AcquisitionNumber", ["4", "5"]),
    ],
)
def test_what_tells_time_points_in_one_folder_apart_is_named(tmp_path: Path, attribute: str, values: list) -> None:
    for number, value in enumerate(values):
        write_series(tmp_path, prefix=f"{number}_", **{attribute: value})
    with pytest.raises(DataError, match=f"share a place.*one of each: {attribute} tells {len(values)} apart"):
        read_volume(tmp_path)


def test_copies_in_one_folder_differ_in_nothing(tmp_path: Path) -> None:
    for prefix in "ab":
        write_series(tmp_path, prefix=prefix)
    with pytest.raises(DataError, match=r"share a place.*Give a folder with one of each\."):
        read_volume(tmp_path)
