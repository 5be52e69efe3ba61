"""The parts of KITTI are what the lists say; what they leave open is assumed with a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointcloud.datasets.kitti.lists import FrameLists, frame_lists
from vol3d.errors import DataError


def made(root: Path, frames: int = 4, testing: int = 0, **lists: str) -> FrameLists:
    for folder, count in (("training", frames), ("testing", testing)):
        if count:
            (root / folder / "velodyne").mkdir(parents=True)
        for number in range(count):
            (root / folder / f"velodyne/{number:06d}.bin").touch()
    (root / "ImageSets").mkdir()
    for name, text in lists.items():
        (root / f"ImageSets/{name}.txt").write_text(text)
    return frame_lists(root, "KITTI", None)


def codes(parts: FrameLists) -> list[str]:
    return [fault.code for fault in parts.faults]


@pytest.mark.parametrize("train", [None, ""])
def test_a_list_for_validation_alone_is_used(tmp_path: Path, train: str | None) -> None:
    parts = made(tmp_path, val="000001\n000002\n", **({} if train is None else {"train": train}))
    assert parts.validation == ["000001", "000002"]
    assert parts.train == (["000000", "000003"] if train is None else [])
    assert codes(parts) == (["split-assumed"] if train is None else [])


def test_a_list_for_training_alone_leaves_the_rest_to_validate(tmp_path: Path) -> None:
    parts = made(tmp_path, train="000001\n")
    assert (parts.train, parts.validation) == (["000001"], ["000000", "000002", "000003"])
    assert parts.faults[0].numbers == {"frames": 3}


@pytest.mark.parametrize("text", ["1\r\n3\r\n", "\ufeff000001\n000003", "velodyne/000001.bin\n\n000003.txt\n"])
def test_names_are_found_however_they_are_written(tmp_path: Path, text: str) -> None:
    assert made(tmp_path, train=text, val="").train == ["000001", "000003"]


def test_a_line_of_several_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.txt:2: not the name of a frame; got 000002 -1"):
        made(tmp_path, train="000001\n000002 -1\n", val="")


def test_the_list_of_the_test_set_is_of_its_own_folder_if_there_is_one(tmp_path: Path) -> None:
    parts = made(tmp_path, testing=3, train="000000\n", val="000001\n", test="000002\n")
    assert (parts.test, parts.test_in_training) == (["000002"], False)


@pytest.mark.parametrize(("test", "wanted"), [("000002\n000003\n", ["000002", "000003"]), ("000000\n000003\n", [])])
def test_without_that_folder_it_may_be_of_the_training_frames(tmp_path: Path, test: str, wanted: list[str]) -> None:
    parts = made(tmp_path, train="000000\n", val="000001\n", test=test)
    assert (parts.test, parts.test_in_training) == (wanted, bool(wanted))


def test_files_that_are_not_read_are_named(tmp_path: Path) -> None:
    parts = made(tmp_path, train="000000\n", val="000001\n", valid="000002\n", trainval="000000\n")
    assert codes(parts) == ["list-not-read"] and "valid.txt" in parts.faults[0].what
