"""DICOM segmentation objects: written for a series and read back voxel for voxel; real ones equal their NRRD twins."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.scans.dicom.maker import write_series
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.scans import Grid, Segmentation, Volume, read_labels, read_volume, write_segmentation
from vol3d.scans.dicom.seg import read_dicom_seg
from vol3d.scans.volumes.grid import crop, reorient

NAMES = ("background", "liver", "spleen", "left kidney")


def segmented(folder: Path) -> Segmentation:
    volume = read_volume(folder)
    labels = np.random.default_rng(0).integers(0, 4, volume.grid.shape).astype(np.uint8)
    labels[:, :, 0] = 0  # an empty slice, which the object leaves out
    return Segmentation(labels, volume.grid, NAMES, folder)


@pytest.mark.parametrize("present", [(1, 2, 3), (3,), (1, 3)])
def test_round_trip(tmp_path: Path, present: tuple[int, ...]) -> None:
    pytest.importorskip("highdicom")
    write_series(tmp_path / "s")
    made = segmented(tmp_path / "s")
    made.labels[~np.isin(made.labels, present)] = 0
    write_segmentation(tmp_path / "seg.dcm", made)
    back = read_labels(tmp_path / "seg.dcm", made.grid)
    assert back.label_names == dict(enumerate(NAMES[1:], 1))  # also those that are nowhere
    assert np.array_equal(back.array[0], made.labels)
    own = read_labels(tmp_path / "seg.dcm")
    assert own.grid.shape == (3, 4, 5) and np.allclose(own.affine[:3, :3], made.grid.affine[:3, :3])
    assert np.array_equal(own.array[0], made.labels[:, :, 1:])
    assert [note.numbers for note in own.notes] == [{"slices": 5, "of_series": 6}]


def test_real_series(tmp_path: Path, data_root: Path) -> None:
    pytest.importorskip("highdicom")
    for name in ("dicom/hippocampus_crop_study1", "dicom/brain_t1post_study3",
                 "medical_formats/dicom_seg/data/segmentations/23x38x3/multiframe/mf.dcm"):  # fmt: skip
        made = segmented(data_root / name)
        write_segmentation(tmp_path / "seg.dcm", made)
        assert np.array_equal(read_dicom_seg(tmp_path / "seg.dcm", made.grid).array[0], made.labels)


def test_refusals(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    write_series(tmp_path / "s")
    made = segmented(tmp_path / "s")
    grid = made.grid
    with pytest.raises(UsageError, match="needs the DICOM series"):
        write_segmentation(tmp_path / "seg.dcm", Segmentation(made.labels, grid, NAMES, None))
    part = crop(Volume(made.labels[None], grid), (0, 0, 1), grid.shape)
    with pytest.raises(UsageError, match="does not stand on its source"):
        write_segmentation(tmp_path / "seg.dcm", Segmentation(part.array[0], part.grid, NAMES, made.source))
    with pytest.raises(DataError, match="needs named classes"):
        write_segmentation(tmp_path / "seg.dcm", Segmentation(made.labels, grid, NAMES[:2], made.source))
    assert not (tmp_path / "seg.dcm").exists()
    (tmp_path / "bad.dcm").write_bytes(b"x" * 300)
    with pytest.raises(DataError, match="not a DICOM segmentation"):
        read_dicom_seg(tmp_path / "bad.dcm")


def test_other_scan(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    write_series(tmp_path / "s")
    made = segmented(tmp_path / "s")
    write_segmentation(tmp_path / "seg.dcm", made)
    moved = made.grid.affine.copy()
    moved[0, 3] += 0.4
    with pytest.raises(DataError, match="does not stand on the image's voxels"):
        read_dicom_seg(tmp_path / "seg.dcm", Grid(made.grid.shape, moved))


def test_without_highdicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "s")
    made = segmented(tmp_path / "s")
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(Vol3dError, match=r"vol3d\[dicom\]"):
        write_segmentation(tmp_path / "seg.dcm", made)


def test_real_objects_equal_their_nrrd(data_root: Path) -> None:
    pytest.importorskip("highdicom")
    folder = data_root / "medical_formats/dicom_seg/data/segmentations"
    for seg, nrrd in (
        ("liver.dcm", "liver_seg.nrrd"),
        ("23x38x3/seg/label.seg", "23x38x3/nrrd/label.nrrd"),
        ("24x38x3/seg/label.seg", "24x38x3/nrrd/label.nrrd"),
    ):
        ours, theirs = reorient(read_labels(folder / seg), "LPS"), reorient(read_labels(folder / nrrd), "LPS")
        assert ours.grid.same_place(theirs.grid, 0.01), seg
        assert np.array_equal(ours.array > 0, theirs.array > 0), seg
    with pytest.raises(DataError, match="overlap"):
        read_labels(folder / "partial_overlaps.dcm")
