"""Errors that a user can act on: one message that says what, where, got, wanted and what to do."""

from __future__ import annotations

from os import PathLike

from vol3d.printable import one_line


class Vol3dError(Exception):
    """A fault outside the program. The command line prints it on one line and leaves with `exit_code`.

    Args:
        what: the fault in a few words, `label outside the class list`.
        where: file, `file:line`, case or argument that it was found in.
        got: the value found.
        wanted: the value or range that would have been right.
        do: what the reader can do next.
        index: which sample of a batch is to blame, from 0; for a program, not in the message.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | PathLike[str] | None = None,
        got: object = None,
        wanted: object = None,
        do: str | None = None,
        index: int | None = None,
    ) -> None:
        self.what, self.where, self.got, self.wanted, self.do, self.index = what, where, got, wanted, do, index
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{one_line(self.where)}: {self.what}" if self.where is not None else self.what
        facts = [
            f"{name} {one_line(value)}"
            for name, value in (("got", self.got), ("wanted", self.wanted))
            if value is not None
        ]
        if facts:
            text += "; " + ", ".join(facts)
        if self.do:
            text += f". {self.do}"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        # An exception crosses from a data-loader worker by pickling; keyword-only arguments need this.
        return _rebuild, (type(self), self.what, self.where, self.got, self.wanted, self.do, self.index)


class UsageError(Vol3dError):
    """A wrong command line or a wrong configuration: exit code 2."""

    exit_code = 2


class DataError(Vol3dError):
    """A file or a data set that cannot be used as it is."""


class CheckpointError(Vol3dError):
    """Weights that are damaged, from another model, or from a future release."""


def _rebuild(
    kind: type[Vol3dError], what: str, where: str, got: object, wanted: object, do: str, index: int | None
) -> Vol3dError:
    return kind(what, where=where, got=got, wanted=wanted, do=do, index=index)


def first_line(error: BaseException) -> str:
    """What an error of another library says in its first line; its type where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
