"""The stored numbers of slices; JPEG is decoded by another process, since a damaged file can bring decoders down."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError
from vol3d.scans.child import Decoded, decode_in_child
from vol3d.scans.dicom.files import Entry
from vol3d.scans.dicom.frames import Frame, frame_count
from vol3d.scans.dicom.header import Header

AT_ONCE = 32  # files of one decoding process
_ALWAYS_FINE, _RATIO = 1 << 28, 1000  # bytes that a compressed file may unpack to
_SPARE = 1 << 29  # bytes that decoders need beside three times the pixels
_RLE, _DEFLATED = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"
_RATIOS = {_RLE: 64, _DEFLATED: 1032}  # the most that a packed byte can become
_DO = "Run `pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg`, or export without compression."


def stored_pixels(frames: Sequence[Frame]) -> Iterator[tuple[Frame, np.ndarray]]:
    """Each frame with its (rows, columns) as they are stored, in order.

    Raises:
        DataError: missing, cut, damaged or undecodable pixels, or not as many as the header says.
    """
    files = [list(group) for _, group in groupby(frames, key=lambda frame: frame.entry)]
    for parts, pixels in _decoded(files):
        for frame in parts:
            stored = pixels if frame.number is None else pixels[frame.number]
            if stored.shape != frame.shape:
                raise DataError("the pixels have another shape", where=frame.name, got=stored.shape, wanted=frame.shape)
            yield frame, stored


def _decoded(files: Sequence[list[Frame]]) -> Iterator[tuple[list[Frame], np.ndarray]]:
    """The frames of each file, and all the pixels of the file."""
    for is_jpeg, run in groupby(files, key=lambda parts: _is_jpeg(parts[0].header)):
        if not is_jpeg:
            for parts in run:
                yield parts, all_pixels(parts[0].entry, parts[0].header)
        while is_jpeg and (batch := list(islice(run, AT_ONCE))):
            yield from zip(batch, _by_child([(parts[0].entry, parts[0].header) for parts in batch]), strict=True)


def all_pixels(entry: Entry, header: Header) -> np.ndarray:
    """All pixels of a file, (rows, columns) or (frames, rows, columns). Raises DataError as `stored_pixels`."""
    if _is_jpeg(header):
        return _by_child([(entry, header)])[0]
    check_stored(entry, header)
    whole = entry.header(pixels=True)
    try:
        return _array(whole.dataset)  # type: ignore[union-attr]
    except Exception as fault:  # pydicom: ValueError, AttributeError, KeyError ... for cut or missing pixel data
        raise _damaged(entry.name, fault) from fault


def unpacked_bytes(header: Header) -> int:
    """What the pixels of a file take unpacked. Raises DataError for impossible sizes."""
    allocated, _ = bits(header)
    sides = header.whole("Rows", low=1), header.whole("Columns", low=1), header.whole("SamplesPerPixel", 1, 1, 4)
    return sides[0] * sides[1] * sides[2] * frame_count(header) * allocated // 8


def bits(header: Header) -> tuple[int, int]:
    """BitsAllocated and BitsStored. Raises DataError where these and what else describes a stored number disagree."""
    allocated = header.whole("BitsAllocated", low=1, high=64)
    stored = header.whole("BitsStored", allocated, 1, allocated)
    if header.whole("HighBit", stored - 1) != stored - 1:
        raise header.wrong("HighBit", f"{stored - 1}, one less than BitsStored")
    header.whole("PixelRepresentation", 0, 0, 1)
    return allocated, stored


def check_stored(entry: Entry, header: Header) -> None:
    """Refuses a file that is too small for its pixels, before memory is taken for them."""
    need, ratio = unpacked_bytes(header), _RATIOS.get(_syntax(header), 1)
    if need > entry.size * ratio:
        raise DataError(
            "the pixels (PixelData) are damaged or cut", where=entry.name, got=f"a file of {entry.size} bytes",
            wanted=f"{need} bytes of pixels", do="Copy it again.",
        )  # fmt: skip


def _syntax(header: Header) -> str:
    return str(header.dataset.file_meta.TransferSyntaxUID)


def _is_jpeg(header: Header) -> bool:
    """True for a compression whose decoders are libraries in C."""
    syntax = header.dataset.file_meta.TransferSyntaxUID
    try:
        return bool(syntax.is_compressed) and _syntax(header) not in _RATIOS
    except Exception as fault:  # not the UID of a transfer syntax
        raise DataError("TransferSyntaxUID is missing or damaged", where=header.name, got=syntax) from fault


def _by_child(files: Sequence[tuple[Entry, Header]]) -> list[np.ndarray]:
    """The pixels of several compressed files."""
    total = 0
    for entry, header in files:
        need = unpacked_bytes(header)
        if need > max(_ALWAYS_FINE, _RATIO * entry.size):
            raise DataError("the pixels unpack to too much", where=entry.name, got=f"{need} bytes of {entry.size}")
        total += need
    return _child([entry for entry, _ in files], total)


def _child(entries: Sequence[Entry], need: int) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory(prefix="vol3d-") as folder:
        for number, entry in enumerate(entries):
            Path(folder, f"{number:04d}.dcm").write_bytes(entry.content())
        try:
            arrays, fault = decode_in_child(decode_files, Path(folder), memory=3 * need + _SPARE)
        except DataError as broken:
            if len(entries) == 1:
                raise DataError(broken.what, where=entries[0].name, got=broken.got, do=broken.do) from broken
            return [pixels for entry in entries for pixels in _child([entry], need)]  # to name the one file
    if fault:
        raise DataError(fault["what"], where=entries[len(arrays)].name, got=fault["got"], do=fault["do"])
    return list(arrays.values())


def decode_files(folder: Path) -> Decoded:
    """The pixels of each file of a folder, up to the first that is damaged: what the decoding process does."""
    arrays: dict[str, np.ndarray] = {}
    try:
        for file in sorted(folder.iterdir()):
            arrays[file.name] = _decode(file)
    except DataError as fault:
        return arrays, {"what": fault.what, "got": fault.got, "do": fault.do}
    return arrays, {}


def _decode(file: Path) -> np.ndarray:
    from pydicom import dcmread

    dataset = dcmread(file, force=True)
    try:
        return _array(dataset)
    except (RuntimeError, NotImplementedError) as fault:
        if int(dataset.get("NumberOfFrames") or 1) > 1:
            raise _undecodable(file, dataset, fault) from fault
        return _decode_by_itk(file, dataset)
    except Exception as fault:
        raise _damaged(str(file), fault) from fault


def _array(dataset: Any) -> np.ndarray:
    plugin = "pydicom" if dataset.file_meta.TransferSyntaxUID == _RLE else ""  # others may be C, this one is Python
    # Bits above BitsStored are looked at later, and not just cut off.
    dataset.pixel_array_options(decoding_plugin=plugin, correct_unused_bits=False)
    return dataset.pixel_array


def _decode_by_itk(file: Path, dataset: Any) -> np.ndarray:
    """SimpleITK brings decoders for the JPEG family, which pydicom has only with extra packages."""
    import SimpleITK as sitk

    for name in ("RescaleSlope", "RescaleIntercept"):  # it would apply them, to some kinds of images
        if name in dataset:
            delattr(dataset, name)
    dataset.save_as(file)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    reader.SetImageIO("GDCMImageIO")
    try:
        return sitk.GetArrayFromImage(reader.Execute())[0]
    except RuntimeError as fault:
        raise _undecodable(file, dataset, fault) from fault


def _damaged(name: str, fault: Exception) -> DataError:
    got = " ".join(str(fault).split())[:200]
    return DataError("the pixels (PixelData) are damaged or cut", where=name, got=got, do="Copy it again.")


def _undecodable(file: Path, dataset: Any, fault: Exception) -> DataError:
    what = f"no decoder for pixels compressed as '{dataset.file_meta.TransferSyntaxUID.name}', or they are damaged"
    return DataError(what, where=file, got=(str(fault).splitlines() or [""])[-1][:200], do=_DO)
