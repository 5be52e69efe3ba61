"""What a checked header says about the voxels of a file, and the way from there to a volume."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.volumes.affine import LPS_TO_RAS, check_affine
from vol3d.scans.volumes.coded import Coding, Start, open_coded
from vol3d.scans.volumes.gzipped import MOST_PER_BYTE
from vol3d.scans.volumes.units import unit_code, unit_notes
from vol3d.scans.volumes.volume import Grid, Volume
from vol3d.scans.volumes.voxels import empty, fill

BOUND = {"raw": 1, "zlib": MOST_PER_BYTE, "gzip": MOST_PER_BYTE, "text": 8, "hex": 1}
"""How many bytes of voxels one byte of the file can give at most; bzip2 has no such bound."""


@dataclass(frozen=True)
class Stored:
    """Where the voxels are and how.

    Args:
        path: the header's file.
        sizes: number of voxels along each stored axis, the fastest first; three, or four with the channels.
        channel_axis: which of four axes counts channels; None of three.
        dtype: of a stored number, byte order included.
        parts: the files of the voxels.
        coding: how they are encoded there.
        start: what comes before them in each.
        grid: where they stand.
        notes: what had to be assumed.
        keys: what the header states beside the fields of its format, by name.
    """

    path: Path
    sizes: tuple[int, ...]
    channel_axis: int | None
    dtype: np.dtype
    parts: tuple[Path, ...]
    coding: Coding
    start: Start
    grid: Grid
    notes: tuple[Note, ...]
    keys: Mapping[str, str] = field(default_factory=dict)

    def read(self, dtype: np.dtype, slab: Callable[[np.ndarray, int], np.ndarray]) -> Volume:
        """The voxels as `dtype`, each slab of them through `slab` (see `fill`).

        Raises:
            DataError: more voxels than the files can hold, or fewer; damaged; and what `slab` raises.
        """
        count = math.prod(self.sizes)
        need, have = count * self.dtype.itemsize, sum(part.stat().st_size for part in self.parts)
        if self.coding in BOUND and need > have * BOUND[self.coding]:
            raise DataError(
                "the header describes more voxels than the file can hold",
                where=self.path,
                got=f"{' x '.join(map(str, self.sizes))} voxels of {self.dtype.name}, {need} bytes",
                wanted=f"what {have} bytes can hold",
                do="The file is cut or its header is damaged; copy or download it again.",
            )
        channels = 1 if self.channel_axis is None else self.sizes[self.channel_axis]
        inner = self.channel_axis if self.channel_axis is not None and self.channel_axis < 3 else None
        array = empty((channels, *self.grid.shape), dtype, self.path)
        with open_coded(self.parts, self.coding, self.dtype, count, self.start) as stream:
            fill(array, stream, self.dtype, slab, inner)
            stream.finish()
        return Volume(array, self.grid, self.path, self.notes)


def check_sizes(sizes: tuple[int, ...], path: Path) -> None:
    """Raises DataError for anything but 3 or 4 axes of at least one voxel."""
    if len(sizes) not in (3, 4):
        raise DataError(f"the image has {len(sizes)} axes", where=path, got=sizes, wanted="3, or 4 with the channels")
    if min(sizes) < 1 or max(sizes) >= 1 << 31:
        raise DataError("the sizes in the header are impossible", where=path, got=sizes, wanted="counts from 1")


def check_several(path: Path, parts: tuple[Path, ...], coding: Coding) -> None:
    """Raises DataError for several files of voxels that are not raw."""
    if len(parts) > 1 and coding != "raw":
        got = f"{coding} in {len(parts)} files"
        raise DataError("packed or written-out voxels in several files", where=path, got=got, wanted="raw voxels")


def place(
    path: Path, shape: tuple[int, ...], lps_affine: np.ndarray, unit_mm: float | None, notes: list[Note]
) -> tuple[Grid, tuple[Note, ...]]:
    """The grid of a file whose world is left-posterior-superior, and all notes on it.

    Args:
        lps_affine: (4, 4), voxel index -> the file's world in mm.
        unit_mm: millimetres in the file's unit; None if it states none.
    """
    affine = LPS_TO_RAS @ lps_affine
    notes = [*check_affine(affine, path), *notes, *unit_notes(unit_mm, shape, affine)]
    grid = Grid((shape[0], shape[1], shape[2]), affine, xyzt_units=unit_code(unit_mm or 1.0))
    return grid, tuple(notes)


def assumed(what: str, value: str, **numbers: float) -> Note:
    """The note on a header that lacks something: `spacing`, `orientation`, `position`, `byte order`."""
    text = f"the file gives no {what}: {{value}} was assumed"
    return Note(f"{what.replace(' ', '-')}-assumed", text, value=value, assumed=True, numbers=numbers)
