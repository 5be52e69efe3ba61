"""The table of published files: consistent in itself, with the catalogue, with a real file and with the page."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vol3d
from vol3d import catalog, files
from vol3d.errors import CheckpointError, UsageError
from vol3d.released.readers import RELEASED
from vol3d.released.table import FILES, ReleasedFile, direct, identify, offered

PAGE = Path(__file__).resolve().parents[3] / "docs" / "released.md"
ACCEPT = "VOL3D_ACCEPT_RELEASED"
TABLE = re.compile(r"(?<=<!-- the table begins -->\n).*?(?=<!-- the table ends -->)", re.DOTALL)


def test_every_name_has_a_reader_and_every_reader_a_file() -> None:
    assert all(entry.recipe for entry in RELEASED.values())  # `vol3d import` takes them all
    assert {file.name for file in FILES} == set(RELEASED) == {file.name for file in offered()}


def test_one_address_at_most_for_a_name() -> None:
    names = [file.name for file in FILES if file.url]
    assert len(names) == len(set(names))
    assert len({file.file for file in FILES if file.url}) == len(names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.name}, {file.publisher}")
def test_entries(file: ReleasedFile) -> None:
    assert file.page.startswith("https://") and file.licence and file.data and file.scores
    if file.url is None:
        assert file.file == "" and not file.sha256
        return
    assert file.url.startswith("https://") and file.url.endswith(".pth")
    assert re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}|", file.sha256)
    if file.publisher == "mmdetection3d":
        assert file.file.endswith(f"-{file.sha256[:8]}.pth")


def test_the_real_file(oracle_root: Path) -> None:
    (path,) = (oracle_root / "votenet").glob("*.pth")
    (entry,) = (file for file in FILES if file.name == "votenet-sunrgbd")
    assert entry.file == path.name and entry.sha256 == files.sha256(path)
    assert entry.size_mb == round(path.stat().st_size / 1e6, 1)
    assert identify(path) is entry
    with pytest.raises(CheckpointError, match="not weights of votenet-scannet; got the published votenet-sunrgbd"):
        vol3d.load_released("votenet-scannet", path)


def test_direct() -> None:
    assert direct("centerpoint-voxel").publisher == "mmdetection3d"
    with pytest.raises(UsageError, match=r"browser from https://github\.com/WangYueFt/detr3d"):
        direct("object-dgcnn-voxel")


def test_a_known_file_is_read_as_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Released files of 1.0's boxes may note a version before it; the reader is given what the table knows."""
    given: list[object] = []
    monkeypatch.setattr(catalog, "load", lambda target: lambda name, path, settings: given.append(settings))
    (tmp_path / "a.pth").write_bytes(b"PK")
    vol3d.load_released("second-kitti", tmp_path / "a.pth", {"a": 1})
    known = ReleasedFile(
        "second-kitti", "", "", "", "", "", "x/a.pth", files.sha256(tmp_path / "a.pth"), settings={"b": 2}
    )
    monkeypatch.setattr("vol3d.released.table.FILES", (known,))
    vol3d.load_released("second-kitti", tmp_path / "a.pth")
    vol3d.load_released("second-kitti", tmp_path / "a.pth", {"b": 3})
    assert given == [{"a": 1}, {"b": 2}, {"b": 3}]


def rows() -> Iterator[str]:
    yield "| name | published by | file | SHA-256 published | licence | trained on | scores as published |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for file in offered():
        where = f"[file]({file.url})" if file.url else "by a browser, from the publisher's page"
        size = "" if file.size_mb is None else f", {file.size_mb:g} MB"
        digest = f"`{file.sha256[:8]}`" if file.sha256 else "no"
        cells = [f"`{file.name}`", f"[{file.publisher}]({file.page})", f"{where}{size}", digest]
        yield f"| {' | '.join([*cells, file.licence.split(' ')[0], file.data, file.scores])} |"


def test_the_page_has_the_table() -> None:
    """After a change, `VOL3D_ACCEPT_RELEASED=1` writes it."""
    text, wanted = PAGE.read_text("utf-8"), "\n".join(["", *rows(), "", ""])
    assert TABLE.search(text)
    if os.environ.get(ACCEPT):
        PAGE.write_text(TABLE.sub(lambda _: wanted, text), "utf-8")
        return
    assert TABLE.findall(text) == [wanted], f"run this test with {ACCEPT}=1"
