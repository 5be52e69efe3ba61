"""The names that programs give to the properties of a point, as the few names that have a meaning here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note

# Groups that become one column with three numbers, whichever spelling a file uses.
_TRIPLES = {
    "xyz": (("x", "y", "z"),),
    "rgb": (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue")),
    "normal": (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z")),
}
_NAMES = {
    **dict.fromkeys(("color", "colors", "colour", "colours", "rgba"), "rgb"),
    **dict.fromkeys(("normals",), "normal"),
    **dict.fromkeys(("i", "intensities", "reflectance", "reflectivity", "remission"), "intensity"),
    **dict.fromkeys(("laser", "laser_id", "channel", "rings"), "ring"),
    **dict.fromkeys(("time_lag", "timelag", "dt"), "time"),
    **dict.fromkeys(("label", "labels", "classification", "semantic", "semantic_label"), "class"),
}
_FORCED = {"intensity": np.float32, "time": np.float32, "ring": np.int64, "class": np.int64}


def usual_name(name: str) -> str:
    """`intensity` for `reflectance` or `intensities`, and so on; other names stay."""
    return _NAMES.get(name, name)


def coordinates(fields: dict[str, np.ndarray], path: Path) -> np.ndarray:
    """(N, 3) of `x y z` as float32 where that holds what the file has, otherwise float64.

    Raises:
        DataError: a coordinate is missing.
    """
    found = _plain(fields)
    if missing := [axis for axis in "xyz" if axis not in found or found[axis].ndim != 1]:
        raise DataError(
            f"the points have no {missing[0]}", where=path, got=", ".join(fields) or "nothing", wanted="x, y, z"
        )
    axes = [found[axis] for axis in "xyz"]
    kind = np.result_type(np.float32, *axes)
    xyz = np.empty((len(axes[0]), 3), np.float32 if kind == np.float32 else np.float64)
    for index, axis in enumerate(axes):
        xyz[:, index] = axis
    return xyz


def named_columns(fields: dict[str, np.ndarray], path: Path) -> tuple[dict[str, np.ndarray], tuple[Note, ...]]:
    """Everything but the coordinates under its usual name: `rgb` uint8, `normal` float32, `intensity`, `class` ...

    Returns:
        The columns and the notes on what was changed.

    Raises:
        DataError: colours outside every usual range, an intensity or time that float32 cannot hold.
    """
    found = _plain(fields)
    columns = _triples(found)
    for name, values in found.items():
        usual = usual_name(name)
        columns.setdefault(usual if usual not in found or usual == name else name, values)

    notes: list[Note] = []
    if "rgb" in columns:
        columns["rgb"], changed = to_rgb(columns["rgb"], path)
        notes += changed
    if "normal" in columns:
        columns["normal"] = columns["normal"].astype(np.float32)
    for name in _FORCED:
        if name in columns:
            columns[name], kept = _forced(name, columns[name], path)
            notes += kept
    return columns, tuple(notes)


def _triples(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Takes what belongs together out of the fields: (N, 3) by name, without the coordinates."""
    columns = {}
    for name, spellings in _TRIPLES.items():
        spelling = next((one for one in spellings if set(one) <= set(found)), None)
        if spelling is not None:
            columns[name] = np.stack([found.pop(part) for part in spelling], axis=1)
    columns.pop("xyz", None)
    return columns


def to_rgb(colours: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Colours of any usual type as (N, 3) uint8, and what was changed.

    Packed in one number 0xRRGGBB (PCL, also as the bits of a float32), 0 to 1, 0 to 255 or 0 to 65535.

    Raises:
        DataError: none of these.
    """
    if colours.ndim == 1 and colours.dtype.itemsize == 4:
        bits = np.ascontiguousarray(colours).view(np.uint32)
        return np.stack([(bits >> shift & 255).astype(np.uint8) for shift in (16, 8, 0)], axis=1), ()
    if colours.ndim != 2 or colours.shape[1] not in (3, 4):
        raise DataError("colours of another shape", where=path, got=colours.shape, wanted="red, green, blue")
    colours = colours[:, :3]
    if colours.dtype == np.uint8 or not len(colours):
        return colours.astype(np.uint8), ()

    colours, blackened = _finite_colours(colours)
    largest = _full_scale(colours, path)
    if largest == 255:
        return _bytes(colours), blackened
    note = Note("colours-scaled", "colours were scaled from 0-{largest} to 0-255", numbers={"largest": largest})
    return _bytes(colours.astype(np.float32) * np.float32(255 / largest)), (*blackened, note)


def _full_scale(colours: np.ndarray, path: Path) -> int:
    """What stands for full brightness: 1, 255 or 65535. Raises DataError if none of them can be."""
    low, high = colours.min(), colours.max()
    if low < 0 or high > 65535:
        got, do = f"{low:g} to {high:g}", "Export colours of 0 to 255."
        raise DataError("colours outside every usual range", where=path, got=got, wanted="0 to 255", do=do)
    if high > 255:
        return 65535
    # Whole numbers up to 1 are nearly black, fractions up to 1 are shares.
    return 1 if colours.dtype.kind == "f" and high <= 1 else 255


def _finite_colours(colours: np.ndarray) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Colours (N, 3) with black for those that are not finite, and how many these were."""
    bad = ~np.isfinite(colours).all(axis=1)
    if not bad.any():
        return colours, ()
    text = "{colours} colours that are not finite were set to black"
    note = Note("colours-not-finite", text, numbers={"colours": int(bad.sum())})
    return np.where(bad[:, None], 0, colours), (note,)


def _bytes(colours: np.ndarray) -> np.ndarray:
    return np.rint(colours).astype(np.uint8) if colours.dtype.kind == "f" else colours.astype(np.uint8)


def _forced(name: str, values: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[Note, ...]]:
    if np.issubdtype(_FORCED[name], np.integer) and values.dtype.kind == "f":
        whole = np.isfinite(values) & (np.abs(values) < 1 << 53)
        whole[whole] = values[whole] == np.floor(values[whole])
        if not whole.all():
            text = "the column '{value}' holds values that are no whole numbers"
            return values, (Note("values-not-whole", text, value=name),)
    with np.errstate(over="ignore"):
        forced = values.astype(_FORCED[name])
    if forced.dtype.kind == "f" and (lost := np.isinf(forced) & np.isfinite(values)).any():
        do = "The column or the file is damaged."
        raise DataError(f"the {name} is outside the range of float32", where=path, got=values[lost].max(), do=do)
    return forced, ()


def _plain(fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Numbers only, in this machine's byte order, their names in lower case without CloudCompare's `scalar_`."""
    plain: dict[str, np.ndarray] = {}
    for name, values in fields.items():
        if values.dtype.kind in "biuf":
            plain.setdefault(
                name.lower().removeprefix("scalar_"), values.astype(values.dtype.newbyteorder("="), copy=False)
            )
    return plain
