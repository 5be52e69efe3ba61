"""One function over many cases, in processes that start afresh: the same on Linux, macOS and Windows."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, Protocol, TypeVar

from vol3d.dataset_tools.fault import listed
from vol3d.errors import Vol3dError
from vol3d.terminal import Progress


class Named(Protocol):
    """A case of a data set, whatever it holds; it can be sent to another process."""

    @property
    def name(self) -> str:
        """Unique in its data set."""
        ...


Case = TypeVar("Case", bound=Named)
Result = TypeVar("Result")


def over_cases(
    function: Callable[[Case], Result],
    cases: Sequence[Case],
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """`[function(case) for case in cases]`.

    Args:
        function: can be pickled: a function of a module, or `functools.partial` of one.
        workers: processes; 0 works in this one; None takes one per core, and none for a single case or core.
        progress: called after each case, in the order in which they end.

    Raises:
        Vol3dError: a case does not fit into memory, or a process was killed, most often for that reason.
        Exception: whatever `function` raises; the remaining cases are not begun.
    """
    work = partial(_named, function)
    if workers is None:
        workers = min(cores(), len(cases))
        workers = workers if workers > 1 else 0
    if workers <= 0:
        return [_told(work(case), number, cases, progress) for number, case in enumerate(cases)]
    # A forked child inherits locks that another thread holds, and CUDA does not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts)
    try:
        futures = [pool.submit(work, case) for case in cases]
        _follow(dict(zip(futures, cases, strict=True)), progress)
        return [future.result() for future in futures]
    except BrokenProcessPool as error:
        begun = [case.name for future, case in zip(futures, cases, strict=True) if not _ended(future)]
        raise Vol3dError(
            "a worker process was killed",
            where=f"one of the cases {listed(begun[: workers + 1])}",
            do="It most likely ran out of memory: use fewer workers, or 0 to see the case's own error.",
        ) from error
    finally:
        if isinstance(sys.exc_info()[1], KeyboardInterrupt):
            _kill(pool)
        pool.shutdown(cancel_futures=True)


def _kill(pool: ProcessPoolExecutor) -> None:
    """Ends the workers at once: a case may take minutes, and its files appear whole or not at all."""
    for process in [*(pool._processes or {}).values()]:
        process.kill()


def _leave_interrupts() -> None:
    """A terminal's Ctrl-C reaches all processes; this one's parent decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _named(function: Callable[[Case], Result], case: Case) -> Result:
    try:
        return function(case)
    except MemoryError as error:
        do = "Use fewer workers, or make the case smaller."
        raise Vol3dError("the case does not fit into memory", where=case.name, do=do) from error


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _told(result: Result, number: int, cases: Sequence[Case], progress: Progress | None) -> Result:
    if progress:
        progress(number + 1, len(cases), cases[number].name)
    return result


def _follow(cases: dict[Future[Any], Case], progress: Progress | None) -> None:
    """Waits for all; raises what the first failing one raises."""
    ended: Iterable[Future[Any]] = as_completed(cases)
    for done, future in enumerate(ended, 1):
        future.result()
        if progress:
            progress(done, len(cases), cases[future].name)


def _ended(future: Future[Any]) -> bool:
    return future.done() and future.exception() is None
