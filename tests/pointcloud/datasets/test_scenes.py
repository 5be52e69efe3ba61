"""Fingerprints of what scenes are read from: of the content, or at a glance."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pointcloud.datasets.scenes import fingerprint_of
from vol3d.errors import DataError


@pytest.mark.parametrize("quick", [False, True])
def test_a_fingerprint_follows_files_and_facts(tmp_path: Path, quick: bool) -> None:
    path = tmp_path / "points.bin"
    path.write_bytes(b"one")
    before = fingerprint_of([path], [1], quick)
    assert fingerprint_of([path], [1], quick) == before != fingerprint_of([path], [2], quick)
    path.write_bytes(b"three")
    assert fingerprint_of([path], [1], quick) != before
    with pytest.raises(DataError, match=r"gone\.bin"):
        fingerprint_of([tmp_path / "gone.bin"], None, quick)


def test_a_glance_sees_the_time_of_change_and_not_the_content(tmp_path: Path) -> None:
    path = tmp_path / "points.bin"
    path.write_bytes(b"one")
    os.utime(path, ns=(0, 10))
    whole, glance = fingerprint_of([path]), fingerprint_of([path], quick=True)
    os.utime(path, ns=(0, 20))
    assert fingerprint_of([path]) == whole and fingerprint_of([path], quick=True) != glance
