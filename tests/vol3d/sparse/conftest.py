"""Runs a test once with each backend that this machine has for the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vol3d.sparse import use_backend


@pytest.fixture(params=["numba", "torch"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    with use_backend(request.param):
        yield request.param
