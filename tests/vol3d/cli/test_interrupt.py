"""Ctrl-C twice always ends a command, and leaves no half file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vol3d.cli import interrupt

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
BUSY = """
import hashlib, sys, time
from vol3d import files
from vol3d.cli import interrupt
interrupt.PATIENCE_S = interrupt.HINT_S = 0.1
interrupt.guard_interrupts()
with files.atomic(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("up", flush=True)
    {work}
"""


@pytest.mark.parametrize(
    ("work", "first_ends"),
    [("hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)", False), ("time.sleep(30)", True)],
)
def test_a_second_ctrl_c_ends_what_python_cannot_interrupt(work: str, first_ends: bool, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUSY.format(work=work), str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        time.sleep(1)  # the work has begun
        process.send_signal(signal.SIGINT)
        if not first_ends:
            time.sleep(0.5)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
    assert process.returncode == (-signal.SIGINT if first_ends else 130)
    assert ("Ctrl-C again" in said) != first_ends
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_does_not_count_for_its_parent() -> None:
    interrupt._forget()
    assert signal.set_wakeup_fd(-1) == -1
