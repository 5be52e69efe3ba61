"""Files that vol3d wrote are recognised, whole or cut; those of others are never replaced."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from vol3d.errors import UsageError
from vol3d.scans import (
    Segmentation,
    parse_objects,
    read_detections,
    write_box_lines,
    write_detections,
    write_segmentation,
)
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.own import is_own, refuse_foreign
from vol3d.scans.volumes.volume import Grid


@pytest.fixture(params=["mask.nii.gz", "mask.nii", "room.json", "room.boxes.ply"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    found, cloud = parse_objects([], ("chair",), "no boxes"), PointCloud(np.zeros((1, 3), np.float32))
    if "mask" in path.name:
        labels = np.random.default_rng(0).integers(0, 2, (20, 20, 20)).astype(np.uint8)
        write_segmentation(path, Segmentation(labels, Grid(labels.shape, np.eye(4)), ("background", "liver")))
    elif path.suffix == ".json":
        write_detections(path, found, cloud)
    else:
        write_box_lines(path, found, cloud)
    return path


def test_what_vol3d_wrote_is_its_own_even_if_it_was_cut(own: Path) -> None:
    assert is_own(own)
    refuse_foreign([own])
    own.write_bytes(own.read_bytes()[: max(700, own.stat().st_size // 2)])
    assert is_own(own)


def test_a_result_of_format_1_is_its_own_too(tmp_path: Path) -> None:
    path = tmp_path / "room.json"
    write_detections(path, parse_objects([], ("chair",), "no boxes"), PointCloud(np.zeros((1, 3), np.float32)))
    path.write_text(path.read_text().replace('"format": 2', '"format": 1', 1))
    assert is_own(path) and len(read_detections(path)) == 0
    path.write_text(path.read_text()[:700])
    assert is_own(path)


def test_what_others_wrote_is_not(own: Path, tmp_path: Path) -> None:
    if own.suffix == ".json":
        own.write_text('{"format": 1, "shapes": []}')
    elif own.suffix == ".ply":
        own.write_text("ply\nformat ascii 1.0\ncomment boxes of mine\nend_header\n")
    else:
        nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), own)
    assert not is_own(own)
    with pytest.raises(UsageError, match="would replace a file that vol3d did not write"):
        refuse_foreign([own])


def test_an_empty_file_is_nobodys(own: Path) -> None:
    own.write_bytes(b"")
    assert not is_own(own)
    refuse_foreign([own])
    own.unlink()
    assert not is_own(own)
    refuse_foreign([own])
