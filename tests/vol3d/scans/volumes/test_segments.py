"""Segmentations as 3D Slicer writes them: names, label values, layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vol3d.errors import DataError
from vol3d.scans import read_labels, read_volume

HEAD = """NRRD0004
type: unsigned char
space: left-posterior-superior
encoding: raw
space origin: (0,0,0)
"""
DIRECTIONS = "(1,0,0) (0,1,0) (0,0,1)"


def write(path: Path, layers: list[np.ndarray], keys: dict[str, object]) -> Path:
    shape = layers[0].shape
    if len(layers) == 1:
        head = f"dimension: 3\nsizes: {' '.join(map(str, shape))}\nspace directions: {DIRECTIONS}\n"
    else:
        sizes = " ".join(map(str, (len(layers), *shape)))
        head = f"dimension: 4\nsizes: {sizes}\nkinds: list domain domain domain\nspace directions: none {DIRECTIONS}\n"
    text = HEAD + head + "".join(f"{key}:={value}\n" for key, value in keys.items()) + "\n"
    path.write_bytes(text.encode() + np.stack(layers).astype(np.uint8).tobytes(order="F"))
    return path


def segments(*facts: tuple[str, int, int]) -> dict[str, object]:
    keys: dict[str, object] = {"Segmentation_MasterRepresentation": "Binary labelmap"}
    for number, (name, value, layer) in enumerate(facts):
        keys |= {f"Segment{number}_Name": name, f"Segment{number}_LabelValue": value, f"Segment{number}_Layer": layer}
        keys[f"Segment{number}_ID"] = f"Segment_{number}"
    return keys


def block(start: int, value: int) -> np.ndarray:
    layer = np.zeros((6, 4, 4), int)
    layer[start : start + 2] = value
    return layer


def test_names(tmp_path: Path) -> None:
    layer = block(0, 2) + block(3, 7)
    keys = segments(("liver", 2, 0), ("right kidney", 7, 0), ("\N{LATIN SMALL LETTER E WITH ACUTE}", 9, 0))
    labels = read_labels(write(tmp_path / "a.seg.nrrd", [layer], keys))
    assert labels.label_names == {2: "liver", 7: "right kidney", 9: "\N{LATIN SMALL LETTER E WITH ACUTE}"}
    assert np.array_equal(labels.array[0], layer) and labels.notes == ()
    assert read_labels(write(tmp_path / "b.nrrd", [layer], {"a": "b"})).label_names is None
    assert read_volume(tmp_path / "a.seg.nrrd").label_names is None


def test_layers_that_do_not_overlap(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    labels = read_labels(write(path, [block(0, 1), block(3, 2)], segments(("a", 1, 0), ("b", 2, 1))))
    assert labels.label_names == {1: "a", 2: "b"} and np.array_equal(labels.array[0], block(0, 1) + block(3, 2))
    labels = read_labels(write(path, [block(0, 1), block(3, 1)], segments(("a", 1, 0), ("b", 1, 1))))
    assert labels.label_names == {1: "a", 2: "b"} and np.array_equal(labels.array[0], block(0, 1) + block(3, 2))
    assert "numbered 1 to 2" in str(labels.notes[-1])


def test_layers_of_earlier_releases(tmp_path: Path) -> None:
    keys = {"Segment0_Name": "a", "Segment1_Name": "b"}
    labels = read_labels(write(tmp_path / "a.seg.nrrd", [block(0, 1), block(3, 1)], keys))
    assert labels.label_names == {1: "a", 2: "b"} and np.array_equal(labels.array[0], block(0, 1) + block(3, 2))
    one = read_labels(write(tmp_path / "b.seg.nrrd", [block(0, 1)], {"Segment0_ID": "a"}))
    assert one.label_names == {1: "a"}


@pytest.mark.parametrize(
    ("layers", "keys", "message"),
    [
        ([block(0, 1), block(1, 2)], segments(("a", 1, 0), ("b", 2, 1)), "overlap; got 'a' and 'b' in 16 voxels"),
        ([block(0, 1), block(3, 3)], segments(("a", 1, 0), ("b", 2, 1)), "labels without a segment"),
        ([block(0, 1)], segments(("a", 1, 0), ("b", 1, 0)), "one label value; got 'a' and 'b', both 1"),
        ([block(0, 1)], segments(("a", 1, 0), ("b", 2, 1)), "layer that is not there"),
        ([block(0, 1)], segments(("a", 0, 0)), "segment 'a' is wrong"),
        ([block(0, 1)], segments(("a", -1, 0)), "segment 'a' is wrong"),
        ([block(0, 1), block(3, 1)], {}, "several channels"),
    ],
)
def test_what_no_label_image_can_be(
    tmp_path: Path, layers: list[np.ndarray], keys: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(write(tmp_path / "a.seg.nrrd", layers, keys))
