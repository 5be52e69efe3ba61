"""Records of nuScenes' JSON tables, one at a time: as objects, the largest table (1.3 GB) would not fit into memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, NoReturn

from vol3d.errors import DataError
from vol3d.files import require_file

AGAIN = "Unpack the metadata archive again."
_PIECE = 1 << 22  # characters read at a time; no record is as long
_TEXTS = {"name", "channel", "filename", "prev", "next"}  # and all tokens
_LISTS = {"attribute_tokens", "translation", "rotation", "size"}
_LATEST_US = 1 << 62
_BETWEEN = re.compile(r"\s*,?\s*")


def rows(path: Path, *fields: str) -> Iterator[tuple[Any, ...]]:
    """The values of `fields` (two or more) of each record of a table.

    Raises:
        DataError: the file is missing, cut or no JSON list of objects, or a record lacks a field or has a token, a
            name, a list or a time that is none.
    """
    chosen, kinds = itemgetter(*fields), _Kinds.of(fields)
    for number, record in enumerate(_records(path)):
        try:
            values = chosen(record)
        except KeyError as error:
            got = record.get("token", "no token")
            raise DataError(f"record {number} lacks {error}", where=path, got=got, do=AGAIN) from error

        wrong = kinds.first_wrong(values)
        if wrong is not None:
            what, got = f"record {number} has a '{fields[wrong]}' that is none", repr(values[wrong])[:60]
            raise DataError(what, where=path, got=got, do=AGAIN)
        yield values


@dataclass(frozen=True)
class _Kinds:
    """The places of the fields that must be a text, a list or a time; the others may be anything."""

    texts: tuple[int, ...]
    lists: tuple[int, ...]
    times: tuple[int, ...]

    @classmethod
    def of(cls, fields: Sequence[str]) -> _Kinds:
        return cls(
            texts=tuple(place for place, field in enumerate(fields) if field.endswith("token") or field in _TEXTS),
            lists=tuple(place for place, field in enumerate(fields) if field in _LISTS),
            times=tuple(place for place, field in enumerate(fields) if field == "timestamp"),
        )

    def first_wrong(self, values: Sequence[Any]) -> int | None:
        """The place of the first value that is not of its kind; this runs once for each of millions of records."""
        for place in self.texts:
            if type(values[place]) is not str:
                return place
        for place in self.lists:
            if type(values[place]) is not list:
                return place
        for place in self.times:
            if not _is_time(values[place]):
                return place
        return None


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _LATEST_US


def _records(path: Path) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder(parse_constant=_refuse)
    try:
        with require_file(path, do=AGAIN).open(encoding="utf-8") as file:
            text = file.read(_PIECE).lstrip()
            if not text.startswith("["):
                raise DataError("not a table", where=path, got=repr(text[:20]), wanted="a JSON list", do=AGAIN)
            place = 1
            while True:
                place = _BETWEEN.match(text, place).end()  # type: ignore[union-attr]
                if text[place : place + 1] == "]":
                    return
                try:
                    record, place = decoder.raw_decode(text, place)
                except json.JSONDecodeError as error:
                    more = file.read(_PIECE) if len(text) - place < _PIECE else ""
                    if not more:
                        what = f"cut or not JSON ({error.msg})"
                        raise DataError(what, where=path, got=repr(text[place : place + 60]), do=AGAIN) from error
                    text, place = text[place:] + more, 0
                    continue
                if not isinstance(record, dict):
                    raise DataError("not a table: a row is no record", where=path, got=repr(record)[:60], do=AGAIN)
                yield record
    except OSError as error:
        raise DataError(f"cannot read the table ({error.strerror})", where=path) from error
    except RecursionError as error:
        raise DataError("the table is nested too deeply", where=path, do=AGAIN) from error
    except ValueError as error:  # not UTF-8, or a number that is none
        raise DataError(f"not JSON: {error}", where=path, do=AGAIN) from error


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


class Tokens:
    """Rows of a table by their tokens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, token: str) -> int:
        """The row of a new record. Raises DataError if the token is there already or is none."""
        if not isinstance(token, str) or not token or token in self._rows:
            what = "two records with one token" if token in self._rows else "not a token"
            raise DataError(what, where=self._path, got=repr(token), do=AGAIN)
        return self._rows.setdefault(token, len(self._rows))

    def find(self, token: str, user: str) -> int:
        """The row of a record that `user` refers to. Raises DataError if there is none."""
        row = self._rows.get(token) if isinstance(token, str) else None
        if row is None:
            raise DataError(f"no record for the token that {user} refers to", where=self._path, got=token, do=AGAIN)
        return row

    def next_to(self, token: str, user: str) -> int:
        """As `find`; -1 for the empty token at the end of a chain."""
        return self.find(token, user) if token else -1

    def get(self, token: str) -> int | None:
        """The row, or None."""
        return self._rows.get(token)

    def names(self) -> list[str]:
        """All tokens in the order of their rows."""
        return list(self._rows)
