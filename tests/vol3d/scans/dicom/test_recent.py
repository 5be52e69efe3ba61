"""Headers are parsed once for finding, hashing, reading and writing a scan, and again when a file has changed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.scans.dicom.maker import edit, write_series
from vol3d.scans import find_scans, read_volume
from vol3d.scans.dicom import files
from vol3d.scans.dicom.recent import LEAST, Recent
from vol3d.scans.digest import scan_sha256


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose headers were parsed without pixels; nothing is remembered from other tests."""
    names: list[str] = []
    parse = files.parse

    def counted(file, name, pixels):  # type: ignore[no-untyped-def]
        if not pixels:
            names.append(name)
        return parse(file, name, pixels)

    monkeypatch.setattr(files, "parse", counted)
    monkeypatch.setattr(files, "_headers", Recent(16 << 20))
    return names


def aged(path: Path) -> None:
    """As if it had been copied a minute ago."""
    for file in (path, *path.rglob("*")):
        os.utime(file, (file.stat().st_atime - 60, file.stat().st_mtime - 60))


def all_steps(folder: Path) -> np.ndarray:
    """What a prediction does with a scan before the network."""
    (source,) = find_scans([folder])
    scan_sha256(source)
    return read_volume(source.path, series=source.series).array


@pytest.mark.parametrize("packed", [False, True])
def test_each_header_is_parsed_once(
    packed: bool, tmp_path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SETTLED_S", -1e9)  # the change of a file's times cannot be dated back
    values = write_series(tmp_path / "series")
    (tmp_path / "series" / "notes.txt").write_text("not DICOM")
    place = tmp_path / "series"
    if packed:
        place = tmp_path / "series.zip"
        with zipfile.ZipFile(place, "w") as archive:
            for file in (tmp_path / "series").iterdir():
                archive.write(file, file.name)
    np.testing.assert_array_equal(all_steps(place)[0], values)
    assert len(parsed) == len(set(parsed)) == 7


def test_a_changed_file_is_parsed_again(tmp_path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SETTLED_S", -1e9)
    write_series(tmp_path)
    before = all_steps(tmp_path)
    changed = min(tmp_path.glob("*.dcm"))
    for file in tmp_path.glob("*.dcm"):
        edit(file, RescaleIntercept=-500)
    aged(tmp_path)
    assert len(parsed) == 6 and parsed.count(str(changed)) == 1
    np.testing.assert_array_equal(all_steps(tmp_path), before + 500)
    assert len(parsed) == 12 and parsed.count(str(changed)) == 2


def test_what_was_written_just_now_is_not_remembered(tmp_path: Path, parsed: list[str]) -> None:
    write_series(tmp_path)
    with files.entries(tmp_path) as found:
        assert all(entry.version is None for entry in found)
        assert found[0].header() is not found[0].header()


def test_the_oldest_go_first_and_errors_are_not_kept() -> None:
    recent: Recent[str] = Recent(3 * LEAST)
    made: list[str] = []

    def ask(key: str, weight: int = 1) -> str:
        return recent.get(key, lambda: (made.append(key) or key.upper(), weight))

    assert [ask(key) for key in "abcab"] == list("ABCAB") and made == list("abc")
    assert ask("d") == "D" and recent.weight == 3 * LEAST, "c, asked for longest ago, is gone"
    ask("a"), ask("b")
    assert made == list("abcd") and ask("c") == "C" and made == list("abcdc")
    assert ask("large", 4 * LEAST) == "LARGE" and recent.weight == 0
    with pytest.raises(ZeroDivisionError):
        recent.get("x", lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    assert ask("x") == "X"
