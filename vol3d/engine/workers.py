"""A data-loader worker: it leaves Ctrl-C to its parent, and a batch that it cannot hand over never becomes a wait.

Tensors go to the parent through shared memory, of which a container has 64 MB unless it was given more. Where a tensor
does not fit, it goes through a file in the folder for temporary ones. Whatever else keeps a batch from being sent would
only be printed by Python, and the parent would wait for it; here it ends the worker, which the parent notices.
"""

from __future__ import annotations

import multiprocessing.queues
import os
import tempfile
from multiprocessing.reduction import DupFd, ForkingPickler
from typing import Any, NoReturn

import torch
from torch.multiprocessing.reductions import rebuild_storage_fd, reduce_storage

from vol3d.engine.stop import ignore_in_worker
from vol3d.notes import Note
from vol3d.terminal import say

_number = 0
_noted = False


def prepare_worker(number: int) -> None:
    """What a worker process does first."""
    global _number
    _number = number
    ignore_in_worker(number)
    ForkingPickler.register(torch.UntypedStorage, send)
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(_give_up)  # type: ignore[attr-defined]


def send(storage: torch.UntypedStorage) -> tuple[Any, ...]:
    """How a tensor's memory is pickled: as a handle of shared memory, or of a file that has no name."""
    try:
        return reduce_storage(storage)
    except (RuntimeError, OSError) as error:
        _note(storage.nbytes(), str(error))
    with tempfile.TemporaryFile() as file:
        file.write(torch.empty(0, dtype=torch.uint8).set_(storage).numpy().data)  # type: ignore[call-overload]
        file.flush()
        return rebuild_storage_fd, (type(storage), DupFd(file.fileno()), storage.nbytes())


def _note(size: int, why: str) -> None:
    """Once in a run is enough."""
    global _noted
    if not _noted and _number == 0:
        template = (
            "{megabytes:.0f} MB of a batch do not fit into shared memory ({value}) and go through a temporary file; "
            "a larger /dev/shm (docker run --shm-size=2g) or train.workers=0 avoids it"
        )
        say(f"note: {Note('shared-memory', template, value=why.splitlines()[0], numbers={'megabytes': size / 1e6})}")
    _noted = True


def _give_up(error: BaseException, batch: object) -> NoReturn:
    say(f"error: a data-loader worker cannot hand over a batch ({type(error).__name__}: {error})")
    os._exit(1)
