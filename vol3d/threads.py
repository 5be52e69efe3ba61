"""Loops over ranges on a thread pool of the package's own, for compiled kernels that release the GIL.

Numba's `parallel=True` kills workers that were forked after its first use and aborts when two Python threads enter
it; a plain pool of Python threads that call `@njit(nogil=True, cache=True)` kernels does neither.

    @njit(nogil=True, cache=True)
    def double(start, stop, values, out):
        for i in range(start, stop):
            out[i] = 2 * values[i]

    parallel_for(double, len(values), values, out, grain=4096)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from vol3d.errors import UsageError

PIECES_PER_THREAD = 4  # so that a thread that another program slows down does not hold up the rest
_MAX_THREADS = 256  # threads start on demand: an upper bound, not a cost


def wait_shortly() -> None:
    """Lets OpenMP's workers sleep soon after they run out of work; for programs of our own, before torch is imported.

    GNU's OpenMP, which torch uses on Linux, has them spin for milliseconds, on the core that `parallel_for` needs for
    its second thread (`benchmarks/two_threads.py`). What a person has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def num_threads() -> int:
    """Threads that `parallel_for` uses: `VOL3D_NUM_THREADS`, else torch's setting, else `OMP_NUM_THREADS`, else all.

    Raises:
        UsageError: `VOL3D_NUM_THREADS` is not a positive number.
    """
    if text := os.environ.get("VOL3D_NUM_THREADS"):
        if not text.isdigit() or int(text) < 1:
            raise UsageError("not a number of threads", where="VOL3D_NUM_THREADS", got=repr(text), wanted="1 or more")
        return min(int(text), _MAX_THREADS)
    if (torch := sys.modules.get("torch")) is not None:  # 1 inside data-loader workers
        return min(torch.get_num_threads(), _MAX_THREADS)
    text = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(text) if text.isdigit() and int(text) > 0 else os.cpu_count() or 1, _MAX_THREADS)


def parallel_for(kernel: Callable[..., object], n: int, *args: Any, grain: int = 1) -> None:
    """Calls `kernel(start, stop, *args)` on ranges that cover 0..n once; returns when all are done.

    The result is the same for any number of threads if what the kernel writes for an index depends on that index
    alone: ranges start at multiples of `grain`, but which ranges there are depends on the threads. The calling
    thread works too; a call from inside a kernel, from several threads or in a forked child is safe.

    Args:
        kernel: releases the GIL, or gains nothing.
        n: number of indices; 0 calls nothing.
        args: passed on unchanged.
        grain: min number of indices that is worth a call of its own.

    Raises:
        UsageError: n is negative or grain is not positive.
        Exception: the first that a kernel raised; ranges not yet begun are then left out.
    """
    if n < 0 or grain < 1:
        raise UsageError("not a loop", where="parallel_for", got=f"n={n}, grain={grain}", wanted="n >= 0, grain >= 1")
    threads = min(num_threads(), -(-n // grain))
    if threads <= 1:
        if n:
            kernel(0, n, *args)
        return
    grains_each = max(1, n // (grain * threads * PIECES_PER_THREAD))
    starts = _Starts(range(0, n, grains_each * grain))
    helpers = _submit(threads - 1, _drain, kernel, starts, grains_each * grain, n, args)
    try:
        _drain(kernel, starts, grains_each * grain, n, args)
    finally:
        # A helper that has not begun has nothing left to do; waiting for it could wait for ourselves when nested.
        running = [helper for helper in helpers if not helper.cancel()]
        failures = [error for helper in running if (error := helper.exception()) is not None]
    if failures:
        raise failures[0]


class _Starts:
    """Where ranges start, handed out once each to whichever thread asks; any thread may end it."""

    def __init__(self, starts: range) -> None:
        self._source: Iterator[int] = iter(starts)
        self._lock = Lock()

    def __iter__(self) -> _Starts:
        return self

    def __next__(self) -> int:
        with self._lock:
            return next(self._source)

    def end(self) -> None:
        with self._lock:
            self._source = iter(())


def _drain(kernel: Callable[..., object], starts: _Starts, step: int, n: int, args: tuple[Any, ...]) -> None:
    try:
        for start in starts:
            kernel(start, min(start + step, n), *args)
    except BaseException:
        starts.end()
        raise


_pool: ThreadPoolExecutor | None = None
_pool_lock = Lock()


def _submit(count: int, task: Callable[..., None], *args: Any) -> list[Future[None]]:
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="vol3d")
        return [_pool.submit(task, *args) for _ in range(count)]


def _forget_pool() -> None:
    """In a forked child the pool's threads do not exist and its locks may be held: start afresh."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
