"""Fixtures that every test may use: where real data and the originals' numbers lie, if they do."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests import shapes

shapes.install()  # before a test module imports anything of the packages

# Compiled test modules and packages are kept, as numba keeps its kernels there: a hundred processes of the tests import
# them, and pytest rewrites each test module.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A busy machine is no failure, and CI tries the same examples each time; elsewhere they are new in each run.
settings.register_profile("vol3d", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("vol3d")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Tests of bad input want the refusal that a user sees, and run without the checks of shapes."""
    with shapes.unchecked() if item.get_closest_marker("bad_input") else nullcontext():
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def one_core() -> Iterator[None]:
    """Where no number of workers is named, cases are done in this process: others take seconds to start."""
    from vol3d.dataset_tools import processes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "cores", lambda: 1)
        yield


@pytest.fixture(scope="module", autouse=True)
def own_catalogue() -> Iterator[None]:
    """What the tests of a module put into the catalogue is gone after them; others list what there is."""
    from vol3d import catalog

    tables: list[dict[str, Any]] = [catalog.TASKS, catalog.DISTILLED, catalog.MODELS, catalog.DATASETS]
    before = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.fixture(scope="session")
def short_drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two synthetic drives of a second, which nobody changes."""
    from pointcloud.generate.drives.write import write_drives

    root = tmp_path_factory.mktemp("short_drives") / "drives"
    write_drives(root, 2, seed=3, workers=0, seconds=1)
    return root


@pytest.fixture
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports of detectors with pictures of one pixel, which are half the time of a short training."""
    monkeypatch.setattr("pointcloud.evaluation.pictures.draw_top_view", lambda *given: PIXEL)


PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
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
