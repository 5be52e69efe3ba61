"""What is printed while work goes on: remarks and progress on stderr, plain text where nobody looks.

Nothing that stands in a file's name or content commands the terminal, and a reader who has gone stops no work.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from vol3d.printable import one_line, printable

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int, str], None]
"""Called as `progress(done, total, name_of_the_case)`."""

_aloud = False  # a library call prints nothing; the command line does
_PIPE_WIDTH = 160
_LINE_EVERY_S = 10.0


_GONE = {errno.EPIPE, errno.EBADF, errno.EIO}  # the pipe's reader, the descriptor, the terminal


class Remarks:
    """A stream for a person: what cannot be written is dropped, and control characters are escaped.

    Args:
        stream: that of the system; None where the process was started without it.
        clean: False for a writer that commands the terminal itself and escapes what it shows.
    """

    def __init__(self, stream: Any, clean: bool = True) -> None:
        self.stream: Any = stream.stream if isinstance(stream, Remarks) else stream
        self.clean = clean

    def write(self, text: str) -> int:
        """Writes what it can."""
        with suppress(OSError, ValueError, AttributeError):
            self.stream.write(printable(text) if self.clean else text)
        return len(text)

    def flush(self) -> None:
        """Passes it on."""
        with suppress(OSError, ValueError, AttributeError):
            self.stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self.stream is not None and self.stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def open_standard_streams() -> None:
    """Gives the process the streams that it was started without (`2>&-`), and a stderr that stops nothing.

    A file that is opened next would get the number of a closed stream, and what a library prints would go into it.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):  # a result that nobody gets is an error
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest free number
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a character that this terminal does not have
    sys.stderr = Remarks(sys.stderr)  # type: ignore[assignment]


def console(error: bool = False) -> Console:
    """A console that takes every character as it is: no markup, no emoji, no colour in a pipe."""
    from rich.console import Console

    stream: IO[str] = Remarks(sys.stderr, clean=False) if error else sys.stdout  # type: ignore[assignment]
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=width)


@contextmanager
def aside() -> Iterator[None]:
    """What is printed on stdout within is not the result: a reader who has gone (`| head`) does not stop the work."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in _GONE:
            raise
        silence_stdout()


def silence_stdout() -> None:
    """From now on nothing is written to stdout, nor is what its buffer holds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell(line: str) -> None:
    """Prints a line on stdout that is not the result."""
    with aside():
        print(printable(line))


def speaking(aloud: bool = True) -> AbstractContextManager[None]:
    """Whether remarks and progress are printed within the block; outside of any they are not."""
    return _as_loud(aloud or _aloud)


def hushed() -> AbstractContextManager[None]:
    """Nothing is remarked within the block: of a trial, whose outcome alone counts."""
    return _as_loud(False)


@contextmanager
def _as_loud(aloud: bool) -> Iterator[None]:
    global _aloud
    before, _aloud = _aloud, aloud
    try:
        yield
    finally:
        _aloud = before


def is_aloud() -> bool:
    """Whether remarks and progress are printed now."""
    return _aloud


def counted(number: int, noun: str) -> str:
    """`1 model`, `2 models`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rough(value: float) -> str:
    """Three digits, or the whole number where it has more.

    >>> [rough(value) for value in (0.0385, 3.8, 1000.0, 12345.6)]
    ['0.0385', '3.8', '1,000', '12,346']
    """
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def say(line: str) -> None:
    """A remark for a person, on stderr, so that stdout stays a result."""
    if _aloud:
        print(one_line(line), file=Remarks(sys.stderr), flush=True)


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """Yields `report(done, total, name)`: a bar with the time left on a terminal, a line now and then in a pipe."""
    if not (_aloud and Remarks(sys.stderr).isatty()):
        yield _lines(title)
        return
    from rich import progress as rich

    text = rich.TextColumn("{task.description}", markup=False)
    columns = (text, rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=console(error=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=one_line(f"{title} {name}"))

        yield report


def _lines(title: str) -> Progress:
    last = time.monotonic()

    def report(done: int, total: int, name: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_S:
            last = time.monotonic()
            say(f"{title} {done}/{total} {name}")

    return report
