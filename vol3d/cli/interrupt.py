"""A second Ctrl-C always ends the process.

The first one asks: Python raises KeyboardInterrupt, or a training ends after its step. Neither happens while a compiled
function works, which may be for minutes. The operating system's handler notes each signal in a socket all the same, and
a thread watches that: a process that a second Ctrl-C has not ended in time is ended from there. Files are whole then
too, since all are written beside their place.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from vol3d.engine.stop import echo_s
from vol3d.files import remove_own_temporaries

INTERRUPTED = 130
HINT_S = 1.5
PATIENCE_S = 3.0


def guard_interrupts() -> None:
    """From now on a second Ctrl-C ends this process within some seconds, whatever it is doing."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    try:
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    except ValueError:  # not in the main thread, the only one that may
        reader.close()
        writer.close()
        return
    writer.detach()  # it stays open as long as the process lives
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget)
    threading.Thread(target=_watch, args=(reader,), daemon=True, name="interrupts").start()


def _forget() -> None:
    """A forked child's signals are not its parent's."""
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)


def _watch(reader: socket.socket) -> None:
    count, last = 0, -math.inf
    while numbers := reader.recv(64):
        now = time.monotonic()
        if signal.SIGINT not in numbers or now - last <= echo_s():
            continue
        count, last = count + 1, now
        if count == 1:
            _later(HINT_S, _hint)
        elif count == 2:
            _later(PATIENCE_S, _end)


def _later(seconds: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()


def _hint() -> None:
    print("stopping; Ctrl-C again stops at once", file=sys.stderr, flush=True)


def _end() -> None:
    for child in multiprocessing.active_children():
        child.kill()
    remove_own_temporaries()
    os._exit(INTERRUPTED)
