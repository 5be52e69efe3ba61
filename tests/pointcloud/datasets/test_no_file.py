"""A named pipe or a folder in the place of a data set's file is refused, and never waited for."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pointcloud.datasets.settings import SceneSettings
from pointcloud.datasets.sun_rgbd.dataset import SunRgbdSettings
from pointcloud.datasets.tools import check
from tests.pointcloud.datasets.argoverse2_maker import write_small_argoverse2
from tests.pointcloud.datasets.makers import write_point_folder, write_scannet
from tests.pointcloud.datasets.nuscenes_maker import write_small_nuscenes
from tests.pointcloud.datasets.test_kitti import write_small_kitti
from tests.pointcloud.datasets.test_sun_rgbd import official
from vol3d import catalog
from vol3d.errors import DataError

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
SMALL: dict[str, Callable[[Path], object]] = {
    "argoverse2": write_small_argoverse2,
    "kitti": write_small_kitti,
    "nuscenes": lambda root: write_small_nuscenes(root, samples=1),
    "point_folder": lambda root: write_point_folder(root, rooms=2, validation=["room1.npy"]),
    "scannet": lambda root: write_scannet(root, train=1, validation=1),
    "sun_rgbd": official,
}
OPTIONS = {"argoverse2": {"sweeps": 2}, "sun_rgbd": {"labels": "json"}}
UNREAD = {
    "nuscenes": ["visibility.json", "map.json", "log.json", "map.png"],
    "sun_rgbd": ["SUNRGBDMeta.mat", "SUNRGBDMeta3DBB_v2.mat"],  # of the other labels
}


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """A read that waits ends the test instead of hanging it."""
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.mark.parametrize("name", SMALL)
def test_a_pipe_in_the_place_of_each_file(tmp_path: Path, name: str) -> None:
    root, kept = tmp_path / "data", tmp_path / "kept"
    SMALL[name](root)
    data = catalog.load(catalog.DATASETS[name].target)(root=root, **OPTIONS.get(name, {}))
    before = faults(data)
    for path in some_of_each_kind(root):
        path.rename(kept)
        os.mkfifo(path)
        assert (faults(data) == before) == (path.name in UNREAD.get(name, ())), path
        path.unlink()
        kept.rename(path)


@pytest.mark.parametrize("table", ["SUNRGBDMeta.mat", "SUNRGBDMeta3DBB_v2.mat"])
def test_a_folder_in_the_place_of_a_table(tmp_path: Path, table: str) -> None:
    official(tmp_path)
    path = next(tmp_path.rglob(table))
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match=f"{table}: a folder, not a file"):
        SunRgbdSettings(root=tmp_path).split()


def faults(data: SceneSettings) -> list[str]:
    """What `vol3d data check` finds."""
    try:
        return [str(fault) for fault in check(data.split(), 0)]
    except DataError as error:
        return [str(error)]


def some_of_each_kind(root: Path) -> list[Path]:
    """The first file of each folder and ending: a scene is as good as another."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    first = {(path.parent, path.suffix if path.stem[-1].isdecimal() else path.name): path for path in reversed(files)}
    return list(first.values())
