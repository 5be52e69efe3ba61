"""A server on this machine, a cache of the test's own, and no pauses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vol3d.released.server import Files, serving
from vol3d.released import download


@pytest.fixture
def files() -> Iterator[Files]:
    with serving(Files()) as served:
        yield served


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOL3D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.delenv("VOL3D_OFFLINE", raising=False)
    monkeypatch.setattr(download, "WAITS_S", (0.0, 0.0))
    return tmp_path / "cache"
