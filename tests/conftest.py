"""Fixtures that every test may use: where real data and the originals' numbers lie, if they do."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import settings

from tests import shapes

shapes.install()  # before a test module imports anything of the packages

# A busy machine is no failure, and CI tries the same examples each time; elsewhere they are new in each run.
settings.register_profile("vol3d", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("vol3d")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Tests of bad input want the refusal that a user sees, and run without the checks of shapes."""
    with shapes.unchecked() if item.get_closest_marker("bad_input") else nullcontext():
        return (yield)


PROJECT = Path(__file__).resolve().parents[1]


def _folder(variable: str, default: str) -> Path:
    path = Path(os.environ.get(variable, PROJECT.parent / "shared" / default))
    if not path.is_dir():
        pytest.skip(f"no folder {path}; set {variable} to run this test")
    return path


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of real samples (`VOL3D_TEST_DATA`, by default `../shared/data`)."""
    return _folder("VOL3D_TEST_DATA", "data")


@pytest.fixture(scope="session")
def oracle_root() -> Path:
    """Folder of the original implementations' numbers (`VOL3D_TEST_ORACLE`, by default `../shared/oracle`)."""
    return _folder("VOL3D_TEST_ORACLE", "oracle")
