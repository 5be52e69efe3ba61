"""Readers over mutants of small valid files, in a process of their own: a crash, a hang or a bomb is a finding.

A module of this folder registers its readers as `READERS`, name -> (reader, maker). The name is the file's, suffix
included (`volume.nii.gz`); the maker writes a valid small file, or a folder, at the path that it is given, and files
beside it if the format needs them. Each mutant changes one of the files that the maker wrote.
"""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.fuzz.mutants import mutant

Reader = tuple[Callable[[Path], object], Callable[[Path], None]]
MEMORY = 2 << 30  # bytes that a reader may take for a file of some kB
SECONDS = 10.0  # for one mutant
SETUP_SECONDS = 300.0  # for imports and the valid file
READ, REFUSED = "read", "refused"


def readers() -> dict[str, Reader]:
    """What the modules of this folder register, by name."""
    import tests.fuzz

    found: dict[str, Reader] = {}
    for module in pkgutil.iter_modules(tests.fuzz.__path__):
        if module.name.startswith("test_"):
            continue
        here: dict[str, Reader] = getattr(importlib.import_module(f"tests.fuzz.{module.name}"), "READERS", {})
        if double := here.keys() & found.keys():
            raise AssertionError(f"two readers named {sorted(double)}")
        found |= here
    return found


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant.

    Args:
        what: `READ`, `REFUSED` (a Vol3dError), or what went wrong.
    """

    reader: str
    index: int
    what: str

    @property
    def good(self) -> bool:
        return self.what in (READ, REFUSED)


class Runner:
    """One process that reads mutants; started again when it dies.

    Args:
        seed: of all mutants.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._process: Any = None
        self._pipe: Connection

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def outcomes(self, reader: str, mutants: range) -> Iterator[Outcome]:
        """One for each mutant, in order. Raises AssertionError if the valid file itself is refused."""
        for index in mutants:
            yield Outcome(reader, index, self._ask(reader, index))

    def _ask(self, reader: str, index: int) -> str:
        if self._process is None:
            self._start()
        self._pipe.send((reader, index))
        try:
            for seconds in (SETUP_SECONDS, SECONDS):  # first the valid file is read, then the mutant
                if not self._pipe.poll(seconds):
                    self._stop()
                    return f"hangs: over {seconds:g} s"
                answer: str = self._pipe.recv()
                if seconds == SETUP_SECONDS and answer:
                    raise AssertionError(f"{reader}: the valid file is not read: {answer}")
        except (EOFError, ConnectionError):
            self._process.join()
            status = self._process.exitcode
            self._stop()
            return f"the process ended with status {status}"
        return answer

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.seed), daemon=False)
        self._process.start()
        theirs.close()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def write_mutant(folder: Path, name: str, seed: int, index: int) -> Path:
    """The valid file in an empty folder, with one of its files changed; returns the path to read."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = folder / name
    readers()[name][1](path)
    files = sorted(part for part in folder.rglob("*") if part.is_file())
    chosen = path if path.is_file() and index % 4 else files[index // 4 % len(files)]
    chosen.write_bytes(mutant(chosen.read_bytes(), seed, index))
    return path


def _serve(pipe: Connection, seed: int) -> None:
    """The child: answers "" once the valid file is read, then what became of the mutant."""
    known = ""
    with tempfile.TemporaryDirectory(prefix="vol3d-fuzz-") as folder:
        while True:
            name, index = pipe.recv()
            reader, maker = readers()[name]
            if name != known:
                pipe.send(_first(reader, maker, Path(folder) / "valid" / name))
                known = name
            else:
                pipe.send("")
            pipe.send(outcome_of(reader, write_mutant(Path(folder) / "mutant", name, seed, index)))


def _first(reader: Callable[[Path], object], maker: Callable[[Path], None], path: Path) -> str:
    _limit_memory(None)
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    maker(path)
    what = outcome_of(reader, path)
    _limit_memory(MEMORY)
    return "" if what == READ else what


def outcome_of(reader: Callable[[Path], object], path: Path) -> str:
    """`READ`, `REFUSED`, or what went wrong; more than `MEMORY` taken is wrong too."""
    from vol3d.errors import Vol3dError

    before = _peak(reset=True)
    try:
        reader(path)
        what = READ
    except Vol3dError as refusal:
        what = REFUSED if str(refusal).strip() else "a refusal without a message"
    except BaseException as fault:
        what = f"{type(fault).__name__}: {str(fault)[:200]}"
    took = _peak() - before
    return what if took <= MEMORY else f"{what}, with {took / 2**20:.0f} MiB"


def _limit_memory(more: int | None) -> None:
    """Let this process take so many bytes beyond what it has mapped; None for no limit."""
    if sys.platform != "linux":
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (hard if more is None else mapped + more, hard))


def _peak(reset: bool = False) -> int:
    """The most bytes of main memory that this process has had, since the last reset."""
    if sys.platform != "linux":
        return 0
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
