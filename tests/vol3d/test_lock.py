"""One process works in a folder at a time."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import IO

import pytest

from tests.vol3d.test_files import in_a_child
from vol3d import lock as lock_module
from vol3d.errors import Vol3dError
from vol3d.lock import FolderBusyError, lock


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    with lock(tmp_path):
        with pytest.raises(Vol3dError, match="another run"), lock(tmp_path):
            pass
        if hasattr(os, "fork"):
            assert in_a_child(lambda: _expect_busy(tmp_path)) == 0
    with lock(tmp_path):
        pass
    with pytest.raises(Vol3dError, match="missing"), lock(tmp_path / "missing"):
        pass


def test_one_of_many_threads_gets_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = lock_module._claim

    def slowly(file: IO[bytes]) -> None:
        time.sleep(0.05)  # all others look meanwhile
        claim(file)

    monkeypatch.setattr(lock_module, "_claim", slowly)
    inside, busy, done = list[int](), list[int](), threading.Event()

    def work(number: int) -> None:
        try:
            with lock(tmp_path):
                inside.append(number)
                done.wait(5)
        except FolderBusyError:
            busy.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while len(inside) + len(busy) < 4:
        time.sleep(0.01)
    done.set()
    for thread in threads:
        thread.join()
    assert len(inside) == 1 and len(busy) == 3
    with lock(tmp_path):
        pass


def _expect_busy(folder: Path) -> None:
    lock_module._held.clear()  # a process of its own would have none
    with pytest.raises(Vol3dError, match="another run"), lock(folder):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_owner_frees_the_folder_though_its_children_live(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with lock(tmp_path):
            child = os.fork()
            if child == 0:
                time.sleep(30)
                os._exit(0)
            os.write(writing, str(child).encode())
            time.sleep(30)
    child = int(os.read(reading, 20))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        with lock(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
