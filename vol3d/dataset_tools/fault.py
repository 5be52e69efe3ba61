"""Something wrong with a data set, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from vol3d.errors import DataError, Vol3dError

ABSENT = "does not exist"
"""How the fault of a file that is not there ends."""


@dataclass(frozen=True)
class Fault:
    """Something wrong with a data set.

    Args:
        case: the case or scene, or the data set's name where no single one is to blame.
        severity: `error` makes training or evaluation wrong or impossible, `warning` wants a look.
        what: the fault with the values found.
        do: what the reader can do.
    """

    case: str
    severity: Literal["error", "warning"]
    what: str
    do: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.case}: {self.what}. {self.do}"


def fault_of(case: str, error: Vol3dError, do: str = "Copy or export the file again.") -> Fault:
    """What a reader complained about as a fault of the case that was read; `do` where the reader knew no way out."""
    facts = [f"{word} {value}" for word, value in (("got", error.got), ("wanted", error.wanted)) if value is not None]
    what = f"{error.where}: {error.what}" if error.where is not None else error.what
    return Fault(case, "error", "; ".join([what, *([", ".join(facts)] if facts else [])]), error.do or do)


def refuse_errors(faults: Sequence[Fault], data_set: str) -> None:
    """Raises DataError with the first error among the faults, and how many there are."""
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        what = errors[0].what if errors[0].case == data_set else f"{errors[0].case}: {errors[0].what}"
        more = f" (and {len(errors) - 1} more faults)" if len(errors) > 1 else ""
        do = f"{errors[0].do} `vol3d data check` lists every fault of a data set."
        raise DataError(what + more, where=data_set, do=do)


def listed(names: Iterable[object], most: int = 5) -> str:
    """`a, b, c, d, e and 3 more`."""
    known = [str(name) for name in names]
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
