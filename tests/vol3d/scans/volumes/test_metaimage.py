"""MetaImage headers: what they say is used, refused, or noted as assumed."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from vol3d.errors import DataError
from vol3d.scans import read_volume

ARRAY = np.arange(60, dtype="<i2").reshape(5, 4, 3)  # k, j, i: as the file has them
PLAIN = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "1 2 3",
    "AnatomicalOrientation": "RAI",
    "ElementSpacing": "0.5 1.5 2.5",
    "DimSize": "3 4 5",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}
AFFINE = np.array([[-0.5, 0, 0, -1], [0, -1.5, 0, -2], [0, 0, 2.5, 3], [0, 0, 0, 1]])


def write(path: Path, changed: Mapping[str, str | None] | None = None, body: bytes = ARRAY.tobytes()) -> Path:
    """The plain header with some fields changed, added or (None) left out, and the voxels behind it."""
    fields = {**PLAIN, **(changed or {})}
    fields["ElementDataFile"] = fields.pop("ElementDataFile")  # the last
    head = "".join(f"{name} = {value}\n" for name, value in fields.items() if value is not None)
    path.write_bytes(head.encode() + body)
    return path


def codes(path: Path) -> dict[str, str]:
    return {note.code: str(note) for note in read_volume(path).notes}


def test_plain(tmp_path: Path) -> None:
    volume = read_volume(write(tmp_path / "a.mha"))
    assert np.array_equal(volume.array[0], ARRAY.T) and np.array_equal(volume.affine, AFFINE) and volume.notes == ()
    crlf = (tmp_path / "a.mha").read_bytes().replace(b"\n", b"\r\n", len(PLAIN))
    (tmp_path / "b.mha").write_bytes(crlf)
    assert np.array_equal(read_volume(tmp_path / "b.mha").array[0], ARRAY.T)


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32"])
def test_types_and_directions_as_itk(tmp_path: Path, kind: str) -> None:
    image = sitk.GetImageFromArray(ARRAY.astype(kind))
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.3, -2.0, 1.1).GetMatrix())
    image.SetSpacing((0.5, 1.5, 2.5))
    for compress in (False, True):
        sitk.WriteImage(image, str(tmp_path / "a.mha"), compress)
        volume = read_volume(tmp_path / "a.mha")
        corner = np.array(image.TransformIndexToPhysicalPoint((2, 3, 4))) * [-1, -1, 1]
        assert np.array_equal(volume.array[0], ARRAY.T) and volume.notes == ()
        assert np.allclose((volume.affine @ [2, 3, 4, 1])[:3], corner)


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"ElementSpacing": None}, "spacing-assumed", "1 mm was assumed"),
        ({"TransformMatrix": None}, "orientation-assumed", "left-posterior-superior was assumed"),
        ({"Offset": None}, "position-assumed", "(0, 0, 0) was assumed"),
        ({"BinaryDataByteOrderMSB": None}, "byte-order-assumed", "little-endian was assumed"),
        ({"DistanceUnits": "um"}, "lengths-converted", "1 unit = 0.001 mm"),
        ({"ElementSpacing": "500 1500 2500"}, "unit-assumed", "longest side is 1.25e+04 mm"),
        ({"ElementSpacing": "0.0005 0.0015 0.0025"}, "unit-assumed", "no unit of length: mm was assumed"),
        ({"AnatomicalOrientation": "SAL"}, "orientation-contradicts", "is SAL, but TransformMatrix says RAI"),
        ({"CenterOfRotation": "5 5 5"}, "center-of-rotation-unused", "(5 5 5) was not used"),
    ],
)
def test_what_is_assumed_is_noted(tmp_path: Path, changed: dict[str, str | None], code: str, words: str) -> None:
    noted = codes(write(tmp_path / "a.mha", changed))
    assert list(noted) == [code] and words in noted[code]


def test_what_is_stated_is_used(tmp_path: Path) -> None:
    spacing = read_volume(write(tmp_path / "a.mha", {"DistanceUnits": "cm"})).grid.spacing_mm
    assert spacing == (5.0, 15.0, 25.0)
    sized = read_volume(write(tmp_path / "b.mha", {"ElementSpacing": None, "ElementSize": "7 8 9"}))
    assert sized.grid.spacing_mm == (7.0, 8.0, 9.0) and sized.notes == ()
    placed = read_volume(write(tmp_path / "c.mha", {"Offset": None, "Origin": "1 2 3", "DistanceUnits": "mm"}))
    assert np.array_equal(placed.affine, AFFINE) and placed.notes == ()
    big = write(
        tmp_path / "d.mha", {"BinaryDataByteOrderMSB": None, "ElementByteOrderMSB": "True"}, ARRAY.byteswap().tobytes()
    )
    assert np.array_equal(read_volume(big).array[0], ARRAY.T)
    text = write(tmp_path / "e.mha", {"BinaryData": "False"}, " ".join(map(str, ARRAY.ravel())).encode())
    assert np.array_equal(read_volume(text).array[0], ARRAY.T)
    assert not codes(write(tmp_path / "f.mha", {"AnatomicalOrientation": "LPS"}))
    assert not codes(write(tmp_path / "g.mha", {"AnatomicalOrientation": "???"}))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"NDims": "1000"}, "1000 axes"),
        ({"NDims": "2"}, "2 axes"),
        ({"NDims": None}, "lacks 'ndims'"),
        ({"NDims": "-1"}, "-1 axes"),
        ({"NDims": "3.0"}, "whole numbers"),
        ({"NDims": "1_0"}, "whole numbers"),
        ({"DimSize": "3 4"}, "wanted 3 numbers"),
        ({"DimSize": "3 4 0"}, "sizes in the header are impossible"),
        ({"DimSize": "3 4 -5"}, "sizes in the header are impossible"),
        ({"DimSize": "3 4 6"}, "more voxels than the file can hold|file is cut"),
        ({"DimSize": "3 4 4"}, "describes other voxels"),
        ({"DimSize": "2000000000 2000000000 2000000000"}, "more voxels than the file can hold"),
        ({"DimSize": None}, "lacks 'dimsize'"),
        ({"ElementType": "MET_INT"}, "got 120 bytes of voxels, wanted 240 bytes"),
        ({"ElementType": "MET_UCHAR"}, "describes other voxels"),
        ({"ElementType": "MET_STRING"}, "not plain numbers"),
        ({"ElementType": None}, "lacks 'elementtype'"),
        ({"ElementNumberOfChannels": "0"}, "sizes in the header are impossible"),
        ({"ElementNumberOfChannels": "2"}, "got 120 bytes of voxels, wanted 240 bytes"),
        ({"ElementSpacing": "0,5 1,5 2,5"}, "decimal point"),
        ({"ElementSpacing": "0 1 1"}, "zero or negative"),
        ({"ElementSpacing": "-1 1 1"}, "zero or negative"),
        ({"ElementSpacing": "nan 1 1"}, "decimal point"),
        ({"ElementSpacing": "1e999 1 1"}, "decimal point"),
        ({"ElementSpacing": "1 1"}, "wanted 3 numbers"),
        ({"elementspacing": "1 1 1"}, "'elementspacing' twice"),
        ({"Position": "9 9 9"}, "'offset' twice"),
        ({"ElementByteOrderMSB": "True"}, "'binarydatabyteordermsb' twice"),
        ({"TransformMatrix": "1 0 0 0 1 0"}, "wanted 9 numbers"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "singular"),
        ({"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, "directions of length 1"),
        ({"TransformMatrix": "2 0 0 0 1 0 0 0 1"}, "directions of length 1"),
        ({"TransformMatrix": None, "AnatomicalOrientation": "RAS"}, "in letters only"),
        ({"Offset": "1 2"}, "wanted 3 numbers"),
        ({"DistanceUnits": "parsec"}, "unknown unit of length; got 'parsec'"),
        ({"HeaderSize": "-2"}, "headersize"),
        ({"HeaderSize": "3"}, "headersize"),
        ({"CompressedData": "perhaps"}, "True or False"),
        ({"CompressedData": "True"}, "damaged or cut"),
        ({"BinaryData": "False"}, "another number of voxels|no number of the header's type"),
        ({"ObjectType": "Mesh"}, "objecttype"),
        ({"ElementToIntensityFunctionSlope": "2"}, "a scaling of the values"),
        ({"ElementDataFile": None}, "not a MetaImage header|lacks 'elementdatafile'"),
        ({"ElementDataFile": ""}, "not a MetaImage header|LOCAL, LIST or a file's name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(tmp_path: Path, changed: dict[str, str | None], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_volume(write(tmp_path / "a.mha", changed))


def test_fields_that_agree_or_do_not_matter(tmp_path: Path) -> None:
    changed = {"offset": "1 2 3", "ElementToIntensityFunctionSlope": "1", "Comment": "a = b", "ITK_FileName": "x"}
    assert read_volume(write(tmp_path / "a.mha", changed)).notes == ()


@pytest.mark.parametrize("changed", [{"DimSize": "3 4 4"}, {"DimSize": "3 4 6"}, {"ElementType": "MET_INT"}])
def test_compressed_voxels_of_another_size(tmp_path: Path, changed: dict[str, str]) -> None:
    path = write(tmp_path / "a.mha", {"CompressedData": "True", **changed}, zlib.compress(ARRAY.tobytes()))
    with pytest.raises(DataError, match=r"goes on after the voxels|cut"):
        read_volume(path)


def test_compressed_voxels_with_more_behind(tmp_path: Path) -> None:
    packed = zlib.compress(ARRAY.tobytes())
    assert np.array_equal(read_volume(write(tmp_path / "a.mha", {"CompressedData": "True"}, packed)).array[0], ARRAY.T)
    with pytest.raises(DataError, match="bytes after the end"):
        read_volume(write(tmp_path / "b.mha", {"CompressedData": "True"}, packed + b"more"))
    sized = {"CompressedData": "True", "CompressedDataSize": str(len(packed))}
    assert np.array_equal(read_volume(write(tmp_path / "a.mha", sized, packed)).array[0], ARRAY.T)
    for size in ("-1", "5", "999"):
        with pytest.raises(DataError, match="compresseddatasize"):
            read_volume(write(tmp_path / "a.mha", {**sized, "CompressedDataSize": size}, packed))
    bomb = zlib.compress(bytes(1 << 24))
    with pytest.raises(DataError, match="goes on after the voxels"):
        read_volume(write(tmp_path / "c.mha", {"CompressedData": "True"}, bomb))
    with pytest.raises(DataError, match="more voxels than the file can hold"):
        read_volume(write(tmp_path / "d.mha", {"CompressedData": "True", "DimSize": "9999 9999 9999"}, bomb))


# ---- voxels in other files


def test_one_file(tmp_path: Path) -> None:
    (tmp_path / "é 1.raw").write_bytes(ARRAY.tobytes())
    named = {"ElementDataFile": "é 1.raw"}
    assert np.array_equal(read_volume(write(tmp_path / "a.mhd", named, b"")).array[0], ARRAY.T)
    for header_size in ("-1", "7"):
        (tmp_path / "b.raw").write_bytes(b"7 bytes" + ARRAY.tobytes())
        path = write(tmp_path / "b.mhd", {"HeaderSize": header_size, "ElementDataFile": "b.raw"}, b"")
        assert np.array_equal(read_volume(path).array[0], ARRAY.T)
    (tmp_path / "c.zraw").write_bytes(zlib.compress(ARRAY.tobytes()))
    path = write(tmp_path / "c.mhd", {"CompressedData": "True", "ElementDataFile": "c.zraw"}, b"")
    assert np.array_equal(read_volume(path).array[0], ARRAY.T)
    late = (
        re.sub(rb"ElementSpacing.*\n", b"", path.read_bytes()) + b"ElementSpacing = 3 3 3\n"
    )  # behind the file's name
    path.write_bytes(late)
    assert read_volume(path).grid.spacing_mm == (3.0, 3.0, 3.0)


def test_a_file_for_each_slice(tmp_path: Path) -> None:
    for k, plane in enumerate(ARRAY):
        (tmp_path / f"s{k + 1:03d}.raw").write_bytes(plane.tobytes())
    listed = "\n".join(f"s{k + 1:03d}.raw" for k in range(5)).encode()
    assert np.array_equal(read_volume(write(tmp_path / "a.mhd", {"ElementDataFile": "LIST"}, listed)).array[0], ARRAY.T)
    pattern = {"ElementDataFile": "s%03d.raw 1 5 1"}
    assert np.array_equal(read_volume(write(tmp_path / "b.mhd", pattern, b"")).array[0], ARRAY.T)
    for named, body, message in (
        ("LIST", listed[:-9], "another number of files.*got 4 files, wanted 5"),
        ("LIST", listed + b"\ns001.raw", "got 6 files"),
        ("LIST 9", listed, "LIST and the number of axes"),
        ("s%03d.raw 1 4 1", b"", "got 4 files"),
        ("s%03d.raw 1 5 0", b"", "got 0 files"),
        ("s%03d.raw 2 6 1", b"", r"missing; wanted s006\.raw"),
        ("s%03d.raw 1 999999999 1", b"", "got 999999999 files"),
        ("s%n.raw 1 5 1", b"", "pattern of file names"),
        ("s%s%d.raw 1 5 1", b"", "pattern of file names"),
        ("s%d.raw", b"", "pattern of file names"),
    ):
        with pytest.raises(DataError, match=message):
            read_volume(write(tmp_path / "c.mhd", {"ElementDataFile": named}, body))
    (tmp_path / "s003.raw").write_bytes(b"short")
    with pytest.raises(DataError, match=r"more voxels than|s003\.raw: the file is cut"):
        read_volume(tmp_path / "b.mhd")


def test_voxels_outside_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (tmp_path / "out.raw").write_bytes(ARRAY.tobytes())
    (folder / "link.raw").symlink_to(tmp_path / "out.raw")
    (folder / "circle.raw").symlink_to(folder / "circle.raw")
    (folder / "zero.raw").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.raw")
    (folder / "sub").mkdir()
    (folder / "sub/in.raw").write_bytes(ARRAY.tobytes())
    for name, message in (
        (str(tmp_path / "out.raw"), "outside"),
        (str(folder / "sub/in.raw"), "outside"),  # absolute: it would be another file on another machine
        ("../out.raw", "outside"),
        ("sub/../../out.raw", "outside"),
        ("link.raw", "outside"),
        ("zero.raw", "outside"),
        ("pipe.raw", "a named pipe, not a file"),
        ("sub", "a folder, not a file"),
        ("none.raw", "missing"),
        ("circle.raw", "cannot be found|missing"),
        ("A" * 300, "cannot be found"),
        ("A" * 70000, "names no file"),
        ("a\0b.raw", "names no file"),
    ):
        with pytest.raises(DataError, match=message):
            read_volume(write(folder / "a.mhd", {"ElementDataFile": name}, b""))
    assert np.array_equal(
        read_volume(write(folder / "b.mhd", {"ElementDataFile": "sub/in.raw"}, b"")).array[0], ARRAY.T
    )
    (tmp_path / "link.mhd").symlink_to(folder / "b.mhd")
    with pytest.raises(DataError, match="missing"):  # beside the link there is no such file
        read_volume(tmp_path / "link.mhd")


def test_voxels_without_their_header(tmp_path: Path) -> None:
    for name in ("a.raw", "a.zraw", "a.raw.gz"):
        (tmp_path / name).write_bytes(ARRAY.tobytes())
        with pytest.raises(DataError, match=r"without their header; wanted a\.mhd or a\.nhdr"):
            read_volume(tmp_path / name)
    write(tmp_path / "a.mhd", {"ElementDataFile": "a.raw"}, b"")
    with pytest.raises(DataError, match=r"without their header; wanted a\.mhd\. Give"):
        read_volume(tmp_path / "a.raw")
