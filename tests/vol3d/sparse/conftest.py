"""Runs a test once with each backend that this machine has for the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vol3d.sparse import use_backend

ON_CPU = ("numba", "torch")
"""Backends that compute on the CPU; `test_backend.py` fails for one that is not here."""


@pytest.fixture(params=ON_CPU)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    with use_backend(request.param):
        yield request.param
