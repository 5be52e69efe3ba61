"""Whose the weights are and what they may be used for: shipped models and published files."""

from __future__ import annotations

from vol3d import catalog
from vol3d.released.table import FILES
from vol3d.shipped import about

_INTRO = """\
# Licences of models

vol3d itself is Apache-2.0. Weights have licences of their own, and so have the data that they were trained on: check
both before commercial use. `vol3d models NAME` prints the licence, and `vol3d predict` notes weights that are for
non-commercial use only. vol3d is for research; it is not a medical device, and its output is not for diagnosis.

## Shipped with the package

| model | licence of the weights | trained on | classes |
| --- | --- | --- | --- |
"""
_RELEASED = """
## Published by others

`vol3d import NAME` fetches these from their publishers and prints the same facts; nothing of them is in the package.
[Released weights](released.md) has the files and the scores.

| name | published by | licence as published | trained on |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The page, as Markdown."""
    shipped = [about(folder) for folder in catalog.shipped().values()]
    rows = [f"| `{m.name}` | {m.licence or 'none stated'} | {m.trained_on} | {len(m.classes)} |\n" for m in shipped]
    released = [f"| `{f.name}` | [{f.publisher}]({f.page}) | {f.licence} | {f.data} |\n" for f in FILES]
    return _INTRO + "".join(rows) + _RELEASED + "".join(released)
