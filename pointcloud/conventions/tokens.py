"""Keys of rows in the tables that are written: the same each time, so that two writings can be compared."""

from __future__ import annotations

import hashlib


def token(*words: object) -> str:
    """32 hexadecimal digits that depend on the words alone."""
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()[:32]
