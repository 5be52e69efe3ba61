"""Names and texts of a run's files as text of the page."""

from __future__ import annotations

import html

from vol3d.printable import printable


def escape(text: str, quote: bool = True) -> str:
    """The text as HTML, with control characters and marks of direction spelled out.

    >>> escape("<b>\\x1b[2J")
    '&lt;b&gt;\\\\x1b[2J'
    """
    return html.escape(printable(text), quote)
