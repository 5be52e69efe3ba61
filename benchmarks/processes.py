"""Processes that are measured: workers that do by turns what a line names, and commands with what they used."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

Worker = subprocess.Popen[str]
GIB = 1 << 30


def start_worker(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Worker:
    """A process that answers each line, the name of a piece of work, with a line of JSON."""
    pipe = subprocess.PIPE
    return subprocess.Popen(list(command), stdin=pipe, stdout=pipe, text=True, env=dict(environment), cwd=folder)


def ask(worker: Worker, work: str) -> Any:
    """The answer of a worker once it has done a piece of work. Raises SystemExit if it has ended."""
    if worker.stdin is None or worker.stdout is None:
        raise SystemExit("a worker without pipes")
    print(work, file=worker.stdin, flush=True)
    if not (line := worker.stdout.readline()):
        raise SystemExit(f"a worker ended while it did: {work}")
    return json.loads(line)


class Used(NamedTuple):
    """What a command printed, the seconds of its processors and its largest memory."""

    printed: str
    cpu_s: float
    peak_gib: float


def run_measured(
    command: Sequence[str],
    what: str,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    stdin: IO[bytes] | None = None,
) -> Used:
    """A command in a process of its own. Raises SystemExit, which names `what`, if it fails."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(list(command), stdin=stdin, stdout=output, env=environment, cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
        output.seek(0)
        printed = output.read().decode()
    if status:
        raise SystemExit(f"{what}: exit status {status}: {printed[-2000:]}")
    return Used(printed, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / GIB)
