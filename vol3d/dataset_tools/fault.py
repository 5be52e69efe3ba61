"""Something wrong with a data set, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vol3d.errors import DataError, Vol3dError

Severity = Literal["error", "warning"]
ABSENT_FILE = "absent-file"
"""Code of the fault of a file that is not there: no later check tries to read it."""


@dataclass(frozen=True)
class Fault:
    """Something wrong with a data set.

    Args:
        case: the case or scene, or the data set's name where no single one is to blame.
        severity: `error` makes training or evaluation wrong or impossible, `warning` should be looked into.
        what: the fault with the values found.
        do: what the reader can do.
        code: the kind of fault, stable and in kebab case, as a linter names its rules: `same-points-twice`.
        numbers: those of the fault by name, for programs.

    >>> print(Fault("room1", "error", "2 boxes are there twice", "Remove the copies.", code="duplicate-box"))
    error: room1: 2 boxes are there twice. Remove the copies.
    """

    case: str
    severity: Severity
    what: str
    do: str
    code: str = field(kw_only=True)
    numbers: Mapping[str, float] = field(default_factory=dict, kw_only=True, hash=False)

    def __str__(self) -> str:
        return f"{self.severity}: {self.case}: {self.what}. {self.do}"

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        facts = {"code": self.code, "severity": self.severity, "case": self.case, "what": self.what, "do": self.do}
        return facts | {"numbers": dict(self.numbers)}


def absent_file(case: str, file: object, do: str) -> Fault:
    """The error of a file that a case needs and that is not there; `file` is its path, or words that end in it."""
    return Fault(case, "error", f"{file} does not exist", do, code=ABSENT_FILE)


def fault_of(
    case: str, error: Vol3dError, do: str = "Copy or export the file again.", code: str = "unreadable-file"
) -> Fault:
    """What a reader complained about as a fault of the case that was read; `do` where the reader knew no way out."""
    facts = [f"{word} {value}" for word, value in (("got", error.got), ("wanted", error.wanted)) if value is not None]
    what = f"{error.where}: {error.what}" if error.where is not None else error.what
    return Fault(case, "error", "; ".join([what, *([", ".join(facts)] if facts else [])]), error.do or do, code=code)


def refuse_errors(faults: Sequence[Fault], data_set: str) -> None:
    """Raises DataError with the first error among the faults, and how many there are."""
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        what = errors[0].what if errors[0].case == data_set else f"{errors[0].case}: {errors[0].what}"
        more = f" (and {len(errors) - 1} more faults)" if len(errors) > 1 else ""
        do = f"{errors[0].do} `vol3d data check` lists every fault of a data set."
        raise DataError(what + more, where=data_set, do=do)


def listed(names: Iterable[object], most: int = 5) -> str:
    """The first names, and how many more there are.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    known = [str(name) for name in names]
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
