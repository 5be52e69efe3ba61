"""A folder of another layout, or the one above or below, is recognised by its names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vol3d import catalog
from vol3d.config import build, from_words
from vol3d.errors import DataError
from vol3d.layouts import layout_hint, layouts_of, only_scans
from vol3d.scans.source import ScanSource
from vol3d.terminal import speaking

HOLDS = {
    "btcv": "RawData/Training/img/img0001.nii.gz",
    "scannet": "scannet_instance_data/scene0000_00_vert.npy",
    "sun_rgbd": "sunrgbd_pc_bbox_votes_50k_v1_val/000001_pc.npz",
    "nuscenes": "v1.0-mini/sample_data.json",
    "kitti": "training/velodyne/000000.bin",
    "argoverse2": "val/LOG/sensors/lidar/315966.feather",
    "point_folder": "boxes.json",
}


def made(root: Path, name: str) -> Path:
    path = root / HOLDS[name]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    return root


@pytest.mark.parametrize("name", HOLDS)
def test_each_layout_is_known_to_the_others(tmp_path: Path, name: str) -> None:
    for other in (one for one in HOLDS if one != name):
        root = made(tmp_path / other, other)
        assert f"It looks like {other}:" in str(layout_hint(root, name))
        with pytest.raises(DataError, match=f"It looks like {other}:"):
            build(from_words([f"root={root}"]), catalog.load(catalog.DATASETS[name].target)).split()


@pytest.mark.parametrize("name", HOLDS)
def test_the_folder_above_the_right_one(tmp_path: Path, name: str) -> None:
    inside = made(tmp_path / "download", name)
    assert layout_hint(tmp_path, name) == f"Give {inside}, which is one."


DOCUMENTS = {
    "msd": {"modality": {"0": "MRI"}, "labels": {"0": "background"}, "training": []},
    "nnunet": {"channel_names": {"0": "MRI"}, "labels": {"background": 0}, "file_ending": ".nii.gz"},
    "folder": {"classes": ["background", "liver"]},
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_dataset_json_is_that_of_one_layout(tmp_path: Path, name: str) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps(DOCUMENTS[name]))
    assert layouts_of(tmp_path) == [name]
    with pytest.raises(DataError, match=f"It looks like {name}:"):
        build(from_words([f"root={tmp_path}"]), catalog.load(catalog.DATASETS["kitti"].target)).split()


@pytest.mark.parametrize(("text", "found"), [("", [*DOCUMENTS]), ("{", [*DOCUMENTS]), ("[]", []), ("{}", [])])
def test_a_dataset_json_that_says_nothing(tmp_path: Path, text: str, found: list[str]) -> None:
    (tmp_path / "dataset.json").write_text(text)
    assert layouts_of(tmp_path) == found


@pytest.mark.parametrize("name", DOCUMENTS)
def test_volumes_without_a_json_are_looked_at(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="It looks like btcv:"):
        build(from_words([f"root={made(tmp_path, 'btcv')}"]), catalog.load(catalog.DATASETS[name].target)).split()


def test_nothing_known(tmp_path: Path) -> None:
    assert layout_hint(tmp_path, "kitti") is None
    assert all(entry.marks for entry in catalog.DATASETS.values())


FILES = {
    "msd": ("imagesTr/a.nii.gz", "imagesTs/b.nii.gz", "labelsTr/a.nii.gz"),
    "nnunet": ("imagesTr/a_0000.nii.gz", "imagesTs/b_0000.nii.gz", "labelsTr/a.nii.gz", "labelsTs/b.nii.gz"),
    "folder": ("images/a.nii.gz", "images/b/slices", "labels/a.nii.gz"),
    "btcv": ("RawData/Training/img/img0001.nii.gz", "RawData/Testing/img/61.nii.gz", "RawData/Training/label/l.nii"),
    "kitti": ("training/velodyne/0.bin", "testing/velodyne/1.bin", "training/velodyne_reduced/0.bin", "gt/c.bin"),
    "nuscenes": ("samples/LIDAR_TOP/a.pcd.bin", "sweeps/LIDAR_TOP/b.pcd.bin", "lidarseg/a.bin", "samples/RADAR/r.pcd"),
    "scannet": ("scans/scene0/scene0_vh_clean_2.ply", "scans_test/scene9/scene9_vh_clean_2.ply",
                "scans/scene0/scene0_vh_clean_2.labels.ply", "scans/scene0/scene0_vh_clean.ply"),
    "sun_rgbd": ("sunrgbd_pc_bbox_votes_50k_v1_val/000001_pc.npz", "sunrgbd_pc_bbox_votes_50k_v1_train/000002_pc.npz",
                 "sunrgbd_pc_bbox_votes_50k_v1_val/000001_bbox.npy"),
}  # fmt: skip
"""Of each layout two scans, and what is none."""


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("above", [False, True])
def test_of_a_data_sets_folder_its_scans_are_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, above: bool
) -> None:
    root = tmp_path / "download" if above else tmp_path
    sources = []
    for file in FILES[name]:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        sources.append(ScanSource(path, path.stem))
    if name in DOCUMENTS:
        (root / "dataset.json").write_text(json.dumps(DOCUMENTS[name]))
    elif name in HOLDS:
        (root / HOLDS[name]).parent.mkdir(parents=True, exist_ok=True)
        (root / HOLDS[name]).write_bytes(b"")
    with speaking():
        assert only_scans(sources, [tmp_path]) == sources[:2]
    said = capsys.readouterr().err
    assert f"{root} has the layout of {name}: 2 scans found, {len(sources) - 2} other file" in said
    assert only_scans(sources, [source.path for source in sources]) == sources, "files are taken as they are"
    assert only_scans(sources[2:], [tmp_path]) == sources[2:], "what has no scan in its places stays whole"
    assert only_scans([], [tmp_path]) == []
