"""NRRD headers: what they say is used, refused, or noted as assumed."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from vol3d.errors import DataError
from vol3d.scans import read_volume

ARRAY = np.arange(60, dtype="<i2").reshape(5, 4, 3)  # k, j, i: as the file has them
PLAIN = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "3 4 5",
    "space directions": "(0.5,0,0) (0,1.5,0) (0,0,2.5)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(1,2,3)",
}
AFFINE = np.array([[-0.5, 0, 0, -1], [0, -1.5, 0, -2], [0, 0, 2.5, 3], [0, 0, 0, 1]])
SCALAR: dict[str, str | None] = {"space": None, "space directions": None, "space origin": None}


def write(path: Path, changed: Mapping[str, str | None] | None = None, body: bytes = ARRAY.tobytes()) -> Path:
    """The plain header with some fields changed, added or (None) left out, and the voxels behind it."""
    fields = {**PLAIN, **(changed or {})}
    head = "".join(f"{name}: {value}\n" for name, value in fields.items() if value is not None)
    path.write_bytes(b"NRRD0004\n# a comment\n" + head.encode() + b"\n" + body)
    return path


def test_plain(tmp_path: Path) -> None:
    volume = read_volume(write(tmp_path / "a.nrrd"))
    assert np.array_equal(volume.array[0], ARRAY.T) and np.array_equal(volume.affine, AFFINE) and volume.notes == ()
    head, _, body = (tmp_path / "a.nrrd").read_bytes().partition(b"\n\n")
    (tmp_path / "b.nrrd").write_bytes(head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body)
    assert np.array_equal(read_volume(tmp_path / "b.nrrd").array[0], ARRAY.T)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "gz", "bzip2", "bz2", "hex", "ascii", "text", "txt"])
@pytest.mark.parametrize("order", ["little", "big"])
def test_encodings(tmp_path: Path, encoding: str, order: str) -> None:
    raw = ARRAY.astype("<i2" if order == "little" else ">i2").tobytes()
    body = {"g": gzip.compress, "b": bz2.compress}.get(encoding[0], bytes)(raw)
    if encoding == "hex":
        body = raw.hex(" ", 20).encode()
    elif encoding[0] in "at":
        body = " ".join(map(str, ARRAY.ravel())).encode()
    path = write(tmp_path / "a.nrrd", {"encoding": encoding, "endian": order}, body)
    assert np.array_equal(read_volume(path).array[0], ARRAY.T)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"a\.nrrd"):
        read_volume(path)
    for sizes in ("3 4 4", "3 4 6"):
        with pytest.raises(DataError, match=r"a\.nrrd"):
            read_volume(write(path, {"encoding": encoding, "endian": order, "sizes": sizes}, body))


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (-1, -1)), ("LPS", (-1, -1)), ("right-anterior-superior", (1, 1)), ("RAS", (1, 1)),
        ("left-anterior-superior", (-1, 1)), ("LAS", (-1, 1)),
    ],
)  # fmt: skip
def test_worlds(tmp_path: Path, space: str, signs: tuple[int, int]) -> None:
    volume = read_volume(write(tmp_path / "a.nrrd", {"space": space}))
    assert np.array_equal(volume.affine, np.diag([-signs[0], -signs[1], 1, 1]) @ AFFINE) and volume.notes == ()
    if "superior" in space:
        image = sitk.ReadImage(str(tmp_path / "a.nrrd"))
        corner = np.array(image.TransformIndexToPhysicalPoint((2, 3, 4))) * [-1, -1, 1]
        assert np.allclose((volume.affine @ [2, 3, 4, 1])[:3], corner)


@pytest.mark.parametrize(
    ("changed", "noted", "words"),
    [
        ({"space": None, "space dimension": "3"}, ["space-assumed"], "left-posterior-superior was assumed, as ITK"),
        ({"space": "scanner-xyz"}, ["space-assumed"], "(space: scanner-xyz)"),
        ({"space": "3D-right-handed"}, ["space-assumed"], "(space: 3d-right-handed)"),
        ({"space units": '"um" "um" "um"'}, ["lengths-converted"], "1 unit = 0.001 mm"),
        ({"space units": '"" "" ""', "space directions": "(0.5,0,0) (0,1.5,0) (0,0,2500)"}, ["unit-assumed"], "mm was"),
        ({"space directions": "(0.0005,0,0) (0,0.0015,0) (0,0,0.0025)"}, ["unit-assumed"], "mm was assumed"),
        ({"old min": "-1000", "oldmax": "3000"}, ["values-quantized"], "quantized from -1000 to 3000"),
        ({"space origin": None}, ["position-assumed"], "(0, 0, 0) was assumed"),
        (
            {**SCALAR, "spacings": "0.5 1.5 2.5"},
            ["orientation-assumed", "position-assumed"],
            "left-posterior-superior was",
        ),
        (
            {**SCALAR, "spacings": "0.5 1.5 2.5", "axis mins": "1 2 3"},
            ["orientation-assumed"],
            "left-posterior-superior was assumed",
        ),
        (SCALAR, ["orientation-assumed", "spacing-assumed", "position-assumed"], "1 mm was assumed"),
    ],
)
def test_what_is_assumed_is_noted(tmp_path: Path, changed: dict[str, str | None], noted: list[str], words: str) -> None:
    notes = read_volume(write(tmp_path / "a.nrrd", changed)).notes
    assert [note.code for note in notes] == noted and words in "; ".join(map(str, notes))
    assert all(note.assumed for note in notes if note.code != "lengths-converted")


def test_what_is_stated_is_used(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    microns = read_volume(write(path, {"space units": '"microns" "microns" "microns"'}))
    assert np.allclose(microns.affine[:3], AFFINE[:3] / 1000) and microns.grid.xyzt_units == 3
    scalar = {**SCALAR, "spacings": "5 15 25", "units": '"cm" "cm" "cm"'}
    assert read_volume(write(path, scalar)).grid.spacing_mm == (50.0, 150.0, 250.0)
    agreeing = {"spacings": "0.5 1.5 nan", "space dimension": "3", "thicknesses": "1 1 1"}
    assert read_volume(write(path, agreeing)).notes == ()
    for centers, expected in (("cell cell cell", (1.25, 2.75, 4.25)), ("node node node", (1.0, 2.0, 3.0))):
        changed = {**SCALAR, "spacings": "0.5 1.5 2.5", "axis mins": "1 2 3", "centerings": centers}
        affine = read_volume(write(path, changed)).affine
        assert np.allclose(affine[:3, 3] * [-1, -1, 1], expected)
        assert np.allclose(sitk.ReadImage(str(path)).GetOrigin(), expected)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dimension": "1000"}, "wanted 1 to 16"),
        ({"dimension": "2", "sizes": "3 4"}, "2 axes"),
        ({"dimension": None}, "lacks 'dimension'"),
        ({"sizes": "3 4"}, "wanted 3 numbers"),
        ({"sizes": "3 4 0"}, "sizes in the header are impossible"),
        ({"sizes": "3 4 -5"}, "sizes in the header are impossible"),
        ({"sizes": "30000 30000 30000"}, "more voxels than the file can hold"),
        ({"sizes": None}, "lacks 'sizes'"),
        ({"Sizes": "3 5 4"}, "'sizes' twice"),
        ({"sizess": "3 5 4"}, "not a line of an NRRD header"),
        ({"type": "block"}, "not plain numbers"),
        ({"type": None}, "lacks 'type'"),
        ({"endian": None}, "lacks 'endian'"),
        ({"endian": "middle"}, "little or big"),
        ({"encoding": "zstd"}, "raw, gzip, bzip2, text or hex"),
        ({"encoding": "gzip"}, "damaged or cut"),
        ({"encoding": "bzip2"}, "cannot read the file|damaged"),
        ({"encoding": "hex"}, "more voxels than|hexadecimal"),
        ({"encoding": "ascii"}, "another number of voxels|no number"),
        ({"kinds": "complex domain domain"}, "axes of kind complex"),
        ({"kinds": "domain domain"}, "one for each of 3 axes"),
        ({"space": "3D-left-handed"}, "mirrors left and right"),
        ({"space": "upside-down"}, "left-posterior-superior"),
        ({"space": None}, "without a world"),
        ({"space dimension": "2"}, "spacedimension"),
        ({"space directions": "(0.5,0,0) (0,1.5,0)"}, "3 vectors"),
        ({"space directions": "(0,5,0,0) (0,1,5,0) (0,0,2,5)"}, "vectors of 3 numbers"),
        ({"space directions": "(0.5,0,0) (0,1.5,0) none"}, "three axes in space"),
        ({"space directions": "(0.5,0,0) (0,1.5,0) (0,0,0)"}, "three axes in space"),
        ({"space directions": "(0.5,0,0) (0,1.5,0) (0,1,0)"}, "singular"),
        ({"space directions": "(nan,0,0) (0,1.5,0) (0,0,1)"}, "decimal point"),
        ({"spacings": "1 1 1"}, "as the space directions say"),
        ({"space origin": "(1,2)"}, "vectors of 3 numbers"),
        ({"space origin": "1 2 3"}, "1 vectors"),
        ({"space units": '"mm" "mm" "um"'}, "one unit for all axes"),
        ({"space units": '"mm" "mm"'}, "3 units"),
        ({"space units": '"px" "px" "px"'}, "unknown unit of length"),
        ({**SCALAR, "spacings": "0 1 1"}, "above 0"),
        ({**SCALAR, "spacings": "-1 1 1"}, "above 0"),
        ({**SCALAR, "spacings": "1 1 nan"}, "above 0"),
        ({**SCALAR, "axis mins": "0 0 0", "axis maxs": "9 9 9"}, "its extent but no spacings"),
        ({"line skip": "-1"}, "lineskip"),
        ({"line skip": "999999999"}, "lines to skip"),
        ({"byte skip": "-2"}, "byteskip"),
        ({"byte skip": "99"}, "cut"),
        ({"byte skip": "-1", "encoding": "gzip"}, "raw voxels only"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(tmp_path: Path, changed: dict[str, str | None], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_volume(write(tmp_path / "a.nrrd", changed))


def test_versions_and_headers_without_an_end(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "a.nrrd").write_bytes(whole.replace(b"NRRD0004", b"NRRD0009"))
    with pytest.raises(DataError, match="known version; got 'NRRD0009'"):
        read_volume(tmp_path / "a.nrrd")
    (tmp_path / "a.nrrd").write_bytes(whole[: whole.index(b"\n\n")])
    with pytest.raises(DataError, match="the header has no end"):
        read_volume(tmp_path / "a.nrrd")


# ---- channels


def test_where_the_channels_are(tmp_path: Path) -> None:
    four = np.arange(120, dtype="<i2")
    directions = ["(0.5,0,0)", "(0,1.5,0)", "(0,0,2.5)"]
    for axis, sizes in ((0, "2 3 4 5"), (1, "3 2 4 5"), (2, "3 4 2 5"), (3, "3 4 5 2")):
        stored = four.reshape([int(n) for n in sizes.split()], order="F")
        expected = np.moveaxis(stored, axis, 0)
        vectors = " ".join([*directions[:axis], "none", *directions[axis:]])
        kinds = " ".join(["domain"] * axis + ["list"] + ["domain"] * (3 - axis))
        common = {"dimension": "4", "sizes": sizes, "kinds": kinds}
        volume = read_volume(write(tmp_path / "a.nrrd", {**common, "space directions": vectors}, four.tobytes()))
        assert np.array_equal(volume.array, expected) and np.array_equal(volume.affine, AFFINE)
        spacings = " ".join(str(np.insert([0.5, 1.5, 2.5], axis, np.nan))[1:-1].split())
        for kind in (kinds, None):
            changed = {**SCALAR, **common, "kinds": kind, "spacings": spacings}
            scalar = read_volume(write(tmp_path / "b.nrrd", changed, four.tobytes()))
            assert np.array_equal(scalar.array, expected) and scalar.grid.spacing_mm == (0.5, 1.5, 2.5)


def test_itk_writes_time_as_a_fourth_axis_of_the_world(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(ARRAY)
    image.SetOrigin((1, 2, 3))
    sitk.WriteImage(sitk.JoinSeries([image, image + 1]), str(tmp_path / "a.nrrd"))
    volume = read_volume(tmp_path / "a.nrrd")
    assert np.array_equal(volume.array, [ARRAY.T, ARRAY.T + 1]) and np.allclose(volume.affine[:3, 3], [-1, -2, 3])
    assert [note.code for note in volume.notes] == ["space-assumed"]


@pytest.mark.parametrize("kind", ["RGB-color", "complex", "3D-matrix", "quaternion"])
def test_channels_that_are_no_numbers(tmp_path: Path, kind: str) -> None:
    changed = {"dimension": "4", "sizes": "3 3 4 5", "kinds": f"{kind} domain domain domain"}
    changed["space directions"] = f"none {PLAIN['space directions']}"
    with pytest.raises(DataError, match="not plain numbers"):
        read_volume(write(tmp_path / "a.nrrd", changed, ARRAY.tobytes() * 3))


# ---- voxels in other files


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.raw.gz").write_bytes(gzip.compress(ARRAY.tobytes()))
    path = write(tmp_path / "a.nhdr", {"encoding": "gzip", "data file": "a.raw.gz"}, b"")
    assert np.array_equal(read_volume(path).array[0], ARRAY.T)
    (tmp_path / "a.raw").write_bytes(b"two\nlines\nskip" + ARRAY.tobytes())
    for skips in ({"line skip": "2", "byte skip": "4"}, {"byteskip": "-1"}, {"byte skip": "14"}):
        path = write(tmp_path / "b.nhdr", {"datafile": "a.raw", **skips}, b"")
        path.write_bytes(path.read_bytes().rstrip())  # a header of its own needs no empty line
        assert np.array_equal(read_volume(path).array[0], ARRAY.T)
    for k, plane in enumerate(ARRAY):
        (tmp_path / f"s{k}.raw").write_bytes(plane.tobytes())
    listed = b"".join(f"s{k}.raw\n".encode() for k in range(5))
    for named, body in (("LIST", listed), ("LIST 2", listed), ("s%d.raw 0 4 1", b""), ("s%01d.raw 0 4 1 2", b"")):
        path = write(tmp_path / "c.nhdr", {"data file": named}, b"")
        path.write_bytes(path.read_bytes().rstrip() + b"\n" + body)
        path.write_bytes(_moved_last(path.read_bytes(), b"data file"))
        assert np.array_equal(read_volume(path).array[0], ARRAY.T)
    for named, message in (
        ("s%d.raw 0 3 1", "got 4 files, wanted 5"),
        ("s%d.raw 0 4 1 9", "number of axes in a file"),
        ("../a.raw", "outside"),
        (str(tmp_path / "a.raw"), "outside"),
        ("none.raw", "missing"),
    ):
        with pytest.raises(DataError, match=message):
            read_volume(write(tmp_path / "d.nhdr", {"data file": named}, b""))


def _moved_last(header: bytes, field: bytes) -> bytes:
    """The field and what follows it, behind the others."""
    before, mark, after = header.partition(b"\n" + field)
    return before + mark + after


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("bzip2", bz2.compress)])
def test_bombs(tmp_path: Path, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(1 << 22))
    with pytest.raises(DataError, match="goes on after the voxels"):
        read_volume(write(tmp_path / "a.nrrd", {"encoding": encoding}, bomb))
    with pytest.raises(DataError, match=r"more voxels than the file can hold|does not fit into the free memory"):
        read_volume(write(tmp_path / "a.nrrd", {"encoding": encoding, "sizes": "9999 9999 9999"}, bomb))
