"""Text that a terminal may show: what a file name or a DICOM tag could do to it is spelled out.

Escaped are control characters, among them the escape that begins a command of the terminal; marks that turn the
direction of writing; further line separators; and bytes of a file name that are no UTF-8.
"""

from __future__ import annotations

import re

_UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_SEVERAL_LINES = re.compile(f"[{_UNSAFE}]")
_ONE_LINE = re.compile(f"[{_UNSAFE}\t\n]")


def printable(text: str) -> str:
    """The text with such characters escaped as Python does; line ends and tabs are kept.

    >>> printable("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    return _SEVERAL_LINES.sub(_escaped, text)


def one_line(value: object) -> str:
    """A value as text in which line ends and tabs are escaped too.

    >>> one_line("scan\\nerror: forged")
    'scan\\\\nerror: forged'
    """
    return _ONE_LINE.sub(_escaped, str(value))


def printable_json(text: str) -> str:
    """JSON of the same value, without such characters as they are."""
    if text.isascii() and "\x7f" not in text:  # JSON spells out the other control characters itself
        return text
    return _SEVERAL_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
