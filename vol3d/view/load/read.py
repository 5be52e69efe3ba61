"""Files to a scene: which is a cloud, which a volume, which a mask, and which boxes belong to which scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vol3d.class_names import chosen_names
from vol3d.errors import UsageError
from vol3d.files import read_json
from vol3d.paths import user_path
from vol3d.scans.paths import DICOM, SUFFIXES, is_dicom
from vol3d.scans.points.find import POINT_SUFFIXES
from vol3d.scans.points.options import ReadOptions
from vol3d.scans.recordings.find import is_recording
from vol3d.scans.results.record import RECORD_SUFFIX
from vol3d.view.scene import Opening, ViewScene

_KNOWN = "a point cloud ({}), a recording (a bag, .mcap), boxes (.json), a volume ({}) or a DICOM folder".format(
    " ".join(POINT_SUFFIXES), " ".join(SUFFIXES)
)


def load_view(
    paths: Sequence[str | Path],
    opening: Opening = Opening(),  # noqa: B008 (frozen)
    points: ReadOptions = ReadOptions(),  # noqa: B008 (frozen)
    series: str | None = None,
    scan: str | Path | None = None,
) -> ViewScene:
    """Read everything that is to be seen together.

    Args:
        paths: point clouds with the JSON of their boxes (annotated, found or both), or one volume with masks on its
            grid. A result alone finds the scan that it names.
        opening: what is shown at first.
        points: what point files do not state.
        series: UID, number or description of the image's DICOM series.
        scan: the scan that the results belong to, whatever they say; it is noted if they say another one.

    Raises:
        UsageError: no file, a file of no known kind, clouds and volumes together, a result of another scan, boxes whose
            scan is not found, two images, a class or colour that the scene lacks.
        DataError: what the reader of each format refuses; masks on another grid, boxes far from all points.
    """
    kinds = kinds_of(paths)
    given = given_scan(scan, "volume" if kinds["volume"] else "points")
    of_clouds = kinds["points"] + kinds["boxes"]
    if kinds["volume"] and of_clouds:
        got = f"{kinds['volume'][0].name} with {of_clouds[0].name}"
        raise UsageError("a volume and points are no one scene", got=got, do="Look at them one after the other.")
    if kinds["volume"]:
        from vol3d.view.load.volume import load_volume

        scene = load_volume(kinds["volume"], series, given)
    elif series is not None:
        raise UsageError("only DICOM has series to choose from", where="--series", got=series)
    elif of_clouds:
        from vol3d.view.load.clouds import load_clouds

        scene = load_clouds(kinds["points"], kinds["boxes"], points, given)
    else:
        raise UsageError("nothing to look at", wanted=_KNOWN)
    opening = checked_opening(scene, opening)
    if scene.volume is not None and opening.window is not None:
        scene = replace(scene, volume=replace(scene.volume, window=opening.window))
    return replace(scene, opening=opening)


def kinds_of(paths: Sequence[str | Path]) -> dict[str, list[Path]]:
    """The files, each once, by what `kind_of` says they are."""
    kinds: dict[str, list[Path]] = {"points": [], "boxes": [], "volume": []}
    for path in dict.fromkeys(_result_of(user_path(path)) for path in paths):
        kinds[kind_of(path)].append(path)
    return kinds


def kind_of(path: Path) -> str:
    """`points`, `boxes` or `volume`.

    Raises:
        UsageError: it does not exist, or its name and its first bytes match no known format.
    """
    if not path.exists():
        raise UsageError("no such file or folder", where=path)
    name = path.name.lower()
    if is_recording(path):
        return "points"
    if path.is_dir() or name.endswith((*SUFFIXES, *DICOM)):
        return "volume"
    if name.endswith(".json"):
        return "boxes"
    if name.endswith(POINT_SUFFIXES):
        return "points"
    if is_dicom(path):
        return "volume"
    raise UsageError("neither a scan nor a result", where=path, wanted=_KNOWN)


def given_scan(scan: str | Path | None, wanted: str) -> Path | None:
    """The scan that a person gave. Raises UsageError if it is not of the wanted kind."""
    path = None if scan is None else user_path(scan)
    if path is not None and kind_of(path) != wanted:
        raise UsageError("not a scan of these results", where=path, got=kind_of(path), wanted=wanted)
    return path


def _result_of(path: Path) -> Path:
    """The mask that a JSON with its record stands for, the summary of a recording's lines; else the path itself."""
    if path.name.endswith(".jsonl") and path.with_suffix(".json").is_file():
        return path.with_suffix(".json")
    if not path.name.endswith(RECORD_SUFFIX) or not path.is_file():
        return path
    value = read_json(path)
    name = value.get("result") if isinstance(value, dict) else None
    return path.parent / Path(name).name if isinstance(name, str) else path


def checked_opening(scene: ViewScene, opening: Opening) -> Opening:
    """The opening with classes as the scene spells them.

    Raises:
        UsageError: it opens with what the scene does not have.
    """
    sources = scene.colour_sources()
    if opening.source is not None and scene.volume is not None:
        raise UsageError("only points have colours to choose from", where="--color", got=opening.source)
    if opening.source is not None and opening.source not in sources:
        raise UsageError("no cloud here has it", where="--color", got=opening.source, wanted=" or ".join(sources))
    if opening.window is not None and scene.volume is None:
        raise UsageError("only volumes have grey values", where="--window-level")
    if opening.classes is None:
        return opening
    known = _classes_of(scene)
    classes = chosen_names(opening.classes, known, "--classes")
    for name in classes:
        if name not in known:
            wanted = ", ".join(known) or "nothing, there are no classes here"
            raise UsageError("no such class here", where="--classes", got=name, wanted=wanted)
    return replace(opening, classes=classes)


def _classes_of(scene: ViewScene) -> list[str]:
    """Of boxes, then the organs of masks."""
    masks = scene.volume.masks if scene.volume else ()
    organs = [name for mask in masks for name in mask.segmentation.class_names[1:]]
    return list(dict.fromkeys((*scene.class_colours, *organs)))
