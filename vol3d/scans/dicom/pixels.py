"""Stored numbers to values: the bits that count, what is padding, and the scaling of each slice.

Attribute names are those of PS3.3 C.7.6.3 (image pixel) and C.7.5.1 (padding).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.dicom.decode import stored_pixels
from vol3d.scans.dicom.frames import Frame
from vol3d.scans.dicom.header import Header
from vol3d.scans.volumes.voxels import image_slab

AT_ONCE = 16  # slices gathered before they are written into the volume, whose last axis they are
AIR_HU = -1000.0
_AIR_LIKE = (-1100.0, -900.0)  # padding that a CT may keep
_FLOAT_PADDING = ("FloatPixelPaddingValue", "DoubleFloatPixelPaddingValue")
_NAMES = ("PixelPaddingValue", *_FLOAT_PADDING)


class Padding:
    """What surrounds the image without having been measured: marked while slices are read, then made air.

    Args:
        modality: `CT` for values in Hounsfield units.
    """

    def __init__(self, modality: str) -> None:
        self._is_ct = modality == "CT"
        self._count, self._value = 0, ""

    def mark(self, voxels: np.ndarray, padded: np.ndarray, header: Header) -> None:
        """Makes the `padded` ones of (rows, columns) float32 voxels NaN."""
        if not padded.any():
            return
        low, high = float(voxels[padded].min()), float(voxels[padded].max())
        if self._is_ct and _AIR_LIKE[0] <= low and high <= _AIR_LIKE[1]:
            return
        voxels[padded] = np.nan
        self._count += int(padded.sum())
        self._value = next(text for name in _NAMES if (text := header.text(name)))

    def fill(self, array: np.ndarray, where: str) -> tuple[Note, ...]:
        """Gives what was marked the least real value, in CT that of air; (channels, i, j, k) float32.

        Raises:
            DataError: there is nothing but padding.
        """
        if not self._count:
            return ()
        least = float(np.fmin.reduce(array, axis=None))
        if np.isnan(least):
            raise DataError("all voxels are padding", where=where, got=f"PixelPaddingValue {self._value}")
        if self._is_ct and AIR_HU < least < 0:  # no air was measured
            least = AIR_HU
        for k in range(array.shape[-1]):
            part = array[..., k]
            part[np.isnan(part)] = least
        text = "{padded} voxels of padding (PixelPaddingValue {value}) were set to {set_to:g}"
        numbers = {"padded": self._count, "set_to": least}
        return (Note("padding-filled", text, value=self._value, numbers=numbers),)


def fill_volume(
    array: np.ndarray, frames: Sequence[Frame], fill_nonfinite: float | None, padding: Padding | None
) -> None:
    """Reads frames into (1, columns, rows, n) float32; padding is marked if it is asked for.

    Raises:
        DataError: see `stored_pixels`; numbers beyond the bits that the header announces.
    """
    part: list[np.ndarray] = []
    for k, (frame, raw) in enumerate(stored_pixels(frames)):
        limits = padding_limits(frame.header, raw.dtype)
        stored = valid_bits(raw, frame, limits)
        voxels = image_slab(stored[..., None], frame.slope, frame.intercept, frame.name, 0, fill_nonfinite)[..., 0]
        if padding is not None and limits is not None:
            padding.mark(voxels, _inside(raw, limits) | _inside(stored, limits), frame.header)
        part.append(voxels)
        if len(part) == AT_ONCE or k == len(frames) - 1:
            array[0, :, :, k + 1 - len(part) : k + 1] = np.stack(part, axis=-1).transpose(1, 0, 2)
            part = []


def padding_limits(header: Header, dtype: np.dtype) -> tuple[float, float] | None:
    """The least and the greatest stored number that is padding, None if the header names none.

    The attribute's type has 16 bits with or without a sign, whichever the pixels have: 63536 and -2000 are the same.
    """
    if dtype.kind == "f":
        names = [name for name in _FLOAT_PADDING if header.text(name)]
        return (header.real(names[0], 0.0),) * 2 if names else None
    if not header.text("PixelPaddingValue"):
        return None
    value = header.whole("PixelPaddingValue", low=-(1 << 31), high=1 << 32)
    limit = header.whole("PixelPaddingRangeLimit", value, -(1 << 31), 1 << 32)
    if dtype.itemsize == 2:
        value, limit = (int(np.array(one & 0xFFFF, np.uint16).view(f"{dtype.kind}2")) for one in (value, limit))
    return min(value, limit), max(value, limit)


def valid_bits(raw: np.ndarray, frame: Frame, padding: tuple[float, float] | None) -> np.ndarray:
    """Stored numbers whose bits above BitsStored say nothing else than the sign.

    Raises:
        DataError: they do, and are neither padding nor an overlay.
    """
    if raw.dtype.kind == "f":
        return raw
    bits, low, high = _range(frame.header, signed=raw.dtype.kind == "i")
    outside = (raw < low) | (raw > high)
    if padding is not None:
        outside &= ~_inside(raw, padding)
    beyond = raw[outside]
    if not len(beyond):
        return raw
    no_sign = low < 0 and beyond.min() >= 0 and beyond.max() < 1 << bits  # the sign is the highest of BitsStored
    if not no_sign and not _has_overlay(frame.header):
        raise DataError(
            "a stored number (PixelData) has bits above BitsStored", where=frame.name, got=int(beyond[0]),
            wanted=f"{low} to {high}, as of {bits} bits",
        )  # fmt: skip
    masked = raw.astype(np.int64) & ((1 << bits) - 1)
    return np.where(masked > high, masked - (1 << bits), masked)


def _range(header: Header, signed: bool) -> tuple[int, int, int]:
    """BitsStored, and the least and the greatest number of so many bits."""
    allocated = header.whole("BitsAllocated", low=1, high=64)
    bits = header.whole("BitsStored", allocated, 1, allocated)
    if header.whole("HighBit", bits - 1) != bits - 1:
        raise header.wrong("HighBit", f"{bits - 1}, one less than BitsStored")
    return (bits, -(1 << bits - 1), (1 << bits - 1) - 1) if signed else (bits, 0, (1 << bits) - 1)


def _inside(stored: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return (stored >= limits[0]) & (stored <= limits[1])


def _has_overlay(header: Header) -> bool:
    """True if unused bits of the pixels hold an overlay, as older files have (retired in 2004)."""
    positions = [(group, 0x0102) for group in range(0x6000, 0x6020, 2)]
    return any(tag in header.dataset and header.dataset[tag].value for tag in positions)
