"""Prepared arrays: equal to preparing in memory, resumable, refused where they are not what is wanted."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

from medical.datasets import prepared
from medical.datasets.cases import Case
from medical.datasets.folder import FolderSettings
from medical.datasets.msd import MsdSettings
from medical.datasets.pairs import read_pair
from medical.datasets.prepare import _bytes, prepare
from medical.datasets.prepared import load_prepared
from medical.preprocess import PreprocessSettings, prepare_labels
from medical.preprocess import prepare as prepare_image
from tests.medical.synthetic import write_msd
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.files import sha256
from vol3d.lock import lock
from vol3d.scans import read_volume, write_nifti

SETTINGS = PreprocessSettings(spacing_mm=(2, 1, 1))


def _times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cases").iterdir()}


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_as_in_memory(tmp_path: Path, workers: int) -> None:
    task = write_msd(tmp_path, cases=5, channel_names=("T1", "T2"), orientation="LPS")
    split = MsdSettings(root=task).split()
    before = {path: sha256(path) for path in task.rglob("*.nii.gz")}
    made = prepare(split, SETTINGS, tmp_path / "out", workers)
    for case in split.labelled:
        image, label = read_pair(case, split.class_names, split.channel_names)
        ready = prepare_image(image, SETTINGS)
        stored = made.read(case.name)
        assert isinstance(stored[0], np.memmap) and stored[0].dtype == np.float32 and stored[1].dtype == np.uint8
        np.testing.assert_array_equal(stored[0], ready.array)
        np.testing.assert_array_equal(stored[1], prepare_labels(label, ready.grid).array)
        np.testing.assert_array_equal(made.grids[case.name].affine, ready.grid.affine)
    assert before == {path: sha256(path) for path in task.rglob("*.nii.gz")}, "the originals are as they were"
    assert not [path for path in (tmp_path / "out").rglob("*tmp*")]


def test_only_what_changed_is_made_again(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=5)
    split, out = MsdSettings(root=task).split(), tmp_path / "out"
    prepare(split, SETTINGS, out, 0)
    first = _times(out)
    prepare(MsdSettings(root=task, fold=2).split(), SETTINGS, out, 0)
    assert _times(out) == first, "another fold needs nothing new"
    shutil.copy(task / "imagesTr/blobs_001.nii.gz", task / "imagesTr/blobs_002.nii.gz")
    (out / "cases/blobs_003.label.npy").unlink()
    (out / "cases/blobs_004.json").unlink()
    (out / "cases/blobs_005.json").write_text("damaged")
    prepare(split, SETTINGS, out, 0)
    second = _times(out)
    made = {name.split(".")[0] for name in second if second[name] != first[name]}
    assert made == {"blobs_002", "blobs_003", "blobs_004", "blobs_005"}


def test_a_bad_case_does_not_stop_the_others(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=5)
    good = (task / "imagesTr/blobs_002.nii.gz").read_bytes()
    (task / "imagesTr/blobs_002.nii.gz").write_bytes(good[:300])
    split, out = MsdSettings(root=task).split(), tmp_path / "out"
    with pytest.raises(DataError, match="1 of 5 cases cannot be prepared; got blobs_002: ") as error:
        prepare(split, SETTINGS, out, 0)
    assert "blobs_002.nii.gz" in str(error.value)
    assert len(list(out.glob("cases/*.image.npy"))) == 4 and not (out / "prepared.json").exists()
    with pytest.raises(DataError, match="no prepared data set"):
        load_prepared(out)
    (task / "imagesTr/blobs_002.nii.gz").write_bytes(good)
    assert len(prepare(split, SETTINGS, out, 0).grids) == 5


def test_other_settings_are_refused_by_key(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=5)
    split, out = MsdSettings(root=task).split(), tmp_path / "out"
    prepare(split, SETTINGS, out, 0)
    assert load_prepared(out, SETTINGS, split).class_names == split.class_names
    other = PreprocessSettings(spacing_mm=(1, 1, 1))
    for call in (lambda: load_prepared(out, other), lambda: prepare(split, other, out, 0)):
        with pytest.raises(UsageError, match=r"another preprocess\.spacing_mm; got .*2\.0.*wanted .*1\.0"):
            call()
    more = MsdSettings(root=write_msd(tmp_path / "more", cases=6)).split()
    with pytest.raises(UsageError, match="1 cases are not prepared; got blobs_006"):
        load_prepared(out, SETTINGS, more)
    with pytest.raises(UsageError, match="nobody"):
        load_prepared(out).read("nobody")


@pytest.mark.parametrize("part", ["imagesTr", "labelsTr"])
def test_originals_that_changed_are_refused_by_case_until_they_are_prepared_again(tmp_path: Path, part: str) -> None:
    task = write_msd(tmp_path, cases=5)
    split, out = MsdSettings(root=task).split(), tmp_path / "out"
    prepare(split, SETTINGS, out, 0)
    for path in task.rglob("*.nii.gz"):
        os.utime(path, ns=(1, 1))  # a copy has other times and the same content
    assert len(load_prepared(out, SETTINGS, split).grids) == 5
    shutil.copy(task / part / "blobs_001.nii.gz", task / part / "blobs_002.nii.gz")
    with pytest.raises(DataError, match=r"1 cases have changed since .* got blobs_002\. Run `vol3d data prepare`"):
        load_prepared(out, SETTINGS, split)
    assert len(load_prepared(out).grids) == 5, "the arrays alone are as they were"
    prepare(split, SETTINGS, out, 0)
    assert len(load_prepared(out, SETTINGS, split).grids) == 5


def test_only_the_times_of_the_originals_are_looked_at_while_they_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, out = MsdSettings(root=write_msd(tmp_path, cases=5)).split(), tmp_path / "out"
    prepare(split, SETTINGS, out, 0)
    monkeypatch.setattr(prepared, "sha256", lambda path: pytest.fail("a file was read"))
    load_prepared(out, SETTINGS, split)


def test_voxels_beside_their_header_belong_to_the_original(tmp_path: Path) -> None:
    header = "ObjectType = Image\nNDims = 3\nDimSize = 8 8 8\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\n"
    for folder in ("images", "labels"):
        (tmp_path / "mine" / folder).mkdir(parents=True)
        for case in "abcde":
            path = tmp_path / "mine" / folder / f"{case}.mhd"
            path.write_text(f"{header}ElementDataFile = {case}.raw\n")
            path.with_suffix(".raw").write_bytes(bytes(range(ord(case) % 2, 2)) * (512 // (2 - ord(case) % 2)))
    (tmp_path / "mine" / "dataset.json").write_text('{"classes": ["background", "liver"]}')
    split = FolderSettings(root=tmp_path / "mine").split()
    prepare(split, SETTINGS, tmp_path / "out", 0)
    load_prepared(tmp_path / "out", SETTINGS, split)
    voxels = tmp_path / "mine" / "labels" / "c.raw"
    before = voxels.stat()
    voxels.write_bytes(bytes(512))
    os.utime(voxels, ns=(before.st_atime_ns, before.st_mtime_ns))  # of the same size and time, as from an archive
    with pytest.raises(DataError, match=r"1 cases have changed since .* got c\."):
        load_prepared(tmp_path / "out", SETTINGS, split)


def test_damage_is_told(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=5)
    split, out = MsdSettings(root=task).split(), tmp_path / "out"
    made = prepare(split, SETTINGS, out, 0)
    path = out / "cases/blobs_001.image.npy"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match=r"blobs_001\.image\.npy"):
        made.read("blobs_001")
    np.save(out / "cases/blobs_002.label.npy", np.zeros((1, 2, 2, 2), np.uint8))
    with pytest.raises(DataError, match="damaged; got blobs_002"):
        made.read("blobs_002")
    index = json.loads((out / "prepared.json").read_text())
    (out / "prepared.json").write_text(json.dumps({**index, "format": 99}))
    with pytest.raises(DataError, match="another release; got 99"):
        load_prepared(out)
    (out / "prepared.json").write_text("{}")
    with pytest.raises(DataError, match="index of the prepared data set is damaged"):
        load_prepared(out)


def test_places_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = write_msd(tmp_path, cases=5)
    split = MsdSettings(root=task).split()
    with pytest.raises(UsageError, match="originals lie in this folder"):
        prepare(split, SETTINGS, task / "imagesTr", 0)
    (tmp_path / "file").touch()
    with pytest.raises(Vol3dError, match="cannot make the folder"):
        prepare(split, SETTINGS, tmp_path / "file" / "out", 0)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(Vol3dError, match=r"too little room on the disk; got 0\.0 GiB free"):
        prepare(split, SETTINGS, tmp_path / "full", 0)
    assert not list((tmp_path / "full" / "cases").iterdir())


HEADER = "ObjectType = Image\nNDims = 3\nDimSize = 40 30 20\nElementSpacing = 1 1 2\nElementType = MET_UCHAR\n"


def test_the_room_that_is_needed_is_that_of_the_voxels_wherever_they_are(tmp_path: Path) -> None:
    wanted = 40 * 30 * 20 * 2 // 4 * 5  # at 2 x 2 x 1 mm: half of the voxels, float32 and a label
    voxels = bytes(40 * 30 * 20)
    (tmp_path / "a.raw").write_bytes(voxels)
    (tmp_path / "a.mhd").write_text(f"{HEADER}ElementDataFile = a.raw\n")
    (tmp_path / "b.mha").write_bytes(f"{HEADER}ElementDataFile = LOCAL\n".encode() + voxels)
    packed = f"{HEADER}CompressedData = True\nElementDataFile = LOCAL\n".encode()
    (tmp_path / "c.mha").write_bytes(packed + zlib.compress(voxels))
    write_nifti(tmp_path / "d.nii.gz", read_volume(tmp_path / "a.mhd"))
    (tmp_path / "e.mha").write_text("ObjectType = Image\n")
    sizes = {name: _bytes(Case("one", (tmp_path / name,)), PreprocessSettings(spacing_mm=(2, 2, 1))) for name in (
        "a.mhd", "b.mha", "c.mha", "d.nii.gz", "e.mha")}  # fmt: skip
    assert sizes == {**dict.fromkeys(("a.mhd", "b.mha", "c.mha", "d.nii.gz"), wanted), "e.mha": 0}


@pytest.mark.skipif(os.name == "nt", reason="the lock of a process is asked from the same process")
def test_a_second_run_in_the_folder(tmp_path: Path) -> None:
    split = MsdSettings(root=write_msd(tmp_path, cases=5)).split()
    (tmp_path / "out").mkdir()
    with lock(tmp_path / "out"), pytest.raises(Vol3dError, match="another run"):
        prepare(split, SETTINGS, tmp_path / "out", 0)
