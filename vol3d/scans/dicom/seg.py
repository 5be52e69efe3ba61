"""DICOM segmentation objects read back: each voxel's segment number, and the names of the segments (PS3.3 C.8.20).

An object holds only the slices that it needs, so its labels stand on the grid of the series it was made for, or on as
many of its slices as the object has.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.dicom.decode import all_pixels
from vol3d.scans.dicom.files import Entry, entries
from vol3d.scans.dicom.frames import Frame, macro, placed_frames, shared_group
from vol3d.scans.dicom.header import Header
from vol3d.scans.dicom.kinds import SEGMENTATIONS, sop_class
from vol3d.scans.volumes.affine import LPS_TO_RAS, check_affine
from vol3d.scans.volumes.volume import Grid, Volume
from vol3d.scans.volumes.voxels import empty, narrowest

MOST_SLICES = 1 << 16
OFF_VOXEL = 0.2  # how far from a voxel's centre a segment's pixel may lie; positions are rounded in files
_SAME_PLACE_MM = 1e-2


def is_dicom_seg(path: Path) -> bool:
    """True for a DICOM segmentation object. Raises DataError for a damaged file."""
    with entries(path) as files:
        header = files[0].header() if len(files) == 1 else None
    return header is not None and sop_class(header) in SEGMENTATIONS


def read_dicom_seg(path: str | Path, grid: Grid | None = None) -> Volume:
    """Read a segmentation object: binary, a label map, or a fractional one that is in fact binary.

    Args:
        grid: place the labels on this grid, usually the image's; without it they are on the object's own slices.

    Returns:
        Labels (1, i, j, k): the numbers of the segments, whose names are `label_names`.

    Raises:
        DataError: damaged, not a segmentation, segments that overlap, or slices that are not on `grid`.
    """
    path = Path(path)
    with entries(path) as files:
        header = files[0].header() if len(files) == 1 else None
        if header is None or sop_class(header) not in SEGMENTATIONS:
            raise DataError("not a DICOM segmentation", where=path)
        frames, pixels = placed_frames(files[0], header), _pixels(files[0], header)
        names = _names(header)
        numbers = _numbers(header, names, len(frames))
    if pixels.shape != (len(frames), *frames[0].shape):
        raise DataError("the pixels have another shape", where=path, got=pixels.shape, wanted=frames[0].shape)
    notes: tuple[Note, ...] = ()
    if grid is None:
        grid, notes = _own_grid(frames, header)
    labels = empty(grid.shape, np.dtype(np.uint16), path)
    labels[...] = 0
    for frame, plane, number in zip(frames, pixels, numbers, strict=True):
        _place(labels, plane.astype(np.uint16) * np.uint16(number), frame, grid, names)
    return Volume(narrowest(labels)[None], grid, path, notes, names)


def _names(header: Header) -> dict[int, str]:
    """Number -> name of each segment; a label map may describe its background as number 0, which is left out."""
    names: dict[int, str] = {}
    for item in header.items("SegmentSequence"):
        number = item.whole("SegmentNumber")
        if number in names:
            raise DataError("two segments have one number", where=header.name, got=f"SegmentNumber {number}")
        names[number] = item.text("SegmentLabel") or f"segment {number}"
    names.pop(0, None)
    if not names:
        raise DataError("SegmentSequence is missing or damaged", where=header.name, wanted="the names of segments")
    return names


def _pixels(entry: Entry, header: Header) -> np.ndarray:
    """(frames, rows, columns) 0 and 1, or the segments' numbers of a label map."""
    pixels = all_pixels(entry, header)
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    kind = header.text("SegmentationType") or "none"
    if kind == "LABELMAP":
        return np.where(pixels == header.whole("PixelPaddingValue", 0), 0, pixels)
    highest = {"BINARY": 1, "FRACTIONAL": header.whole("MaximumFractionalValue", 255, 1, 255)}.get(kind)
    if highest is None:
        raise header.wrong("SegmentationType", "BINARY, FRACTIONAL or LABELMAP")
    if not np.isin(pixels, (0, highest)).all():
        raise DataError(
            f"a {kind.lower()} segmentation with values between", where=entry.name,
            got=f"{pixels[~np.isin(pixels, (0, highest))][0]}", wanted=f"0 or {highest}",
            do="Export it as a binary segmentation or a label map.",
        )  # fmt: skip
    return pixels != 0


def _numbers(header: Header, names: dict[int, str], count: int) -> list[int]:
    """What the ones of each frame mean: its segment's number, or 1 in a label map, which has the numbers itself."""
    if header.text("SegmentationType") == "LABELMAP":
        return [1] * count
    shared, numbers = shared_group(header), []
    for group in header.items("PerFrameFunctionalGroupsSequence"):
        part = macro("SegmentIdentificationSequence", group, shared)
        number = part.whole("ReferencedSegmentNumber")
        if number not in names:
            raise part.wrong("ReferencedSegmentNumber", f"one of {sorted(names)}")
        numbers.append(number)
    return numbers


def _place(labels: np.ndarray, plane: np.ndarray, frame: Frame, grid: Grid, names: dict[int, str]) -> None:
    """Writes the labels of one frame, (rows, columns), into those of the grid, in whatever order of its axes.

    Raises:
        DataError: they lie off the grid or its voxels, on another segment, or have no name.
    """
    if not plane.any():
        return
    steps = np.stack([frame.column * frame.spacing[0], frame.row * frame.spacing[1], frame.position], axis=1)
    steps = np.vstack([steps, [0, 0, 1]])
    to_grid = np.linalg.solve(grid.affine, LPS_TO_RAS @ steps)[:3]  # (row, column, 1) -> (i, j, k)
    whole = np.rint(to_grid)
    where = np.argwhere(plane)
    target = (where @ whole[:, :2].T + whole[:, 2]).astype(np.intp)
    off = np.abs(to_grid - whole) @ (*plane.shape, 1)
    one_to_one = np.array_equal(np.abs(whole[:, :2]).sum(axis=0), [1, 1]) and abs(whole[:, 0] @ whole[:, 1]) == 0
    if off.max() > OFF_VOXEL or not one_to_one or ((target < 0) | (target >= grid.shape)).any():
        raise DataError(
            "the segmentation does not stand on the image's voxels", where=frame.name, do="Is it another scan's?"
        )
    here, new = tuple(target.T), plane[tuple(where.T)]
    if unnamed := sorted(set(np.unique(new).tolist()) - names.keys()):
        raise DataError("a label without a segment", where=frame.name, got=unnamed[0], wanted=f"one of {sorted(names)}")
    old = labels[here]
    both = np.flatnonzero((old != 0) & (old != new))
    if len(both):
        pair = names[int(old[both[0]])], names[int(new[both[0]])]
        raise DataError(
            "segments overlap", where=frame.name, got=f"'{pair[0]}' and '{pair[1]}' in {len(both)} voxels",
            wanted="one label for each voxel", do="Export each of them alone.",
        )  # fmt: skip
    labels[here] = new


def _own_grid(frames: list[Frame], header: Header) -> tuple[Grid, tuple[Note, ...]]:
    """The grid of the object's slices from the first to the last, with those between that it leaves out."""
    first = frames[0]
    for frame in frames:
        if not np.allclose([frame.row, frame.column], [first.row, first.column], atol=1e-3) or not np.allclose(
            frame.spacing, first.spacing, rtol=1e-3
        ):
            raise DataError("two orientations or pixel spacings in one segmentation", where=frame.name)
    normal = np.cross(first.row, first.column)
    places = np.array(sorted((frame.position for frame in frames), key=lambda place: float(place @ normal)))
    heights = places @ normal
    gaps = np.diff(heights)
    gaps = gaps[gaps > _SAME_PLACE_MM]
    step = _step(gaps, header)
    count = 1 + round(float(heights[-1] - heights[0]) / step)
    if count > MOST_SLICES:
        raise DataError("the slices are too far apart", where=first.name, got=f"{count}", wanted=f"{MOST_SLICES}")

    affine = np.eye(4)
    affine[:3, 0] = first.row * first.spacing[1]
    affine[:3, 1] = first.column * first.spacing[0]
    affine[:3, 2] = (places[-1] - places[0]) / (count - 1) if count > 1 else normal * step
    affine[:3, 3] = places[0]
    affine = LPS_TO_RAS @ affine
    notes = tuple(check_affine(affine, header.name))
    of_series = sum(len(one.items("ReferencedInstanceSequence")) for one in header.items("ReferencedSeriesSequence"))
    if of_series not in (0, 1, count):  # 1 is a multi-frame file
        text = "the {slices} slices from the first to the last segment, of {of_series} in its series"
        numbers = {"slices": count, "of_series": of_series}
        notes += (Note("segmentation-slices", text, value=header.name, numbers=numbers),)
    return Grid((first.shape[1], first.shape[0], count), affine), notes


def _step(gaps: np.ndarray, header: Header) -> float:
    """mm between neighbouring slices, of which all gaps are multiples. Raises DataError if there is no such step."""
    shared = shared_group(header)
    groups = header.items("PerFrameFunctionalGroupsSequence")[:1] or [shared]
    measures = macro("PixelMeasuresSequence", groups[0], shared)
    stated = [measures.real(name, 0.0) for name in ("SpacingBetweenSlices", "SliceThickness")]
    least = float(gaps.min()) if len(gaps) else 0.0
    for step in (stated[0], least, stated[1]):
        if step > _SAME_PLACE_MM and (np.abs(gaps / step - np.rint(gaps / step)) < OFF_VOXEL).all():
            return step
    some = ", ".join(f"{gap:.3f}" for gap in np.unique(gaps.round(3))[:5])
    raise DataError(
        "the slices of the segmentation are not evenly spaced", where=header.name,
        got=f"gaps of {some} mm" if some else "one slice without SpacingBetweenSlices",
        wanted="multiples of SpacingBetweenSlices", do="Read it together with its image.",
    )  # fmt: skip
