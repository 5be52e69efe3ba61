"""A logger that never stops a run: what it cannot take now waits, and is sent when it can."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping

from vol3d.engine.loggers.logger import Logger, State
from vol3d.engine.task import Evaluation

FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 900.0
Call = Callable[[Logger], None]


class Guarded:
    """Opens a logger and passes calls on in their order. After a fault it tries again, at ever longer intervals.

    Args:
        name: of the logger, as the setting has it.
        opener: may raise, as all methods of the logger may.
        say: prints one line; the first fault is one, and so is what never arrived.
    """

    def __init__(self, name: str, opener: Callable[[], Logger], say: Callable[[str], None]) -> None:
        self.name, self.opener, self.say = name, opener, say
        self.logger: Logger | None = None
        self.waiting: deque[Call] = deque()
        self.pause_s, self.next_at, self.is_reported = FIRST_PAUSE_S, -math.inf, False
        self._work()

    def scalars(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """The numbers of a step."""
        self._do(lambda logger: logger.scalars(step, epoch, values))

    def ended(self, step: int, evaluation: Evaluation) -> None:
        """The final scores."""
        self._do(lambda logger: logger.ended(step, evaluation))

    def close(self, state: State) -> None:
        """Tries once more to send what waits, and closes."""
        self.next_at = -math.inf
        self._do(lambda logger: logger.close(state))
        if self.waiting:
            left = len(self.waiting) - 1  # the last one closes
            self.say(f"note: the logger {self.name} lacks the last {left} entries; metrics.csv has all numbers")

    def _do(self, call: Call) -> None:
        self.waiting.append(call)
        self._work()

    def _work(self) -> None:
        if time.monotonic() < self.next_at:
            return
        try:
            self.logger = self.logger or self.opener()
            while self.waiting:
                self.waiting[0](self.logger)
                self.waiting.popleft()
            self.pause_s = FIRST_PAUSE_S
        except Exception as error:  # of a foreign package, which may raise anything
            self._report(error)
            self.next_at = time.monotonic() + self.pause_s
            self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)

    def _report(self, error: Exception) -> None:
        if not self.is_reported:
            first = next(iter(str(error).strip().splitlines()), "")
            reason = f"{type(error).__name__}: {first[:200]}"
            self.say(f"note: the logger {self.name} failed ({reason}); training continues, and it is tried again later")
        self.is_reported = True
