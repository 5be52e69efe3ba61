"""A download ends with the server's bytes or with one error, whatever the server does; what has come is kept."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.vol3d.released.server import Files, serving
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.released import download as module
from vol3d.released.download import download, look, require_address

CONTENT = b"PK" + random.Random(0).randbytes(300_000)  # incompressible, and the same in every process


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "a.pth.part"


def ranges(files: Files) -> list[str]:
    return [asked for method, _, asked in files.asked if method == "GET"]


def begin(files: Files, part: Path, length: int = 100_000, is_hashed: bool = True) -> str:
    """A download that was cut for good after `length` bytes; its address."""
    files.content["/a.pth"], url = CONTENT, f"{files.url}/a.pth"
    files.cuts = [length, 0, 0]
    with pytest.raises(DataError, match=rf"the download was cut; got {length / 1e6:.1f} MB .*goes on from there"):
        download(url, part, is_hashed)
    assert part.read_bytes() == CONTENT[:length]
    files.asked.clear()
    return url


def test_a_whole_file(files: Files, part: Path) -> None:
    files.content["/a.pth"] = CONTENT
    seen: list[tuple[int, int, str]] = []
    download(f"{files.url}/a.pth", part, False, lambda *told: seen.append(told))
    assert part.read_bytes() == CONTENT and ranges(files) == [""]
    assert seen[-1] == (0, 1, "a.pth")  # megabytes


@pytest.mark.parametrize("is_hashed", [True, False])
def test_a_cut_is_mended_within_one_call(files: Files, part: Path, is_hashed: bool) -> None:
    files.content["/a.pth"], files.cuts = CONTENT, [100_000, 50_000, 0]
    download(f"{files.url}/a.pth", part, is_hashed)
    assert part.read_bytes() == CONTENT
    assert ranges(files) == ["", "bytes=100000-", "bytes=150000-", "bytes=150000-"]


def test_a_later_call_goes_on(files: Files, part: Path) -> None:
    url = begin(files, part)
    download(url, part, is_hashed=False)
    assert part.read_bytes() == CONTENT and ranges(files) == ["bytes=100000-"]
    files.asked.clear()
    download(url, part, is_hashed=False)  # the whole was there: a process that was killed before it took the file
    assert ranges(files) == []


def test_a_server_that_ignores_ranges_starts_anew(files: Files, part: Path) -> None:
    url = begin(files, part)
    files.knows_ranges = False
    download(url, part, is_hashed=True)
    assert part.read_bytes() == CONTENT and ranges(files) == ["bytes=100000-"]


@pytest.mark.parametrize(
    "other",
    [CONTENT[::-1], CONTENT[:150_000], CONTENT[:100_000], CONTENT[:7], CONTENT * 2],
    ids=["reversed", "half", "as long as the part", "short", "twice"],
)
def test_two_files_are_never_joined(files: Files, part: Path, other: bytes) -> None:
    url = begin(files, part)
    files.content["/a.pth"] = other
    download(url, part, is_hashed=True)
    assert part.read_bytes() == other


@pytest.mark.parametrize("other", [CONTENT[::-1][:200_000], CONTENT * 2])
def test_nor_where_the_server_heeds_no_condition(files: Files, part: Path, other: bytes) -> None:
    files.version = ""  # a part is sent whatever has changed: only the size tells
    url = begin(files, part)
    files.content["/a.pth"] = other
    download(url, part, is_hashed=True)
    assert part.read_bytes() == other and ranges(files) == ["bytes=100000-", ""]


def test_without_a_version_and_a_hash_nothing_is_resumed(files: Files, part: Path) -> None:
    files.version, files.content["/a.pth"], url = 'W/"weak"', CONTENT, f"{files.url}/a.pth"
    files.cuts = [1000, 500, 500, 500]
    with pytest.raises(DataError, match=r"the download was cut; .*cannot go on from there"):
        download(url, part, is_hashed=False)
    assert set(ranges(files)) == {""}
    files.cuts.clear()
    files.asked.clear()
    download(url, part, is_hashed=False)
    assert part.read_bytes() == CONTENT and ranges(files) == [""]


def test_a_part_of_another_address_or_without_notes_is_not_resumed(files: Files, part: Path) -> None:
    begin(files, part)
    files.content["/b.pth"] = CONTENT[::-1]
    download(f"{files.url}/b.pth", part, is_hashed=True)
    assert part.read_bytes() == CONTENT[::-1] and ranges(files) == [""]
    part.write_bytes(b"PK1234")
    part.with_name("a.pth.part.json").write_text("[")
    download(f"{files.url}/a.pth", part, is_hashed=True)
    assert part.read_bytes() == CONTENT


def test_a_file_of_unknown_size_needs_a_hash(files: Files, part: Path) -> None:
    files.content["/a.pth"], files.states_size = CONTENT, False
    assert look(f"{files.url}/a.pth").size is None
    with pytest.raises(DataError, match="does not state the file's size"):
        download(f"{files.url}/a.pth", part, is_hashed=False)
    download(f"{files.url}/a.pth", part, is_hashed=True)
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, "a.pth: the server has no such file; got 404.*--from"),
        (403, "the server refuses; got 403 Forbidden.*--from"),
        (503, "the server refuses; got 503 .*Try again later"),
    ],
)
def test_refusals(files: Files, part: Path, status: int, message: str) -> None:
    files.content["/a.pth"], files.status = CONTENT, status
    for ask in (lambda url: look(url), lambda url: download(url, part, True)):
        with pytest.raises(DataError, match=message):
            ask(f"{files.url}/a.pth")
    assert not part.exists()


def test_a_web_page_is_refused_before_it_is_written(files: Files, part: Path) -> None:
    files.content["/a.pth"], files.kind = b"<html>Log in</html>", "text/html; charset=utf-8"
    for ask in (lambda url: look(url), lambda url: download(url, part, True)):
        with pytest.raises(DataError, match="a web page, no file; got text/html"):
            ask(f"{files.url}/a.pth")
    assert not part.exists()


def test_silence(files: Files, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = begin(files, part)
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    files.silence_s = 1.0
    with pytest.raises(DataError, match="cannot reach the server; got no answer within 0 s"):
        download(url, part, is_hashed=True)
    assert part.read_bytes() == CONTENT[:100_000]


def test_no_network(part: Path) -> None:
    with serving(Files()) as gone:
        url = f"{gone.url}/a.pth"
    for ask in (lambda: look(url), lambda: download(url, part, True)):
        with pytest.raises(DataError, match=r"cannot reach the server; got .*refused.*Check the network"):
            ask()


def test_a_server_without_head_is_asked_for_the_file(files: Files) -> None:
    files.content["/a.pth"], files.knows_head = CONTENT, False
    assert look(f"{files.url}/a.pth").size is None
    files.knows_head = True
    assert look(f"{files.url}/a.pth").size == len(CONTENT)


def test_a_redirect_to_another_host_keeps_method_and_range(files: Files, part: Path) -> None:
    with serving(Files(content={"/b.pth": CONTENT})) as other:
        files.redirects["/a.pth"] = f"{other.url}/b.pth".replace("127.0.0.1", "localhost")
        assert look(f"{files.url}/a.pth").size == len(CONTENT)
        assert [method for method, *_ in other.asked] == ["HEAD"]
        other.cuts, other.asked = [1000], []
        download(f"{files.url}/a.pth", part, is_hashed=False)
        assert ranges(other) == ["", "bytes=1000-"]
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/a.pth"])
def test_a_redirect_out_of_the_web_is_refused(files: Files, part: Path, target: str) -> None:
    files.redirects["/a.pth"] = target
    with pytest.raises(DataError, match=r"(unsafe address; got ftp://|'file:.*' is not allowed)"):
        download(f"{files.url}/a.pth", part, is_hashed=True)


def test_a_redirect_to_an_unencrypted_address_is_refused() -> None:
    from urllib.request import Request

    with pytest.raises(DataError, match=r"redirected to an unsafe address; got http://a\.example, wanted .*https"):
        module._Redirects().redirect_request(Request("https://a.example/a"), None, 302, "", {}, "http://a.example/a")  # type: ignore[arg-type]


def test_a_redirect_loop(files: Files, part: Path) -> None:
    files.redirects["/a.pth"] = "/a.pth"
    with pytest.raises(DataError, match="the server refuses; got 302"):
        download(f"{files.url}/a.pth", part, is_hashed=True)


def test_too_little_room_is_found_before_the_first_byte(
    files: Files, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.content["/a.pth"] = CONTENT
    usage = shutil.disk_usage(part.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(Vol3dError, match=r"too little room on the disk.*VOL3D_CACHE"):
        download(f"{files.url}/a.pth", part, is_hashed=True)
    assert not part.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_disk_that_fills_up(files: Files, part: Path) -> None:
    files.content["/a.pth"] = CONTENT
    part.symlink_to("/dev/full")
    with pytest.raises(Vol3dError, match=r"cannot write the file \(No space left on device\).*is kept"):
        download(f"{files.url}/a.pth", part, is_hashed=True)


def test_what_came_before_ctrl_c_is_kept(files: Files, part: Path) -> None:
    files.content["/a.pth"] = CONTENT

    def stop(done: int, total: int, name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{files.url}/a.pth", part, False, stop)
    length = part.stat().st_size
    assert 0 < length < len(CONTENT)
    download(f"{files.url}/a.pth", part, is_hashed=False)
    assert part.read_bytes() == CONTENT and ranges(files) == ["", f"bytes={length}-"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://a.example/x", "not an address that can be fetched; got ftp://a.example/x, wanted https"),
        ("https:///x", "not an address that can be fetched"),
        ("http://[x", "not an address"),
    ],
)
def test_addresses_that_are_none(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        require_address(url)


def test_a_password_in_an_address_is_not_printed() -> None:
    with pytest.raises(UsageError, match="user name or password") as refused:
        require_address("https://me:secret@a.example/x")
    assert "secret" not in str(refused.value)
