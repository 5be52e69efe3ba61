"""What stands before the first point of a text: the names of columns if any, comments, and how far they go."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vol3d.errors import DataError
from vol3d.scans.points.raw import COORDINATES, COPY, UTF8_MARK
from vol3d.scans.points.unit_words import unit_in_names

_SEPARATORS = re.compile(r'[\s,;"]+')
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf)\w*", re.IGNORECASE)
_NAME = re.compile(r'"[^"]*"|[^\s"\[(]+(?:\s*(?:\[[^\]]*\]|\([^)]*\)))?')
_HEAD = 1 << 16  # bytes in which the first point must begin


@dataclass(frozen=True)
class Head:
    """What stands before the first point.

    Args:
        named: the words of each line that may name the columns, in lower case; the likeliest last.
        is_comment: whether the last line with words is a comment.
        comments: all lines that are comments.
        size: bytes before the first point.
        lines: lines before it.
    """

    named: tuple[tuple[str, ...], ...]
    is_comment: bool
    comments: tuple[str, ...]
    size: int
    lines: int

    def names(self, count: int) -> tuple[str, ...]:
        """The names of so many columns; of all words those that fit best, which may be none."""
        fitting = [
            names for names in self.named if len(names) == count and set(COORDINATES) <= set(unit_in_names(names)[0])
        ]
        return fitting[-1] if fitting else self.named[-1] if self.named else ()


def as_utf8(text: bytes, path: Path) -> bytes:
    """The bytes of a text without the mark before it; spreadsheets write UTF-16, which becomes UTF-8.

    Raises:
        DataError: not a text.
    """
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            text = text.decode("utf-16").encode()
        except UnicodeDecodeError as fault:
            raise DataError("not a text file", where=path, got=str(fault), do=COPY) from fault
    text = text.removeprefix(UTF8_MARK)
    text = text if b"\n" in text else text.replace(b"\r", b"\n")
    if b"\0" in text[:_HEAD]:
        raise DataError("not a text file", where=path, do="Is it of another format than its name says?")
    return text


def read_head(text: bytes, path: Path) -> Head:
    """Raises DataError for text in which no point begins, or with two lines before it that are none."""
    named, comments = list[tuple[str, ...]](), list[str]()
    is_comment, size = False, 0
    for number, line in enumerate(text[:_HEAD].splitlines(keepends=True)):
        words = [word for word in _SEPARATORS.split(line.decode("utf-8", "replace").strip()) if word]
        commented = bool(words) and words[0].startswith(("#", "//"))
        if words and not commented:
            if _NUMBER.fullmatch(words[0]):
                return Head(tuple(named), is_comment, tuple(comments), size, number)
            if named and not is_comment:
                got = repr(" ".join(words)[:60])
                raise DataError("a line that is no point", where=f"{path}:{number + 1}", got=got, do=COPY)
        if words:
            bare = line.decode("utf-8", "replace").strip().lstrip("#/ ").lower()
            named.append(_names(bare))
            is_comment = commented
            comments += [bare] if commented else []
        size += len(line)
    raise DataError("no points in the file", where=path, do="Is it a table of numbers, a point a line?")


def _names(line: str) -> tuple[str, ...]:
    """The names in a line; between separators that are no blanks, a name may have blanks, or be empty (`_`)."""
    separator = next((one for one in ";\t," if one in line), None)
    if separator is None:
        return tuple(name.strip('"') for name in _NAME.findall(line))
    names = [name.strip(' "') for name in line.rstrip(f"{separator} ").split(separator)]
    return tuple(name or "_" for name in names)
