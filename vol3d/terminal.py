"""What is printed while work goes on: remarks and progress on stderr, plain text where nobody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int, str], None]
"""Called as `progress(done, total, name_of_the_case)`."""

_aloud = False  # a library call prints nothing; the command line does
_PIPE_WIDTH = 160
_LINE_EVERY_S = 10.0


def console(error: bool = False) -> Console:
    """A console that takes every character as it is: no markup, no emoji, no colour in a pipe."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=width)


@contextmanager
def speaking(aloud: bool = True) -> Iterator[None]:
    """Whether remarks and progress are printed within the block; outside of any they are not."""
    global _aloud
    before, _aloud = _aloud, aloud or _aloud
    try:
        yield
    finally:
        _aloud = before


def is_aloud() -> bool:
    """Whether remarks and progress are printed now."""
    return _aloud


def say(line: str) -> None:
    """A remark for a person, on stderr, so that stdout stays a result."""
    if _aloud:
        print(line, file=sys.stderr, flush=True)


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """Yields `report(done, total, name)`: a bar with the time left on a terminal, a line now and then in a pipe."""
    if not (_aloud and sys.stderr.isatty()):
        yield _lines(title)
        return
    from rich import progress as rich

    text = rich.TextColumn("{task.description}", markup=False)
    columns = (text, rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=console(error=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=f"{title} {name}")


def _lines(title: str) -> Progress:
    last = time.monotonic()

    def report(done: int, total: int, name: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_S:
            last = time.monotonic()
            say(f"{title} {done}/{total} {name}")

    return report
