"""Point clouds and the boxes that belong to them, brought into one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vol3d.errors import DataError, UsageError
from vol3d.files import read_json
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.find import POINT_SUFFIXES, points_file_stem
from vol3d.scans.points.options import ReadOptions
from vol3d.scans.recordings.find import is_recording
from vol3d.scans.recordings.recording import read_frame
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.frames import FrameLines
from vol3d.scans.results.palette import class_colours
from vol3d.scans.results.read import parse_objects, read_detections
from vol3d.scans.results.record import read_record
from vol3d.view.load.belongs import Origin, check_scan, find_scan, note_of_other
from vol3d.view.load.listing import ListedScene, pick_scene
from vol3d.view.scene import FOUND, TRUTH, BoxLayer, PointLayer, ViewScene
from vol3d.view.theme import DARK

_MARGIN_M = 1.0  # how far from the points a box may stand
_SURFACE = 200_000  # points drawn from a mesh that has fewer corners


class MadeFor(NamedTuple):
    """What boxes were made for: the scan, and the way (4, 4) from their frame to its file.

    Boxes out of a whole folder's JSON come with their entry, the way to the file is not known then; those of a
    recording with their lines.
    """

    scan: Origin
    file_from_scan: np.ndarray | None = None
    entry: ListedScene | None = None
    lines: FrameLines | None = None


class Belonging(NamedTuple):
    """Files that are seen together: clouds, what boxes were made for by their file, and what is to be noted."""

    clouds: list[Path]
    boxes: dict[Path, MadeFor]
    notes: list[str]


def load_clouds(
    clouds: Sequence[Path], boxes: Sequence[Path], options: ReadOptions, scan: Path | None = None
) -> ViewScene:
    """See `vol3d.view.load.read.load_view`."""
    number = options.frame or 0
    clouds, made_for, notes = belonging(clouds, boxes, scan, number)
    read = [_read(path, made_for, options) for path in clouds]
    origin = read[0].origin if read else np.zeros(3)
    found = [(path, _boxes(path, one, origin, number)) for path, one in made_for.items()]
    title = _title(read, boxes)
    return scene_of(title, read, found, notes, (*clouds, *boxes))


def belonging(clouds: Sequence[Path], boxes: Sequence[Path], scan: Path | None, frame: int | None = None) -> Belonging:
    """The clouds of the boxes, found where none is given.

    Args:
        frame: the cloud of a recording that boxes are of; None: of many.

    Raises:
        UsageError: they do not belong together.
    """
    clouds = [*clouds, *([] if scan is None else [scan])]
    made_for = {path: _made_for(path, clouds, frame) for path in boxes}
    if scan is None:
        clouds = _clouds_of(made_for, clouds)
    return Belonging(clouds, made_for, _notes(made_for, scan))


def scene_of(
    title: str,
    read: Sequence[PointCloud],
    found: Sequence[tuple[Path, Detections]],
    notes: Sequence[str],
    sources: tuple[Path, ...],
) -> ViewScene:
    """Clouds and boxes, which are relative to the origin of the first cloud, in one scene.

    Raises:
        DataError: boxes far from all points.
    """
    origin = read[0].origin if read else np.zeros(3)
    layers = [_layer(cloud, origin, number, len(read)) for number, cloud in enumerate(read)]
    for path, detections in found:
        _check_place(path, detections, layers)
    return ViewScene(
        title=title,
        points=tuple(layers),
        boxes=_box_layers(found),
        class_colours=_class_colours(found),
        notes=(*(str(note) for cloud in read for note in cloud.notes), *notes),
        origin=origin,
        sources=sources,
    )


def _notes(made_for: dict[Path, MadeFor], scan: Path | None) -> list[str]:
    notes = [one.entry.note for one in made_for.values() if one.entry is not None and one.entry.note]
    return notes + [note for path, one in made_for.items() for note in note_of_other(path, one.scan, scan)]


def _title(read: Sequence[PointCloud], boxes: Sequence[Path]) -> str:
    """Name of the first cloud, or of the first boxes; of several clouds, how many files there are beside it."""
    stem = points_file_stem(read[0].source or "") if read else boxes[0].stem
    if len(read) < 2:
        return stem
    return f"{stem} and {len(read) + len(boxes) - 1} more"


def _class_colours(found: Sequence[tuple[Path, Detections]]) -> dict[str, str]:
    names = dict.fromkeys(name for _, detections in found for name in detections.class_names)
    return dict(zip(names, class_colours(("boxes",), len(names)).values(), strict=True))


def _boxes(path: Path, made_for: MadeFor, origin: np.ndarray, frame: int) -> Detections:
    entry = made_for.entry
    if made_for.lines is not None:
        return made_for.lines.boxes(frame, origin)
    if entry is None:
        return read_detections(path, origin)
    return parse_objects(entry.objects, entry.class_names, f"{path}: {entry.file}", origin=origin)


def _made_for(path: Path, clouds: Sequence[Path], frame: int | None) -> MadeFor:
    value = read_json(path)
    about = value if isinstance(value, dict) else {}
    if "scenes" in about:
        entry = pick_scene(path, about, clouds)
        return MadeFor(Origin(Path(entry.file).name, entry.file), entry=entry)
    source, source_path = about.get("source"), about.get("source_path")
    for name in (source, source_path):
        if name is not None and not isinstance(name, str):
            raise DataError("the source is no name", where=path, got=name)
    lines = FrameLines.read(path, about)
    stated = about.get("file_from_scan") if lines is None or frame is None else lines.matrix(frame)
    return MadeFor(Origin(source, source_path, read_record(path)[0]), way_of(path, stated), lines=lines)


def way_of(path: Path, stated: Any) -> np.ndarray:
    """The stated way (4, 4) from boxes to their file, or the identity. Raises DataError for what is no matrix."""
    matrix = np.eye(4).tolist() if stated is None else stated
    try:
        file_from_scan = np.array(matrix, np.float64)
        whole = file_from_scan.shape == (4, 4) and abs(np.linalg.det(file_from_scan[:3, :3])) > 1e-12
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise DataError("file_from_scan is no matrix", where=path, got=matrix, wanted="4 rows of 4 numbers")
    return file_from_scan


def _clouds_of(made_for: dict[Path, MadeFor], clouds: list[Path]) -> list[Path]:
    """The clouds, checked, or those that the boxes name; boxes that name none go with those of the others."""
    if clouds:
        for path, one in made_for.items():
            check_scan(path, one.scan, clouds, points_file_stem)
        return clouds
    named = {path: one for path, one in made_for.items() if one.scan.name is not None} or made_for
    found = [find_scan(path, one.scan, _is_points) for path, one in named.items()]
    return list({cloud.resolve(): cloud for cloud in found}.values())


def _is_points(path: Path) -> bool:
    return is_recording(path) or path.name.lower().endswith(POINT_SUFFIXES)


def _read(path: Path, made_for: dict[Path, MadeFor], options: ReadOptions) -> PointCloud:
    """The cloud with its axes and unit as the boxes that were made for it have them."""
    from vol3d.scans.points.mesh import sample_surface
    from vol3d.scans.points.read import read_points

    if is_recording(path):
        return as_boxes(read_frame(path, options), made_for)
    if options.topic is not None or options.frame is not None:
        raise UsageError("only a recording has topics and frames", where=path)
    columns = options.columns or _predicted_columns(path, made_for)
    cloud = read_points(path, columns=columns, up=options.up, units=options.units)
    if cloud.faces is not None:
        cloud = sample_surface(cloud, max(len(cloud), _SURFACE), np.random.default_rng(0))
    return as_boxes(cloud, made_for)


def _predicted_columns(path: Path, made_for: Mapping[Path, MadeFor]) -> tuple[str, ...] | None:
    """The names of the columns that `predict` was given with this scan."""
    for scan in (one.scan for one in made_for.values()):
        stated = None if scan.record is None else scan.record.settings.get("predict.columns")
        if stated and (scan.name == path.name or len(made_for) == 1):
            return tuple(map(str, stated))
    return None


def as_boxes(cloud: PointCloud, made_for: Mapping[Path, MadeFor]) -> PointCloud:
    """The cloud in the axes and the unit of the boxes that were made for it."""
    stem = points_file_stem(cloud.source or "")
    for origin, file_from_scan, *_ in made_for.values():
        own = origin.name is not None and points_file_stem(origin.name) == stem
        if file_from_scan is None or not (own or len(made_for) == 1):
            continue
        turn = np.linalg.inv(file_from_scan) @ cloud.file_from_scan
        if np.allclose(turn, np.eye(4), atol=1e-6):
            continue
        xyz = (cloud.xyz.astype(np.float64) @ turn[:3, :3].T).astype(np.float32)
        origin = turn[:3, :3] @ cloud.origin + turn[:3, 3]
        note = Note("axes-of-boxes", "axes and unit of the points follow the file of the boxes")
        notes = (*(one for one in cloud.notes if one.setting not in ("up", "units")), note)
        return PointCloud(xyz, cloud.columns, cloud.faces, origin, cloud.source, notes, file_from_scan)
    return cloud


def _layer(cloud: PointCloud, origin: np.ndarray, number: int, count: int) -> PointLayer:
    shift = (cloud.origin - origin).astype(np.float32)
    intensity, classes = cloud.columns.get("intensity"), cloud.columns.get("class")
    return PointLayer(
        name=(cloud.source or Path("points")).name,
        xyz=cloud.xyz + shift if shift.any() else cloud.xyz,
        rgb=cloud.columns.get("rgb"),
        intensity=None if intensity is None else np.nan_to_num(intensity.astype(np.float32), posinf=0.0, neginf=0.0),
        classes=None if classes is None else np.maximum(classes.astype(np.int64), 0),
        flat=DARK.clouds[number % len(DARK.clouds)],
    )


def _check_place(path: Path, detections: Detections, layers: Sequence[PointLayer]) -> None:
    if not len(detections) or not layers:
        return
    low = np.min([layer.xyz.min(axis=0) for layer in layers], axis=0) - _MARGIN_M
    high = np.max([layer.xyz.max(axis=0) for layer in layers], axis=0) + _MARGIN_M
    centres, reach = detections.boxes[:, :3], detections.boxes[:, 3:6].max(axis=1, keepdims=True) / 2
    if not ((centres + reach >= low) & (centres - reach <= high)).all(axis=1).any():
        got = f"boxes around ({', '.join(f'{value:.1f}' for value in centres.mean(axis=0))}) m"
        wanted = " to ".join(f"({', '.join(f'{value:.1f}' for value in end)})" for end in (low, high))
        raise DataError("all boxes lie outside of the scan", where=path, got=got, wanted=wanted)


def _box_layers(found: Sequence[tuple[Path, Detections]]) -> tuple[BoxLayer, ...]:
    """Annotations, whose scores are all 1, in one colour where there are detections to distinguish them from."""
    scored = [not len(boxes) or bool((boxes.scores != 1).any()) for _, boxes in found]
    layers = []
    for (path, boxes), has_scores in zip(found, scored, strict=True):
        name = FOUND if has_scores else TRUTH
        if scored.count(has_scores) > 1:
            name += f" ({path.stem})"
        layers.append(BoxLayer(name, boxes, has_scores, DARK.ink if any(scored) and not has_scores else None))
    return tuple(layers)
