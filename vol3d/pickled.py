"""A look into a pickle before torch reads it.

What torch's safe reader refuses, it searches its own message for words, in time that grows with the square of the
longest word: a damaged file with one name of 70,000 letters kept it busy for a quarter of a minute, one of a million
would for an hour.
"""

from __future__ import annotations

import pickletools
import zipfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

STARTS = (b"PK", b"\x80")
"""What torch writes begins with one of these: a zip, or before 1.6 a pickle."""
LONGEST_WORD = 10_000  # letters without a blank; names of tensors and types have fewer than 200
_PICKLES = 5  # in a file that torch wrote before 1.6, one after the other; the storages follow


def longest_word(path: Path) -> int:
    """Letters of the longest word in the texts of a file's pickles; 0 where none can be read."""
    longest = 0
    with ExitStack() as opened, suppress(Exception):  # a damaged file may raise anything; torch names what is wrong
        file: IO[bytes] = opened.enter_context(path.open("rb"))
        pickles = _PICKLES
        if zipfile.is_zipfile(path):
            archive = opened.enter_context(zipfile.ZipFile(file))
            inner = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            file, pickles = opened.enter_context(archive.open(inner)), 1
        for _ in range(pickles):
            for _, value, _ in pickletools.genops(file):
                if isinstance(value, str):
                    longest = max(longest, max(map(len, value.split()), default=0))
    return longest
