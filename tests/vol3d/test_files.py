"""Files appear whole or not at all; JSON is strict; a folder has one owner."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vol3d import files
from vol3d.errors import DataError, UsageError, Vol3dError


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_atomic_writes_the_whole_file_with_its_suffixes(tmp_path: Path) -> None:
    with files.atomic(tmp_path / "scan.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz") and temporary.parent == tmp_path
        temporary.write_bytes(b"new")
    assert (tmp_path / "scan.nii.gz").read_bytes() == b"new"
    assert leftovers(tmp_path) == ["scan.nii.gz"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), files.atomic(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old" and leftovers(tmp_path) == ["a.txt"]


def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    with files.atomic(tmp_path / "a") as temporary:
        temporary.unlink()
        temporary.touch(mode=0o600)
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("name", ["ü ß 漢.json", "with space.txt", "x" * 250, "a.b.c.d.nii.gz"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    files.write_text(tmp_path / name, "x")
    assert leftovers(tmp_path) == [name]


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EROFS, "no permission"),
        (errno.EIO, "cannot"),
    ],
)
def test_faults_of_the_disk_are_told(tmp_path: Path, number: int, says: str) -> None:
    with pytest.raises(Vol3dError, match=says) as caught, files.atomic(tmp_path / "mask.nii.gz") as temporary:
        temporary.write_bytes(b"half")
        raise OSError(number, os.strerror(number))
    assert "mask.nii.gz" in str(caught.value) and leftovers(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_folder_that_cannot_be_written_or_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Vol3dError, match=r"/proc/x\.txt"):
        files.write_text("/proc/x.txt", "x")
    with pytest.raises(Vol3dError, match="no such folder"):
        files.write_text(tmp_path / "missing" / "x.txt", "x")
    (tmp_path / "taken").mkdir()
    with pytest.raises(Vol3dError, match="taken"):
        files.write_text(tmp_path / "taken", "x")
    assert leftovers(tmp_path) == ["taken"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_full_disk_in_torch_and_safetensors(tmp_path: Path) -> None:
    import resource

    import torch
    from safetensors.torch import save_file

    def write() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        tensors = {"a": torch.zeros(100_000)}
        with pytest.raises(Vol3dError, match="disk is full"), files.atomic(tmp_path / "a.safetensors") as temporary:
            save_file(tensors, temporary)
        with (
            pytest.raises(Vol3dError, match="disk is full"),
            files.atomic(tmp_path / "a.pt") as temporary,
            temporary.open("wb") as file,
        ):
            torch.save(tensors, file)

    assert in_a_child(write) == 0 and leftovers(tmp_path) == []


def in_a_child(work: object) -> int:
    """Exit status of a forked process that runs `work`."""
    pid = os.fork()
    if pid == 0:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_while_writing_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    target = tmp_path / "big.bin"
    contents = {bytes([digit]) * 300_000 for digit in range(10)}
    files.write_bytes(target, min(contents))
    for delay in range(40):
        pid = os.fork()
        if pid == 0:
            while True:
                for content in contents:
                    files.write_bytes(target, content)
        time.sleep(0.002 + 0.0005 * delay)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert target.read_bytes() in contents
    files.remove_leftovers(tmp_path)
    assert leftovers(tmp_path) == ["big.bin"]


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@settings(max_examples=40, deadline=None)
@given(NESTED)
def test_any_value_is_written_as_json_itself_writes_it(value: object) -> None:
    text = files._indented(value, "\n")
    assert json.loads(text) == json.loads(json.dumps(value))


def test_a_line_for_each_key_and_each_box(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"empty": {}, "in": {"a": [1, 2]}, "boxes": [{"x": [1.5]}, {"x": []}]})
    lines = ["{", '  "empty": {},', '  "in": {', '    "a": [1, 2]', "  },", '  "boxes": [', '    {"x": [1.5]},']
    assert (tmp_path / "a.json").read_text() == "\n".join([*lines, '    {"x": []}', "  ]", "}", ""])
    for bad in ([float("nan")], {"a": float("inf")}):
        with pytest.raises(ValueError, match="not JSON compliant"):
            files.write_json(tmp_path / "b.json", bad)


def test_json_there_and_back(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, True, "ü"], "b": {}}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    (tmp_path / "bom.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert files.read_json(tmp_path / "bom.json") == [1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not JSON"),
        (b'{"a": NaN}', "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e999]", "outside"),
        (b"[" * 200_000, "nested"),
        (b'{"a": 1,\n"b": }', r"a\.json:2"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_bad_json(tmp_path: Path, text: bytes, says: str) -> None:
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(DataError, match=says) as caught:
        files.read_json(tmp_path / "a.json")
    assert "a.json" in str(caught.value)


def test_json_too_large_or_missing(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps("x" * 100))
    with pytest.raises(DataError, match="too large"):
        files.read_json(tmp_path / "a.json", max_bytes=50)
    with pytest.raises(DataError, match="no such file"):
        files.read_json(tmp_path / "none.json")
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "nan.json", float("nan"))


def test_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "a").write_bytes(content)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_folder_is_made_with_its_parents_and_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    assert files.make_folder(tmp_path / "a" / "b").is_dir() and files.make_folder(str(tmp_path / "a")).is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(Vol3dError, match=r"file: cannot make the folder; got File exists\. Choose another one\."):
        files.make_folder(tmp_path / "file")
    with pytest.raises(Vol3dError, match=r"cannot make the folder; .*\. Set paste\.cache\."):
        files.make_folder(tmp_path / "file" / "below", do="Set paste.cache.")


def test_plain_values_are_json(tmp_path: Path) -> None:
    value = {"a": (1, 2.5, math.nan), 3: {"b": [math.inf, None, True, "text"]}, "path": Path("scan.nrrd")}
    assert files.plain(value) == {"a": [1, 2.5, None], "3": {"b": [None, None, True, "text"]}, "path": "scan.nrrd"}
    files.write_json(tmp_path / "a.json", files.plain(value))


def test_a_regular_file_is_required_before_anything_opens_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert files.require_file(str(tmp_path / "file")) == tmp_path / "file"
    with pytest.raises(DataError, match="missing: no such file"):
        files.require_file(tmp_path / "missing")
    with pytest.raises(Vol3dError, match=r"cannot read the file \(embedded null"):
        files.require_file("a\0b")
    with pytest.raises(DataError, match=r"cannot read the file \(File name too long\)"):
        files.require_file(tmp_path / ("x" * 300))
    with pytest.raises(UsageError, match="a folder, not a file"):
        files.require_file(tmp_path, UsageError)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_a_socket_and_a_device_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(DataError, match="a named pipe, not a file"):
        files.read_json(tmp_path / "pipe.json")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        with pytest.raises(DataError, match="a socket, not a file"):
            files.require_file(tmp_path / "s")
    with pytest.raises(DataError, match="a device, not a file"):
        files.require_file("/dev/zero")


def test_names_that_are_no_utf_8_are_written(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"name": "b\udcff\u2028.nii"})
    assert files.read_json(tmp_path / "a.json") == {"name": "b\udcff\u2028.nii"}
    files.write_text(tmp_path / "a.csv", "b\udcff")
    assert (tmp_path / "a.csv").read_bytes() == b"b\xff"


def test_a_process_that_ends_at_once_removes_what_it_was_writing(tmp_path: Path) -> None:
    with files.atomic(tmp_path / "a"):
        files.remove_own_temporaries()
        assert leftovers(tmp_path) == []
        next(iter(files._open)).touch()
    assert leftovers(tmp_path) == ["a"] and not files._open


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ('{"a": 1, "a": 1}', '{"b": {"a.ply": [], "b": [], "a.ply": [1]}}', '[{"a": {"a": 1, "a": 2}}]'):
        path.write_text(text)
        with pytest.raises(DataError, match=r"a\.json: not JSON: the key 'a(\.ply)?' is there twice"):
            files.read_json(path)
    path.write_text('[{"a": 1}, {"a": {"a": 2}}]')
    assert files.read_json(path) == [{"a": 1}, {"a": {"a": 2}}]
    path.write_text('{"a": 1, "a": 2}')
    assert files.read_json(path, pairs_hook=list) == [("a", 1), ("a", 2)]


def test_a_whole_number_that_no_float_holds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(f'{{"share": {"9" * 400}, "bits": {2**70}}}')
    with pytest.raises(DataError, match="outside the range of a number"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(f'{{"bits": {2**70}}}')
    assert files.read_json(tmp_path / "a.json") == {"bits": 2**70}
