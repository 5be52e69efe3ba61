"""The files of generated rooms are those of ScanNet v2, and depend on the seed and the room's number alone."""

import json
import shutil

import numpy as np
import pytest

from pointcloud.datasets.scannet.dataset import NYU40, ScanNetSettings
from pointcloud.generate import write_rooms
from pointcloud.generate.rooms.labels import LABELS, NYU40_DETECTED
from pointcloud.structures.class_names import SCANNET_CLASSES
from tests.pointcloud.generate.reading import read_alignment, read_boxes, read_mesh
from vol3d.errors import UsageError, Vol3dError

COARSE = 0.09


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    out = tmp_path_factory.mktemp("rooms")
    write_rooms(out, scenes=4, seed=5, workers=0, spacing=COARSE)
    return out


def contents(out):
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_the_folder_has_the_files_of_the_download(rooms):
    scans = [f"scene{number:04d}_00" for number in range(4)]
    endings = ("_vh_clean_2.ply", ".txt", ".aggregation.json", "_vh_clean_2.0.010000.segs.json")
    expected = {f"scans/{scan}/{scan}{ending}" for scan in scans for ending in endings}
    expected |= {f"scans_test/scene9000_00/scene9000_00{ending}" for ending in endings[:2]}
    expected |= {"scannetv2_train.txt", "scannetv2_val.txt", "scannetv2_test.txt", "scannetv2-labels.combined.tsv"}
    assert set(contents(rooms)) - {".vol3d-lock"} == expected | {"rooms.json"}


def test_the_lists_share_no_scan_and_name_all(rooms):
    lists = [(rooms / f"scannetv2_{part}.txt").read_text().split() for part in ("train", "val", "test")]
    assert lists == [["scene0000_00", "scene0002_00", "scene0003_00"], ["scene0001_00"], ["scene9000_00"]]


def test_meshes_are_whole_and_segments_cover_them(rooms):
    for folder in (rooms / "scans").iterdir():
        mesh = read_mesh(folder / f"{folder.name}_vh_clean_2.ply")
        assert np.isfinite(mesh.xyz).all() and (mesh.rgba[:, 3] == 255).all() and np.ptp(mesh.rgba[:, :3]) > 50
        assert mesh.triangles.min() >= 0 and mesh.triangles.max() < len(mesh.xyz)
        sides = np.linalg.norm(mesh.xyz[mesh.triangles] - mesh.xyz[np.roll(mesh.triangles, 1, axis=1)], axis=2)
        assert np.median(sides) < 2 * COARSE
        document = json.loads((folder / f"{folder.name}_vh_clean_2.0.010000.segs.json").read_text())
        assert len(document["segIndices"]) == len(mesh.xyz)
        groups = json.loads((folder / f"{folder.name}.aggregation.json").read_text())["segGroups"]
        named = [segment for group in groups for segment in group["segments"]]
        assert len(named) == len(set(named)) and set(named) < set(document["segIndices"])  # some have no name
        assert [group["objectId"] for group in groups] == list(range(len(groups)))


def test_alignments_are_rigid_and_turn_walls_along_the_axes(rooms):
    for folder in (rooms / "scans").iterdir():
        alignment = read_alignment(folder / f"{folder.name}.txt")
        assert np.allclose(alignment[:3, :3] @ alignment[:3, :3].T, np.eye(3), atol=1e-5)
        assert np.linalg.det(alignment) == pytest.approx(1, abs=1e-5)
        assert np.allclose(alignment[2, :3], [0, 0, 1]) and np.allclose(alignment[3], [0, 0, 0, 1])
        walls = [high - low for label, low, high in read_boxes(folder) if label == "wall"]
        assert sum(min(size[:2]) < 0.3 for size in walls) >= 3  # noise at 5 m, both ways
    assert read_alignment(rooms / "scans_test" / "scene9000_00" / "scene9000_00.txt") is None


def test_the_label_map_knows_every_label_and_agrees_with_the_benchmark(rooms):
    rows = [line.split("\t") for line in (rooms / "scannetv2-labels.combined.tsv").read_text().splitlines()]
    assert rows[0][:4] == ["id", "raw_category", "category", "nyu40id"]
    known = {row[1]: int(row[3]) for row in rows[1:]}
    assert len(known) == len(rows) - 1 == len(LABELS)
    used = {label for folder in (rooms / "scans").iterdir() for label, _, _ in read_boxes(folder)}
    assert used <= set(known) and {"wall", "floor", "chair"} <= set(known)
    assert tuple(NYU40.values()) == NYU40_DETECTED


def test_the_package_reads_the_same_boxes(rooms):
    split = ScanNetSettings(root=rooms).split().require()
    assert (len(split.train), len(split.validation), len(split.test)) == (3, 1, 1)
    for reader in split.labelled:
        scene = reader.read()
        found = sorted(
            (SCANNET_CLASSES[label], *np.round(box[:6], 3).tolist())
            for box, label in zip(scene.truth.boxes, scene.truth.labels, strict=True)
        )
        names = {number: name for name, number in NYU40.items()}
        expected = sorted(
            (names[LABELS[label].nyu40id], *np.round([*(low + high) / 2, *(high - low)], 3).tolist())
            for label, low, high in read_boxes(rooms / "scans" / scene.name)
            if LABELS[label].nyu40id in names
        )
        assert [one[0] for one in found] == [one[0] for one in expected]
        assert np.allclose([one[1:] for one in found], [one[1:] for one in expected], atol=2e-3)
    assert len(split.test[0].read().truth.boxes) == 0


def test_any_number_of_workers_writes_the_same_bytes(rooms, tmp_path):
    seen = []
    write_rooms(
        tmp_path, 4, 5, workers=2, progress=lambda done, total, name: seen.append((done, total)), spacing=COARSE
    )
    assert contents(tmp_path) == contents(rooms)
    assert seen == [(number, 5) for number in range(1, 6)]


def test_a_stopped_run_goes_on_and_a_larger_set_begins_with_the_smaller(rooms, tmp_path):
    write_rooms(tmp_path, 2, 5, workers=0, spacing=COARSE)
    done = tmp_path / "scans" / "scene0000_00" / "scene0000_00.txt"
    before = done.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "scans" / "scene0001_00")
    half = tmp_path / "scans" / ".scene0001_00"
    half.mkdir()
    (half / "scene0001_00.txt").write_text("half")
    write_rooms(tmp_path, 4, 5, workers=0, spacing=COARSE)
    assert contents(tmp_path) == contents(rooms)
    assert done.stat().st_mtime_ns == before


def test_another_seed_gives_other_rooms(rooms, tmp_path):
    write_rooms(tmp_path, 2, 6, workers=0, spacing=COARSE)
    mesh = "scans/scene0000_00/scene0000_00_vh_clean_2.ply"
    assert (tmp_path / mesh).read_bytes() != (rooms / mesh).read_bytes()


@pytest.mark.parametrize(
    ("scenes", "seed", "spacing", "where"),
    [(1, 0, 0.05, "scenes"), (0, 0, 0.05, "scenes"), (9001, 0, 0.05, "scenes"), (2, -1, 0.05, "seed"),
     (2, 0, 0.0, "spacing"), (2, 0, float("nan"), "spacing")],
)  # fmt: skip
def test_numbers_out_of_range_are_refused_before_anything_is_written(tmp_path, scenes, seed, spacing, where):
    with pytest.raises(UsageError, match=where):
        write_rooms(tmp_path / "out", scenes, seed, 0, spacing=spacing)
    assert not (tmp_path / "out").exists()


def test_rooms_of_another_seed_are_not_mixed_in(rooms):
    with pytest.raises(UsageError, match="another seed"):
        write_rooms(rooms, 4, 7, 0, spacing=COARSE)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "boxes.json").write_text("{}")
    with pytest.raises(UsageError, match=r"the folder holds something else; got boxes\.json"):
        write_rooms(tmp_path, 2, 0, 0)
    assert list(tmp_path.iterdir()) == [tmp_path / "boxes.json"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(Vol3dError, match="out"):
        write_rooms(tmp_path / "out", 2, 0, 0)
