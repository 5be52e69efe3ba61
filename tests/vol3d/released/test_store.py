"""A name becomes a verified file in the cache, or one error; nothing is downloaded that nobody agreed to."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.vol3d.released.server import Files, serving
from vol3d.errors import CheckpointError, DataError, UsageError
from vol3d.released import store
from vol3d.released.store import Offer, fetch
from vol3d.released.table import direct

HASHED, UNHASHED = "pointpillars-kitti", "3detr-scannet"


def content_for(start: str) -> bytes:
    """Some bytes whose SHA-256 begins with these two letters."""
    number = 0
    while not hashlib.sha256(content := b"PK%d" % number).hexdigest().startswith(start):
        number += 1
    return content


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What stands for the published file of `HASHED`, of whose hash two letters are published here."""
    table = store.direct

    def short(name: str) -> object:
        from dataclasses import replace

        file = table(name)
        return replace(file, sha256=file.sha256[:2])

    monkeypatch.setattr(store, "direct", short)
    return content_for(direct(HASHED).sha256[:2])


def serve(files: Files, name: str, content: bytes) -> str:
    files.content[f"/{direct(name).file}"] = content
    return files.url


def yes(offer: Offer) -> bool:
    return True


def test_a_hashed_file_is_fetched_once(files: Files, cache: Path, hashed: bytes) -> None:
    mirror = serve(files, HASHED, hashed)
    path = fetch(HASHED, mirror, yes)
    assert path == cache / "released" / HASHED / direct(HASHED).file and path.read_bytes() == hashed
    assert sorted(file.name for file in path.parent.iterdir()) == [".vol3d-lock", path.name, f"{path.name}.json"]
    files.asked.clear()
    assert fetch(HASHED) == path and files.asked == []  # neither asked nor agreed to


def test_the_address_of_the_file_itself(files: Files, hashed: bytes) -> None:
    files.content["/other/name.pth"] = hashed
    assert fetch(HASHED, f"{files.url}/other/name.pth", yes).read_bytes() == hashed


@pytest.mark.parametrize("content", [b"PKwrong", b"", b"\x1f\x8bzipped", b"\n<html>Log in</html>"])
def test_what_is_not_the_published_file_is_not_kept(files: Files, cache: Path, content: bytes) -> None:
    mirror = serve(files, HASHED, content)
    with pytest.raises(CheckpointError) as refused:
        fetch(HASHED, mirror, yes)
    told = str(refused.value)
    if content.startswith(b"PK"):
        digest = hashlib.sha256(content).hexdigest()
        assert f"not the file that was published; got {digest}, wanted SHA-256 begins with 37dc2420" in told
    else:
        assert ("a web page, not a file of weights" in told) == (b"<" in content)
    assert [file.name for file in (cache / "released" / HASHED).iterdir()] == [".vol3d-lock"]


def test_without_a_published_hash_the_first_download_is_recorded(
    files: Files, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(store, "say", told.append)
    path = fetch(UNHASHED, serve(files, UNHASHED, b"PK first"), yes)
    digest = hashlib.sha256(b"PK first").hexdigest()
    record = path.with_name(f"{path.name}.json")
    assert json.loads(record.read_text()) == {"url": f"{files.url}/{path.name}", "size": 8, "sha256": digest}
    assert any("unencrypted" in line for line in told) and any(digest in line for line in told)

    path.unlink()
    with pytest.raises(CheckpointError, match=rf"not the file of the first download; .*wanted {digest}"):
        fetch(UNHASHED, serve(files, UNHASHED, b"PK other"), yes)
    assert fetch(UNHASHED, serve(files, UNHASHED, b"PK first"), yes) == path


def test_a_cached_file_that_was_changed_is_refused(files: Files, hashed: bytes) -> None:
    path = fetch(HASHED, serve(files, HASHED, hashed), yes)
    path.write_bytes(hashed + b"x")
    with pytest.raises(CheckpointError, match="Delete it, and it is fetched again"):
        fetch(HASHED)


def test_nobody_agreed(files: Files, cache: Path) -> None:
    mirror, name = serve(files, UNHASHED, b"PK"), direct(UNHASHED).file
    with pytest.raises(UsageError, match=rf"nobody agreed .*{name} \(Apache-2.0.*trained on ScanNet.*--yes"):
        fetch(UNHASHED, mirror)
    assert files.asked == []
    offers: list[Offer] = []

    def no(offer: Offer) -> bool:
        offers.append(offer)
        return False

    with pytest.raises(UsageError, match="nobody agreed"):
        fetch(UNHASHED, mirror, no)
    assert [method for method, *_ in files.asked] == ["HEAD"] and not list(cache.rglob("*.pth*"))
    told = "\n".join(offers[0].lines())
    assert all(word in told for word in (mirror, "Apache-2.0", "ScanNet", "AP25 62.1", "0.0 MB", "none published"))


def test_offline(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashed: bytes) -> None:
    mirror = serve(files, HASHED, hashed)
    monkeypatch.setenv("VOL3D_OFFLINE", "1")
    with pytest.raises(UsageError, match=r"VOL3D_OFFLINE: .*downloads are switched off"):
        fetch(HASHED, mirror, yes)
    assert files.asked == []
    (tmp_path / direct(HASHED).file).write_bytes(hashed)
    assert fetch(HASHED, tmp_path).parent == tmp_path  # a folder is no download
    monkeypatch.setenv("VOL3D_OFFLINE", "0")
    path = fetch(HASHED, mirror, yes)
    monkeypatch.setenv("VOL3D_OFFLINE", "1")
    assert fetch(HASHED) == path


def test_a_folder_as_mirror(tmp_path: Path, cache: Path, hashed: bytes) -> None:
    with pytest.raises(UsageError, match="none: no such folder"):
        fetch(HASHED, tmp_path / "none")
    with pytest.raises(UsageError, match=f"does not hold the file; wanted {direct(HASHED).file}"):
        fetch(HASHED, tmp_path)
    (tmp_path / direct(HASHED).file).write_bytes(b"PK wrong")
    with pytest.raises(CheckpointError, match="not the file that was published"):
        fetch(HASHED, tmp_path)
    (tmp_path / direct(HASHED).file).write_bytes(hashed)
    assert fetch(HASHED, str(tmp_path)) == tmp_path / direct(HASHED).file
    assert not cache.exists()


def test_a_cut_download_goes_on_by_the_same_call(files: Files, cache: Path) -> None:
    content = b"PK" + os.urandom(200_000)
    mirror = serve(files, UNHASHED, content)
    files.cuts = [100_000, 0, 0]
    with pytest.raises(DataError, match="the download was cut"):
        fetch(UNHASHED, mirror, yes)
    assert {file.suffix for file in cache.rglob("*.*")} >= {".part"} and not list(cache.rglob("*.pth"))
    assert fetch(UNHASHED, mirror, yes).read_bytes() == content
    assert files.asked[-1][2] == "bytes=100000-"


def test_two_at_once_download_once(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"PK" + os.urandom(100_000)
    mirror, found, told = serve(files, UNHASHED, content), [], list[str]()
    monkeypatch.setattr(store, "WAIT_S", 0.02)
    monkeypatch.setattr(store, "say", told.append)
    files.silence_s = 0.3
    threads = [threading.Thread(target=lambda: found.append(fetch(UNHASHED, mirror, yes))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 3 and found[0].read_bytes() == content
    assert [method for method, *_ in files.asked] == ["HEAD", "GET"]
    assert len([line for line in told if "another process downloads" in line]) == 2


def test_two_processes(files: Files, cache: Path) -> None:
    content = b"PK" + os.urandom(100_000)
    mirror = serve(files, UNHASHED, content)
    files.silence_s = 1.0
    code = f"from vol3d.released.store import fetch; fetch({UNHASHED!r}, {mirror!r}, lambda offer: True)"
    both = [subprocess.Popen([sys.executable, "-c", code], env={**os.environ}) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    assert [method for method, *_ in files.asked] == ["HEAD", "GET"]
    assert fetch(UNHASHED).read_bytes() == content


def test_weights_that_only_a_browser_gets(files: Files) -> None:
    with pytest.raises(
        UsageError, match=r"no address that a program can fetch.*detr3d.*import object-dgcnn-pillar FILE"
    ):
        fetch("object-dgcnn-pillar", files.url, yes)
    with pytest.raises(UsageError, match="Did you mean '3detr-scannet'"):
        fetch("3detr-scanet")


def test_a_cache_that_cannot_be_made(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VOL3D_CACHE", str(tmp_path / "file"))
    with pytest.raises(Exception, match=r"cannot make the folder.*Set VOL3D_CACHE"):
        fetch(UNHASHED, serve(files, UNHASHED, b"PK"), yes)


def test_no_network() -> None:
    with serving(Files()) as gone:
        mirror = gone.url
    with pytest.raises(DataError, match="cannot reach the server"):
        fetch(UNHASHED, mirror, yes)
