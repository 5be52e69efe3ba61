"""Files become the scene that a person means, and what does not fit together is reported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.view.scenes import BOXES, detections, room_points, write_organs, write_room
from vol3d.errors import DataError, UsageError
from vol3d.prediction import MaskPrediction
from vol3d.scans import PointCloud, Segmentation, Volume, read_volume, write_detections, write_nifti
from vol3d.scans.digest import of_scan
from vol3d.scans.points.options import ReadOptions
from vol3d.scans.results.record import Record, record_path
from vol3d.scans.source import ScanSource
from vol3d.scans.volumes.appearance import grey_window, looks_like_labels
from vol3d.scans.volumes.orientation import reorient
from vol3d.view.load.read import load_view
from vol3d.view.scene import FOUND, TRUTH, Opening


def test_a_scan_with_its_boxes(tmp_path: Path):
    scene = load_view(write_room(tmp_path), points=ReadOptions(up="z", units="m"))
    np.testing.assert_array_equal(scene.points[0].xyz, room_points())
    np.testing.assert_allclose(scene.boxes[0].detections.boxes, BOXES, atol=1e-6)
    assert [(layer.name, layer.scored) for layer in scene.boxes] == [(FOUND, True)]
    assert list(scene.class_colours) == ["chair", "table"]


def test_the_boxes_alone_find_their_scan_beside_them_and_above(tmp_path: Path):
    _, boxes = write_room(tmp_path)
    assert load_view([boxes]).points[0].name == "room.npy"
    (tmp_path / "out").mkdir()
    moved = boxes.rename(tmp_path / "out" / "room.json")
    assert load_view([moved]).points[0].name == "room.npy"


def test_boxes_without_their_scan_are_refused_until_it_is_given(tmp_path: Path):
    scan, boxes = write_room(tmp_path)
    moved = scan.rename(tmp_path / "else.npy")
    with pytest.raises(UsageError, match=r"room\.json: the scan of this result was not found; wanted room\.npy"):
        load_view([boxes])
    scene = load_view([boxes], scan=moved)
    assert len(scene.points[0].xyz) and len(scene.boxes[0].detections) == 3
    assert any("belongs to room.npy by its own account" in note for note in scene.notes)
    value = json.loads(boxes.read_text()) | {"source": None}
    boxes.write_text(json.dumps(value))
    with pytest.raises(UsageError, match="does not say which scan it belongs to"):
        load_view([boxes])


def test_the_columns_that_predict_was_given_are_those_of_the_view(tmp_path: Path):
    scan, boxes = write_room(tmp_path)
    xyz = room_points()
    brightness = np.linspace(0, 0.5, len(xyz), dtype=np.float32)
    np.save(scan, np.column_stack([xyz, np.zeros_like(brightness), brightness]))
    record = of_scan(
        Record(settings={"predict.columns": ["x", "y", "z", "ring", "intensity"]}), ScanSource(scan, "room")
    )
    write_detections(boxes, detections(), PointCloud(xyz, source=scan), record)
    np.testing.assert_allclose(load_view([boxes]).points[0].intensity, brightness)


def of_scan_at(scan: Path) -> Record:
    return of_scan(Record(model="m"), ScanSource(scan, "room"))


def test_a_result_knows_its_scan_by_its_content(tmp_path: Path):
    scan, boxes = write_room(tmp_path)
    write_detections(boxes, detections(), PointCloud(room_points(), source=scan), of_scan_at(scan))
    assert load_view([boxes]).points[0].name == "room.npy"
    renamed = scan.rename(tmp_path / "kitchen.npy")
    assert load_view([renamed, boxes]).points[0].name == "kitchen.npy"
    np.save(scan, room_points()[::2])
    with pytest.raises(UsageError, match=r"only another one of its name; got .*room\.npy\. Give it with --scan"):
        load_view([boxes])
    with pytest.raises(UsageError, match=r"another scan; got room\.npy, of that name but with another content"):
        load_view([scan, boxes])
    assert any("its SHA-256 is another one" in note for note in load_view([boxes], scan=scan).notes)
    assert not any("SHA-256" in note for note in load_view([boxes], scan=renamed).notes)


def written_mask(scan: Path, out: Path) -> Path:
    volume, labels = read_volume(scan), np.zeros((20, 24, 28), np.uint8)
    labels[4:10, 5:15, 6:20] = 1
    found = Segmentation(labels, volume.grid, ("background", "left", "right"), scan)
    return MaskPrediction(found, volume, record=of_scan_at(scan)).save(out)


def test_a_mask_alone_finds_its_scan_or_is_shown_alone_with_a_note(tmp_path: Path):
    scan, _ = write_organs(tmp_path)
    mask = written_mask(scan, tmp_path / "out")
    for given in (mask, record_path(mask)):
        scene = load_view([given])
        assert scene.volume is not None and scene.volume.name == "scan.nii.gz" and not scene.notes
        assert scene.volume.volume.array.max() > 100 and len(scene.volume.masks) == 1
    assert load_view([mask, record_path(mask)]).sources[0] == mask
    moved = scan.rename(tmp_path / "patient.nii.gz")
    alone = load_view([mask])
    assert alone.volume is not None and alone.volume.volume.array.max() == 1
    assert "the scan of this result was not found" in alone.notes[0]
    assert load_view([mask], scan=moved).notes == ()
    assert load_view([moved, mask]).notes == ()


def test_a_mask_on_the_scan_of_another_patient_is_refused_or_noted(tmp_path: Path):
    scan, _ = write_organs(tmp_path)
    mask = written_mask(scan, tmp_path / "out")
    volume = read_volume(scan)
    write_nifti(tmp_path / "other.nii.gz", Volume(volume.array + 1, volume.grid))
    with pytest.raises(UsageError, match=r"belongs to another scan; got other\.nii\.gz, wanted scan\.nii\.gz"):
        load_view([tmp_path / "other.nii.gz", mask])
    assert "SHA-256" in load_view([mask], scan=tmp_path / "other.nii.gz").notes[0]
    with pytest.raises(UsageError, match="not a scan of these results"):
        load_view([mask], scan=write_room(tmp_path)[0])


def test_the_scan_named_by_a_result_never_leads_to_another_place(tmp_path: Path):
    _, boxes = write_room(tmp_path)
    (tmp_path / "in").mkdir()
    value = json.loads(boxes.read_text()) | {"source": "../../../../etc/passwd"}
    (tmp_path / "in" / "a.json").write_text(json.dumps(value))
    with pytest.raises(UsageError, match="was not found; wanted passwd"):
        load_view([tmp_path / "in" / "a.json"])


def test_a_result_in_a_folder_beside_that_of_the_scans_finds_its_scan(tmp_path: Path):
    for folder in ("work/scans", "work/out", "other"):
        (tmp_path / folder).mkdir(parents=True)
    scan, beside = write_room(tmp_path / "work" / "scans")
    result = tmp_path / "work" / "out" / "room.json"
    write_detections(result, detections(), PointCloud(room_points(), source=scan))
    assert len(load_view([result, beside]).points) == 1
    (tmp_path / "work").rename(tmp_path / "moved")
    result = tmp_path / "moved" / "out" / "room.json"
    assert load_view([result]).sources[0].resolve() == tmp_path / "moved" / "scans" / "room.npy"
    whole = json.loads(result.read_text())
    scan = (tmp_path / "moved" / "scans" / "room.npy").rename(tmp_path / "other" / "else.npy")
    for way in (str(scan), "../../other/else.npy"):  # absolute, or to what has another name
        result.write_text(json.dumps(whole | {"source_path": way}))
        with pytest.raises(UsageError, match="was not found"):
            load_view([result])
    result.write_text(json.dumps(whole | {"source_path": 5}))
    with pytest.raises(DataError, match="source is no name"):
        load_view([result])


def test_a_whole_folders_boxes_show_the_scene_that_is_asked_for(tmp_path: Path):
    names = ("first.npy", "up/second.npy")
    (tmp_path / "up").mkdir()
    for name in names:
        np.save(tmp_path / name, room_points())
    scenes = {name: [{"class": "chair", "center": [1 + n, 1, 0.5], "size": [1, 1, 1]}] for n, name in enumerate(names)}
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"format": 1, "class_names": ["chair"], "scenes": scenes}))
    first = load_view([path])
    assert first.points[0].name == "first.npy" and any("2 scenes and first.npy" in note for note in first.notes)
    second = load_view([tmp_path / names[1], path])
    assert second.boxes[0].detections.boxes[0, 0] == 2 and not any("scenes" in note for note in second.notes)
    np.save(tmp_path / "third.npy", room_points())
    with pytest.raises(UsageError, match=r"belong to other scans.*third\.npy.*first\.npy"):
        load_view([tmp_path / "third.npy", path])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenes": {}}, "no scenes"),
        ({"class_names": "chair"}, "class_names"),
        ({"scenes": {"a.npy": [{"class": "x"}]}}, r"a\.npy"),
    ],
)
def test_a_whole_folders_boxes_that_make_no_sense_are_refused(tmp_path: Path, changes: dict, message: str):
    path = tmp_path / "boxes.json"
    np.save(tmp_path / "a.npy", room_points())
    path.write_text(json.dumps({"format": 1, "class_names": ["chair"], "scenes": {"a.npy": []}} | changes))
    with pytest.raises(DataError, match=message):
        load_view([path])


def test_of_a_mesh_the_surface_is_shown(tmp_path: Path):
    path = tmp_path / "wall.ply"
    corners = "0 0 0\n4 0 0\n4 0 3\n0 0 3\n"
    header = "element vertex 4\nproperty float x\nproperty float y\nproperty float z\nelement face 2\n"
    faces = "property list uchar int vertex_indices\nend_header\n"
    path.write_text(f"ply\nformat ascii 1.0\n{header}{faces}{corners}3 0 1 2\n3 0 2 3\n")
    (layer,) = load_view([path], points=ReadOptions(up="z", units="m")).points
    assert len(layer.xyz) > 10_000 and np.ptp(layer.xyz, axis=0).tolist() == pytest.approx([4, 0, 3], abs=0.05)


def test_annotations_beside_detections_have_a_colour_of_their_own(tmp_path: Path):
    scan, boxes = write_room(tmp_path)
    truth = tmp_path / "truth.json"
    write_detections(truth, detections((1, 1, 1)), PointCloud(room_points(), source=scan))
    layers = {layer.name: layer for layer in load_view([scan, boxes, truth]).boxes}
    assert layers[TRUTH].colour is not None and layers[FOUND].colour is None
    assert load_view([scan, truth]).boxes[0].colour is None


def test_points_follow_the_axes_and_unit_of_their_boxes(tmp_path: Path):
    scan, boxes = write_room(tmp_path)
    turned = (room_points() @ np.array([(1, 0, 0), (0, 0, -1), (0, 1, 0)], np.float32)) * 1000  # y up, millimetres
    np.save(scan, turned)
    value = json.loads(boxes.read_text())
    file_from_scan = np.eye(4)
    file_from_scan[:3, :3] = 1000 * np.array([(1, 0, 0), (0, 0, 1), (0, -1, 0)])
    value["file_from_scan"] = file_from_scan.tolist()
    boxes.write_text(json.dumps(value))
    for options in (ReadOptions(), ReadOptions(up="x", units="cm")):
        scene = load_view([scan, boxes], points=options)
        np.testing.assert_allclose(scene.points[0].xyz, room_points(), atol=1e-4)


def test_boxes_of_a_scan_far_from_the_origin_lie_on_it(tmp_path: Path):
    far = room_points() + np.array((500_000.0, 4_000_000.0, 100.0))
    scan = tmp_path / "far.npy"
    np.save(scan, far)
    origin = np.array((500_000.0, 4_000_000.0, 100.0))
    write_detections(tmp_path / "far.json", detections(), PointCloud(room_points(), origin=origin, source=scan))
    scene = load_view([scan, tmp_path / "far.json"], points=ReadOptions(up="z", units="m"))
    shift = origin - scene.origin
    np.testing.assert_allclose(scene.boxes[0].detections.boxes[:, :3], BOXES[:, :3] + shift, atol=1e-3)
    np.testing.assert_allclose(scene.points[0].xyz, room_points() + shift, atol=1e-3)


def test_boxes_of_another_scan_are_refused(tmp_path: Path):
    _, boxes = write_room(tmp_path)
    np.save(tmp_path / "kitchen.npy", room_points())
    with pytest.raises(UsageError, match=r"another scan.*kitchen.npy.*room.npy"):
        load_view([tmp_path / "kitchen.npy", boxes])


def test_boxes_far_from_all_points_are_refused(tmp_path: Path):
    scan, boxes = write_room(tmp_path)
    np.save(scan, room_points() + np.float32(40))
    with pytest.raises(DataError, match="outside of the scan"):
        load_view([scan, boxes])


def test_a_cloud_without_a_point_is_refused(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros((0, 3), np.float32))
    with pytest.raises(DataError, match="no points"):
        load_view([tmp_path / "a.npy"])
    np.save(tmp_path / "a.npy", np.full((5, 3), np.nan, np.float32))
    with pytest.raises(DataError, match="finite"):
        load_view([tmp_path / "a.npy"])


def test_points_that_are_not_finite_are_left_out_and_told(tmp_path: Path):
    xyz = room_points()
    xyz[::7] = np.nan
    np.save(tmp_path / "a.npy", xyz)
    scene = load_view([tmp_path / "a.npy"])
    assert np.isfinite(scene.points[0].xyz).all()
    assert any("not finite" in note for note in scene.notes)


@pytest.mark.parametrize("name", ["notes.docx", "room.gltf", "noname"])
def test_a_file_of_no_known_kind_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"hello")
    with pytest.raises(UsageError, match=r"neither a scan nor a result.*\.ply"):
        load_view([tmp_path / name])


def test_what_is_not_there_and_nothing_at_all_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="no such file"):
        load_view([tmp_path / "a.ply"])
    with pytest.raises(UsageError, match="nothing to look at"):
        load_view([])


def test_a_volume_with_points_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="no one scene"):
        load_view([write_room(tmp_path)[0], write_organs(tmp_path)[0]])


@pytest.mark.parametrize("matrix", [[[1, 0], [0, 1]], "turn", np.zeros((4, 4)).tolist(), [[1, 2, 3, "x"]] * 4])
def test_a_way_to_the_file_that_is_no_matrix_is_refused(tmp_path: Path, matrix: object):
    scan, boxes = write_room(tmp_path)
    boxes.write_text(json.dumps(json.loads(boxes.read_text()) | {"file_from_scan": matrix}))
    with pytest.raises(DataError, match="no matrix"):
        load_view([scan, boxes])


def test_colours_and_classes_that_are_not_there_are_refused(tmp_path: Path):
    paths = write_room(tmp_path)
    with pytest.raises(UsageError, match=r"--color.*height or flat"):
        load_view(paths, Opening(source="intensity"))
    with pytest.raises(UsageError, match=r"--classes.*sofa.*chair, table"):
        load_view(paths, Opening(classes=("sofa",)))
    assert load_view(paths, Opening(classes=("chair",))).opening.classes == ("chair",)


@pytest.mark.parametrize("swapped", [False, True])
def test_an_image_and_its_mask_in_either_order_and_any_orientation(tmp_path: Path, swapped: bool):
    paths = write_organs(tmp_path)
    write_nifti(tmp_path / "turned.nii.gz", reorient(read_volume(paths[0]), "LSP"))
    given = [tmp_path / "turned.nii.gz", paths[1]]
    layer = load_view(given[::-1] if swapped else given).volume
    assert layer is not None
    np.testing.assert_array_equal(layer.volume.array, read_volume(paths[0]).array)
    np.testing.assert_array_equal(layer.masks[0].segmentation.labels, read_volume(paths[1]).array[0])
    assert layer.masks[0].segmentation.class_names == ("background", "label 1", "label 2")
    assert set(layer.masks[0].colours) == {1, 2}


def test_class_names_come_from_the_data_set_above(tmp_path: Path):
    (tmp_path / "labelsTr").mkdir()
    _, mask = write_organs(tmp_path / "labelsTr")
    for labels in ({"0": "background", "1": "spleen", "2": "liver"}, {"background": 0, "spleen": 1, "liver": 2}):
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
        layer = load_view([mask]).volume
        assert layer is not None and layer.masks[0].segmentation.class_names[1:] == ("spleen", "liver")
    (tmp_path / "dataset.json").write_text("{")
    layer = load_view([mask]).volume
    assert layer is not None and layer.masks[0].segmentation.class_names[1:] == ("label 1", "label 2")


def test_a_mask_on_another_grid_and_a_second_image_are_refused(tmp_path: Path):
    scan, mask = write_organs(tmp_path)
    labels = read_volume(mask)
    write_nifti(tmp_path / "short.nii.gz", reorient_free(labels))
    with pytest.raises(DataError, match="not on the grid"):
        load_view([scan, tmp_path / "short.nii.gz"])
    write_nifti(tmp_path / "second.nii.gz", read_volume(scan))
    with pytest.raises(UsageError, match="two images"):
        load_view([scan, tmp_path / "second.nii.gz"])


def reorient_free(labels: Volume) -> Volume:
    """The mask 3 mm beside its place."""
    from vol3d.scans import Grid

    affine = labels.affine.copy()
    affine[0, 3] += 3
    return Volume(labels.array, Grid(labels.grid.shape, affine))


def test_real_labels_and_images_are_told_apart(data_root: Path):
    folder = data_root / "msd" / "Task04_Hippocampus"
    for path in sorted((folder / "imagesTr").glob("*.nii.gz"))[:12]:
        assert not looks_like_labels(read_volume(path).array[0]), path.name
        assert looks_like_labels(read_volume(folder / "labelsTr" / path.name).array[0]), path.name


def test_grey_values_of_ct_of_mr_and_of_nothing():
    ct = np.where(np.arange(1000).reshape(10, 10, 10) < 500, -1000.0, 60.0)
    assert grey_window(ct) == (-160.0, 240.0)
    low, high = grey_window(np.linspace(0, 100, 1000).reshape(10, 10, 10))
    assert 0 <= low < 2 and 98 < high <= 100
    assert grey_window(np.full((2, 2, 2), np.nan)) == (0.0, 1.0)
    assert grey_window(np.ones((2, 2, 2))) == (0.5, 1.5)
