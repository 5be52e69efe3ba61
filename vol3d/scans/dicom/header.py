"""The attributes of one DICOM file, each checked when it is asked for.

pydicom converts a value only then, and lets through whatever exception its damage causes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from vol3d.errors import DataError

LONGEST = 60  # characters of a value that a message shows
_IN_FILE_META = {"SOPClassUID": "MediaStorageSOPClassUID", "SOPInstanceUID": "MediaStorageSOPInstanceUID"}
"""What the file meta information says once more (PS3.10, 7.1): the only place that some exports leave it in."""


@dataclass(frozen=True, eq=False)
class Header:
    """A data set, or an item of one of its sequences; names are the keywords of PS3.6.

    Args:
        name: the file, for messages.
        dataset: as pydicom has read it.
    """

    name: str
    dataset: Any

    def has(self, name: str) -> bool:
        """True if the attribute is there, even without a value."""
        return name in self.dataset

    def text(self, name: str) -> str:
        """The value on one line without control characters, empty if there is none.

        Kind and UID of the object are also looked for in the file meta information.
        """
        found = self._line(name)
        if found or name not in _IN_FILE_META:
            return found
        meta = Header(self.name, getattr(self.dataset, "file_meta", None) or {})
        return meta._line(_IN_FILE_META[name])

    def _line(self, name: str) -> str:
        value = self._value(name)
        try:
            joined = "\\".join(map(str, value)) if _is_several(value) else str("" if value is None else value)
        except Exception as fault:
            raise self.wrong(name, "text") from fault
        return re.sub(r"[\x00-\x20\x7f-\xa0]+", " ", joined).strip()

    def whole(self, name: str, default: int | None = None, low: int = 0, high: int = 0xFFFF) -> int:
        """A whole number from `low` to `high`. Raises DataError for another, and for none without a default."""
        value = self._value(name)
        if _is_empty(value) and default is not None:
            return default
        try:
            number = int(str(value))
        except (TypeError, ValueError) as fault:
            raise self.wrong(name, f"a whole number from {low} to {high}") from fault
        if not low <= number <= high:
            raise self.wrong(name, f"a whole number from {low} to {high}")
        return number

    def real(self, name: str, default: float) -> float:
        """One finite number. Raises DataError for anything else that is there."""
        return default if _is_empty(self._value(name)) else float(self.reals(name, 1)[0])

    def reals(self, name: str, count: int) -> np.ndarray:
        """(count,) float64. Raises DataError if they are missing, fewer, more or not finite."""
        value = self._value(name)
        try:
            numbers = np.array([float(one) for one in (value if _is_several(value) else [value])])
        except (TypeError, ValueError, OverflowError) as fault:
            raise self.wrong(name, f"{count} numbers" if count > 1 else "a number") from fault
        if len(numbers) != count or not all(map(math.isfinite, numbers)):
            raise self.wrong(name, f"{count} numbers" if count > 1 else "a number")
        return numbers

    def items(self, name: str) -> list[Header]:
        """The items of a sequence, none if it is missing. Raises DataError if it is none."""
        from pydicom.sequence import Sequence

        value = self._value(name)
        if value is None:
            return []
        if not isinstance(value, Sequence):
            raise self.wrong(name, "a sequence")
        return [Header(self.name, item) for item in value]

    def wrong(self, name: str, wanted: str) -> DataError:
        """The error of a value that cannot be used."""
        return DataError(f"{name} is missing or damaged", where=self.name, got=self._shown(name), wanted=wanted)

    def _value(self, name: str) -> Any:
        try:
            return self.dataset[name].value if name in self.dataset else None
        except Exception as fault:  # ValueError, TypeError, NotImplementedError, struct.error ...
            raise self.wrong(name, "a value that its type allows") from fault

    def _shown(self, name: str) -> str:
        if name not in self.dataset:
            return "nothing"
        try:
            raw = self.dataset.get_item(name).value
            text = raw.decode("latin-1") if isinstance(raw, bytes) else str(raw)
        except Exception:
            return "a value that cannot be shown"
        text = re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", text.strip("\0 "))
        return text[:LONGEST] + ("…" if len(text) > LONGEST else "") or "nothing"


def _is_several(value: Any) -> bool:
    from pydicom.multival import MultiValue

    return isinstance(value, (MultiValue, list, tuple))


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, (str, bytes)) and not value) or (_is_several(value) and not len(value))
