"""A scan is known by its points, however it is cut, prepared, thinned or joined with others by settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointcloud.datasets.argoverse2.dataset import Argoverse2Settings
from pointcloud.datasets.kitti.dataset import KittiFrame, KittiSettings
from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.datasets.scenes import scan_key, scan_keys
from pointcloud.datasets.tools import prepare
from pointcloud.generate.kitti.write import write_kitti
from tests.pointcloud.datasets.argoverse2_maker import write_small_argoverse2
from tests.pointcloud.datasets.makers import write_point_folder
from tests.pointcloud.datasets.nuscenes_maker import write_small_nuscenes


def keys(settings: Any) -> tuple[str, ...]:
    return scan_keys(settings.split().labelled, lambda *_: None)


def test_a_room_is_known_in_its_file_and_prepared(tmp_path: Path) -> None:
    settings = PointFolderSettings(root=write_point_folder(tmp_path / "rooms"))
    known = keys(settings)
    assert len(set(known)) == len(known) == 4 and known == keys(settings)
    prepare(settings, None, tmp_path / "ready", 0, None)
    assert keys(settings.model_copy(update={"root": tmp_path / "ready"})) == known
    assert scan_keys((), lambda *_: None) == ()


def test_a_sample_of_nuscenes_is_known_by_its_keyframe(tmp_path: Path) -> None:
    settings = NuScenesSettings(root=write_small_nuscenes(tmp_path / "data"))
    known = keys(settings.model_copy(update={"sweeps": 1}))
    assert len(set(known)) == len(known)
    assert keys(settings.model_copy(update={"sweeps": 3, "every_beam": 2})) == known


def test_a_sweep_of_argoverse_is_known_by_its_own_moment(tmp_path: Path) -> None:
    settings = Argoverse2Settings(root=write_small_argoverse2(tmp_path / "data"), sweeps=2)
    known = keys(settings)
    assert keys(settings.model_copy(update={"sweeps": 1, "every_beam": 2})) == known
    prepare(settings, None, tmp_path / "ready", 0, None)
    assert keys(settings.model_copy(update={"root": tmp_path / "ready"})) == known


def test_a_frame_of_kitti_is_known_whole_and_cut_to_the_view(tmp_path: Path) -> None:
    write_kitti(tmp_path / "kitti", 2, seed=3, workers=0)
    settings = KittiSettings(root=tmp_path / "kitti")
    known = keys(settings)
    assert len(set(known)) == len(known)
    for change in ({"image_only": False}, {"image_size": (1224, 370)}):
        assert keys(settings.model_copy(update=change)) == known
    prepare(settings, None, tmp_path / "ready", 0, None)
    assert keys(settings.model_copy(update={"root": tmp_path / "ready"})) == known

    frame = settings.split().labelled[0]
    assert isinstance(frame, KittiFrame)
    behind = np.fromfile(path := frame._file("velodyne", ".bin"), np.float32).reshape(-1, 4)
    (behind[behind[:, 0] < 0]).tofile(path)
    assert scan_key(frame) != known[0] and len(frame.key_points()) > 0, "none in view: all points count"
    assert scan_key(replace(frame, image_only=False)) == scan_key(frame)


@pytest.mark.parametrize("name", ["kitti-cars", "unetr-hippocampus"])
def test_shipped_models_on_real_data_record_their_scans(name: str) -> None:
    from vol3d import checkpoint

    (info,) = checkpoint.said_by(name)
    scans = info["trained_on"]["scans"]["training"]
    assert len(set(scans)) == len(scans) == {"kitti-cars": 132, "unetr-hippocampus": 196}[name]
