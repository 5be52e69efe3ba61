"""What was made last, by key, as much as a limit allows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
LEAST = 1000  # what a value weighs at least: its key and its place


class Recent(Generic[T]):
    """The values that were asked for last, safe among threads.

    Unlike `functools.lru_cache` it is given what makes a value with each call, and weighs values.

    Args:
        most: they weigh together; a value beyond it is not kept.
    """

    def __init__(self, most: int) -> None:
        self.most, self.weight = most, 0
        self._values: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], tuple[T, int]]) -> T:
        """The value of the key; `make` gives it and its weight if it is not there, and keeps nothing if it raises."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
        value, weight = make()
        with self._lock:
            if key not in self._values:  # another thread may have been faster
                self._values[key] = value, max(weight, LEAST)
                self.weight += max(weight, LEAST)
            while self.weight > self.most:
                self.weight -= self._values.popitem(last=False)[1][1]
        return value
