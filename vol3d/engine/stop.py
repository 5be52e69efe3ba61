"""Asking a run to stop: signals set a flag, the loop saves at the end of the next step and ends."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType, TracebackType
from typing import Any

from vol3d.errors import Vol3dError

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGINT") if hasattr(signal, name)]


def echo_s() -> float:
    """Seconds within which a repeated Ctrl-C is the same one.

    torchrun and srun pass it on to their processes, which the terminal has reached already.
    """
    return 1.0 if {"WORLD_SIZE", "SLURM_STEP_NUM_TASKS"} & set(os.environ) else 0.1


class Stopped(Vol3dError):
    """The run was asked to stop and has saved: no fault. Exit status 0 after a scheduler's signal, 130 after Ctrl-C."""

    def __init__(self, what: str, *, exit_code: int = 0, do: str | None = None) -> None:
        super().__init__(what, do=do)
        self.exit_code = exit_code


class StopRequest:
    """While entered, SIGTERM, SIGUSR1 and a first Ctrl-C only set `asked`; a second Ctrl-C quits at once."""

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        try:
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        except ValueError:  # not in the main thread, the only one that may handle signals
            self._before.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """The exit status of the process."""
        return 130 if self.asked == signal.SIGINT else 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGINT and self.asked == signal.SIGINT and now - self._since > echo_s():
            raise KeyboardInterrupt
        if self.asked is None:
            self.asked, self._since = signal.Signals(number), now


def ignore_in_worker(worker: int) -> None:
    """For data-loader workers: they end with their parent, not with the terminal's Ctrl-C."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
