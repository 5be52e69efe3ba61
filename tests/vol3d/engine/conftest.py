"""The engine's tests look at what a run prints, as the command line lets it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vol3d.terminal import speaking


@pytest.fixture(autouse=True)
def aloud() -> Iterator[None]:
    with speaking():
        yield
