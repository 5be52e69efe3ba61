"""Decoders that a damaged file can bring down, in a process of their own: its end is an error of that one file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError, UsageError, Vol3dError

Decoded = tuple[dict[str, np.ndarray], dict[str, Any]]
"""Arrays by name, and facts that JSON can hold."""
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from vol3d.scans.child import main; main()"
_KINDS: dict[str, type[Vol3dError]] = {kind.__name__: kind for kind in (DataError, UsageError, Vol3dError)}
_LIBRARIES = 2 << 30  # bytes of address space that the interpreter and the decoders' libraries map


def decode_in_child(decoder: Callable[[Path], Decoded], path: Path, *, memory: int, seconds: float = 600) -> Decoded:
    """What `decoder(path)` returns, computed by another process, so that neither a crash nor a hang is this one's.

    It takes a few tenths of a second: for formats whose decoder is known to abort on damaged input, or to take what
    memory a header asks for. Check first what can be checked without it.

    Args:
        decoder: a function at the top of a module.
        memory: bytes that the decoder may take.
        seconds: after which it is stopped.

    Raises:
        DataError: the decoder died, took too long or needed more memory; and what it raised itself.
    """
    with tempfile.TemporaryDirectory(prefix="vol3d-") as folder:
        task = {"decoder": [decoder.__module__, decoder.__qualname__], "path": str(path), "out": folder}
        command = [sys.executable, "-c", _START, json.dumps(sys.path), json.dumps(task | {"memory": memory})]
        try:
            quiet = subprocess.DEVNULL
            ended = subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=seconds, check=False)
        except subprocess.TimeoutExpired as fault:
            raise DataError(
                "the decoder hangs on this file", where=path, got=f"over {seconds:g} s", do=_COPY
            ) from fault
        return _answer(Path(folder), path, ended.returncode)


_COPY = "It is damaged; copy or export it again."


def _answer(folder: Path, path: Path, status: int) -> Decoded:
    answer = folder / "answer.json"
    if not answer.exists():
        how = f"signal {-status}" if status < 0 else f"status {status}"
        raise DataError("the decoder broke down on this file", where=path, got=how, do=_COPY)
    said = json.loads(answer.read_text("utf-8"))
    if "kind" in said:
        raise _KINDS[said["kind"]](said["what"], where=path, got=said["got"], wanted=said["wanted"], do=said["do"])
    return {name: np.load(folder / f"{number}.npy") for number, name in enumerate(said["arrays"])}, said["facts"]


def main() -> None:
    """The child: runs the decoder that the command line names, and leaves its answer in the folder."""
    import importlib

    task = json.loads(sys.argv[2])
    _limit_memory(task["memory"])
    sys.modules["requests"] = None  # type: ignore[assignment]  # a quarter of laspy's start, and no file needs it
    module, function = task["decoder"]
    decoder, path, folder = getattr(importlib.import_module(module), function), Path(task["path"]), Path(task["out"])
    try:
        arrays, facts = decoder(path)
        for number, array in enumerate(arrays.values()):
            np.save(folder / f"{number}.npy", array, allow_pickle=False)
        said: dict[str, Any] = {"arrays": list(arrays), "facts": facts}
    except Vol3dError as error:
        kind = type(error).__name__ if type(error).__name__ in _KINDS else "DataError"
        parts = {
            name: None if (part := getattr(error, name)) is None else str(part) for name in ("got", "wanted", "do")
        }
        said = {"kind": kind, "what": error.what, **parts}
    except MemoryError:
        got = f"more than {task['memory'] / 2**20:.0f} MiB"
        said = {"kind": "DataError", "what": "the file unpacks to too much", "got": got, "wanted": None, "do": _COPY}
    except Exception as fault:
        got = str(fault).strip()[:200]
        said = {"kind": "DataError", "what": "a damaged or cut file", "got": got, "wanted": None, "do": _COPY}
    answer = folder / "answer.tmp"
    answer.write_text(json.dumps(said), "utf-8")
    answer.replace(folder / "answer.json")


def _limit_memory(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    wanted, hard = memory + _LIBRARIES, resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # its death is expected and leaves nothing behind
    os.environ.setdefault("OMP_NUM_THREADS", "1")
