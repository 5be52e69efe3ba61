"""Prepared scenes: what the readers give, made once, mapped from the disk, refused where they have changed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pointcloud.datasets import scenes
from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.datasets.prepare import prepare
from pointcloud.datasets.prepared import PreparedScene, is_prepared, prepared_split
from pointcloud.datasets.scannet.dataset import ScanNetSettings
from pointcloud.structures.class_names import SCANNET_CLASSES
from pointcloud.training.augment import SceneAugmentSettings
from pointcloud.training.samples import SceneSamples
from tests.pointcloud.datasets.makers import edit_boxes, room, write_point_folder, write_scannet
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.files import sha256
from vol3d.lock import lock


def times(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "scenes").iterdir()}


@pytest.mark.parametrize("workers", [0, 2])
def test_prepared_scenes_are_the_scenes(tmp_path: Path, workers: int) -> None:
    root, out = write_scannet(tmp_path / "raw"), tmp_path / "out"
    before = {path: sha256(path) for path in root.rglob("*") if path.is_file()}
    split = ScanNetSettings(root=root).split()
    prepare(split, out, workers)
    again = ScanNetSettings(root=out).split()
    assert again.class_names == SCANNET_CLASSES and again.name == split.name
    for part in ("train", "validation", "test"):
        assert [one.name for one in getattr(again, part)] == [one.name for one in getattr(split, part)]
    for made, original in zip((*again.labelled, *again.test), (*split.labelled, *split.test), strict=True):
        scene, wanted = made.read(), original.read()
        assert isinstance(scene.cloud.xyz, np.memmap)
        np.testing.assert_array_equal(scene.cloud.xyz, wanted.cloud.xyz)
        np.testing.assert_array_equal(scene.cloud.columns["rgb"], wanted.cloud.columns["rgb"])
        np.testing.assert_array_equal(scene.truth.boxes, wanted.truth.boxes)
        np.testing.assert_array_equal(scene.truth.labels, wanted.truth.labels)
        assert scene.truth.frame == wanted.truth.frame
    assert before == {path: sha256(path) for path in root.rglob("*") if path.is_file()}, (
        "the originals are as they were"
    )
    assert not list(out.rglob("*tmp*"))


def test_origin_notes_and_any_column_survive(tmp_path: Path) -> None:
    root = write_point_folder(tmp_path / "mine", 1, validation=[])
    table = np.concatenate([room(0).xyz + np.array([5e5, 0, 0]), np.arange(3600)[:, None] % 7], 1)
    np.save(root / "room0.npy", table)
    settings = PointFolderSettings(root=root, columns=("x", "y", "z", "intensity"))
    wanted = settings.split().train[0].read()
    scene = prepare(settings.split(), tmp_path / "out", 0).train[0].read()
    np.testing.assert_array_equal(scene.cloud.origin, wanted.cloud.origin)
    assert scene.cloud.notes == wanted.cloud.notes and wanted.cloud.origin.any()
    assert [str(note) for note in scene.cloud.notes] == [str(note) for note in wanted.cloud.notes]
    np.testing.assert_array_equal(scene.cloud.columns["intensity"], wanted.cloud.columns["intensity"])


def test_what_an_earlier_release_prepared_keeps_its_sentences(tmp_path: Path) -> None:
    root, out = write_point_folder(tmp_path / "mine", 1, validation=[]), tmp_path / "out"
    prepare(PointFolderSettings(root=root).split(), out, 0)
    path = out / "scenes" / "room0.json"
    record = json.loads(path.read_text())
    del record["assumptions"]
    path.write_text(json.dumps(record))
    (reader,) = prepared_split(out).train
    assert [str(note) for note in reader.read().cloud.notes] == record["notes"] != []


def test_only_what_changed_is_made_again(tmp_path: Path) -> None:
    root, out = write_point_folder(tmp_path / "mine", 5), tmp_path / "out"
    prepare(PointFolderSettings(root=root).split(), out, 0)
    first = times(out)
    edit_boxes(root, validation=["room1.npy"])
    assert len(prepare(PointFolderSettings(root=root).split(), out, 0).validation) == 1
    assert times(out) == first, "another split needs nothing new"
    np.save(root / "room1.npy", room(11).xyz)
    (out / "scenes/room2.points.npy").unlink()
    (out / "scenes/room3.json").write_text("damaged")
    path = out / "scenes/room4.points.npy"
    path.write_bytes(path.read_bytes()[:5000])
    split = prepare(PointFolderSettings(root=root).split(), out, 0)
    second = times(out)
    assert {name.split(".")[0] for name in second if second[name] != first[name]} == {f"room{n}" for n in range(1, 5)}
    for number, reader in ((0, 0), (11, split.validation[0]), (4, split.train[-1])):
        scene = (split.train[0] if reader == 0 else reader).read()
        np.testing.assert_array_equal(scene.cloud.xyz, room(number).xyz)


def test_killed_anywhere_it_goes_on(tmp_path: Path) -> None:
    root, out = write_point_folder(tmp_path / "mine", 30), tmp_path / "out"
    code = (
        "import sys; from pathlib import Path\n"
        "from pointcloud.datasets.point_folder import PointFolderSettings as S\n"
        "from pointcloud.datasets.prepare import prepare\n"
        "prepare(S(root=Path(sys.argv[1])).split(), Path(sys.argv[2]), 0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code, str(root), str(out)], env=environment)
    try:
        end = time.monotonic() + 60
        while len(list(out.glob("scenes/*.json"))) < 3 and time.monotonic() < end and process.poll() is None:
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
        process.wait()
    kept = {name: stamp for name, stamp in times(out).items() if name.endswith(".json") and not name.startswith(".")}
    if not (out / "index.json").exists():
        with pytest.raises(DataError, match="the preparation did not finish"):
            PointFolderSettings(root=out).split()
    split = prepare(PointFolderSettings(root=root).split(), out, 0)
    assert len(split.labelled) == 30 and not list(out.rglob(".vol3d-tmp*"))
    now = times(out)
    assert kept and all(now[name] == stamp for name, stamp in kept.items())
    for reader in split.labelled:
        assert isinstance(reader, PreparedScene)
        reader.verify()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted by Linux' /proc")
def test_training_keeps_no_file_of_a_scene_open(tmp_path: Path) -> None:
    split = prepare(PointFolderSettings(root=write_point_folder(tmp_path / "mine", 8)).split(), tmp_path / "out", 0)
    samples = SceneSamples(split.labelled, 100, (), SceneAugmentSettings())
    samples.sample(0, np.random.default_rng(0))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for index in range(8):
        samples.sample(index, np.random.default_rng(0))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_bad_scene_does_not_stop_the_others(tmp_path: Path) -> None:
    root, out = write_point_folder(tmp_path / "mine", 4), tmp_path / "out"
    good = (root / "room2.npy").read_bytes()
    (root / "room2.npy").write_bytes(good[:999])
    with pytest.raises(DataError, match=r"1 of 4 scenes cannot be prepared; got room2: .*room2\.npy"):
        prepare(PointFolderSettings(root=root).split(), out, 0)
    assert len(list(out.glob("scenes/*.points.npy"))) == 3 and not (out / "index.json").exists()
    (root / "room2.npy").write_bytes(good)
    assert len(prepare(PointFolderSettings(root=root).split(), out, 0).labelled) == 4
    edit_boxes(root, scenes={"room9.npy": []}, validation=[])
    with pytest.raises(DataError, match=r"room9\.npy does not exist"):
        prepare(PointFolderSettings(root=root).split(), out, 0)


def test_another_data_set_in_the_folder_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(ScanNetSettings(root=write_scannet(tmp_path / "raw", 1, 1, 0)).split(), out, 0)
    with pytest.raises(UsageError, match="the folder was prepared with another class_names, name"):
        prepare(PointFolderSettings(root=write_point_folder(tmp_path / "mine")).split(), out, 0)
    with lock(out), pytest.raises(Vol3dError, match="another run"):
        prepare(ScanNetSettings(root=tmp_path / "raw").split(), out, 0)
    (tmp_path / "file").touch()
    with pytest.raises(Vol3dError):
        prepare(ScanNetSettings(root=tmp_path / "raw").split(), tmp_path / "file" / "out", 0)


def prepared_folder(tmp_path: Path) -> tuple[PointFolderSettings, Path]:
    data, out = PointFolderSettings(root=write_point_folder(tmp_path / "all/mine", 5)), tmp_path / "all/out"
    prepare(data.split(), out, 0, data=data)
    return data, out


def without_boxes(root: Path, file: str) -> None:
    scenes = json.loads((root / "boxes.json").read_text())["scenes"]
    edit_boxes(root, scenes={**scenes, file: []})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: np.save(root / "room1.npy", room(11).xyz), "1 scenes have changed since .* got room1"),
        (lambda root: edit_boxes(root, validation=["room1.npy"]), "have changed since .* got room"),
        (lambda root: without_boxes(root, "room3.npy"), "1 scenes have changed since .* got room3"),
        (lambda root: (root / "room2.npy").unlink(), "1 scenes have changed since .* got room2"),
        (lambda root: rewrite_unnoticed(root / "room3.npy"), "1 scenes have changed since .* got room3"),
        (lambda root: (root / "boxes.json").write_text("{"), "can no longer be read"),
    ],
)
def test_originals_that_changed_are_refused_until_they_are_prepared_again(tmp_path: Path, change, message) -> None:
    data, out = prepared_folder(tmp_path)
    assert len(PointFolderSettings(root=out).split().labelled) == 5
    change(data.root)
    with pytest.raises(DataError, match=message) as caught:
        PointFolderSettings(root=out).split()
    assert "Run `vol3d data prepare` again" in str(caught.value)
    data.root.rename(tmp_path / "away")
    assert len(PointFolderSettings(root=out).split().labelled) == 5


def rewrite_unnoticed(path: Path) -> None:
    """Other points in a file of the same size and time, as from an archive."""
    before = path.stat()
    np.save(path, np.load(path)[::-1])
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_originals_that_changed_are_prepared_again(tmp_path: Path) -> None:
    data, out = prepared_folder(tmp_path)
    np.save(data.root / "room1.npy", room(11).xyz)
    prepare(data.split(), out, 0, data=data)
    assert len(PointFolderSettings(root=out).split().labelled) == 5


def test_originals_that_were_moved_or_copied_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out = prepared_folder(tmp_path)
    (tmp_path / "all").rename(tmp_path / "moved")
    out = tmp_path / "moved" / "out"
    with monkeypatch.context() as patch:
        patch.setattr(scenes, "sha256", lambda path: pytest.fail("a file was read"))
        assert len(PointFolderSettings(root=out).split().labelled) == 5
    for path in (tmp_path / "moved" / "mine").iterdir():
        os.utime(path, ns=(1, 1))
    assert len(PointFolderSettings(root=out).split().labelled) == 5


def test_damage_is_told(tmp_path: Path) -> None:
    root, out = write_point_folder(tmp_path / "mine", 4), tmp_path / "out"
    split = prepare(PointFolderSettings(root=root).split(), out, 0)
    readers = {one.name: one for one in split.labelled}
    scenes = out / "scenes"
    changed = bytearray((scenes / "room0.points.npy").read_bytes())
    changed[-1] ^= 1
    (scenes / "room0.points.npy").write_bytes(changed)
    with pytest.raises(DataError, match="not what was written"):
        readers["room0"].verify()  # type: ignore[attr-defined]
    np.save(scenes / "room1.points.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(DataError, match=r"room1\.json: a prepared scene is damaged; got \[2\] points, wanted 3600"):
        readers["room1"].read()
    (scenes / "room2.points.npy").unlink()
    with pytest.raises(DataError, match=r"no such file\. Run"):
        readers["room2"].read()
    (scenes / "room3.json").write_text("{}")
    with pytest.raises(DataError, match=r"room3\.json: a prepared scene is damaged"):
        readers["room3"].read()


def test_the_index_is_believed_only_as_it_should_be(tmp_path: Path) -> None:
    root, out = write_point_folder(tmp_path / "mine", 4), tmp_path / "out"
    prepare(PointFolderSettings(root=root).split(), out, 0)
    assert is_prepared(out) and not is_prepared(root)
    with pytest.raises(DataError, match="other classes; got chair, table, can, wanted cabinet"):
        ScanNetSettings(root=out).split()
    index = json.loads((out / "index.json").read_text())
    (out / "index.json").write_text(json.dumps({**index, "format": 99}))
    with pytest.raises(DataError, match="another release; got 99, wanted 1"):
        prepared_split(out)
    (out / "index.json").write_text("[]")
    with pytest.raises(DataError, match="not the index of a prepared data set"):
        prepared_split(out)
    shutil.rmtree(out / "scenes")
    (out / "index.json").unlink()
    with pytest.raises(DataError, match="JSON of the boxes is missing"):
        PointFolderSettings(root=out).split()
