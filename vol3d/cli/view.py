"""`vol3d view`: clouds, boxes and volumes in a window, on a page over SSH, or as a picture anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vol3d.cli.console import print_json
from vol3d.cli.options import Behind, Json, Series, Topic
from vol3d.cli.view_frames import view_frames
from vol3d.cli.view_options import (
    Classes,
    Color,
    Columns,
    Every,
    Eye,
    Files,
    Frame,
    Labels,
    Level,
    Network,
    Page,
    Place,
    Png,
    Port,
    Scan,
    Score,
    Size,
    Units,
    Up,
    Window,
    asked_attention,
    parse_opening,
    parse_size,
)
from vol3d.cli.view_shown import Shown
from vol3d.errors import UsageError
from vol3d.terminal import say, tell

if TYPE_CHECKING:
    from vol3d.scans.points.options import ReadOptions
    from vol3d.view.scene import ViewScene


def view(
    files: Files,
    scan: Scan = None,
    png: Png = None,
    window: Window = False,
    page: Page = False,
    color: Color = None,
    score: Score = 0.3,
    classes: Classes = None,
    camera: Eye = None,
    model: Network = None,
    attention: Place = None,
    labels: Labels = 12,
    window_level: Level = None,
    background: Behind = "dark",
    size: Size = "1280x800",
    port: Port = None,
    columns: Columns = None,
    up: Up = "auto",
    units: Units = "auto",
    topic: Topic = None,
    frame: Frame = None,
    every: Every = None,
    series: Series = None,
    as_json: Json = False,
) -> None:
    """View point clouds with boxes and volumes with masks: in a window, on a page over SSH, or as a PNG.

    [bold]Examples[/bold]

      vol3d view room.ply out/room.json --png room.png --score 0.5
      vol3d view scan.nii.gz out/scan.nii.gz --page
      vol3d view bag/ out/bag.jsonl --topic /points --every 5 --page
    """
    shown = Shown(png, window, page, port, parse_size(size), as_json)
    shown.check()
    asked = asked_attention(model, attention, color)
    opening = parse_opening(color, score, classes, camera, labels, window_level, background)
    from vol3d.scans.points.options import ReadOptions

    named = tuple(name.strip() for name in columns.split(",")) if columns else None
    options = ReadOptions(named, up, units, topic, frame)
    if every is not None:
        _refuse_beside_frames(model, series)
        raise typer.Exit(view_frames(files, every, opening, options, scan, shown))
    from vol3d.view.load.read import load_view

    scene = load_view(files, opening, options, series, scan)
    if asked is not None:
        scene = _attention(scene, *asked, options)
    for note in scene.notes:
        say(f"note: {note}")
    if png is None:
        shown.open(scene)
    else:
        _write(scene, png, shown)


def _refuse_beside_frames(model: str | None, series: str | None) -> None:
    """Raises UsageError for options that the clouds of a recording do not have."""
    for option, value in (("--model", model), ("--series", series)):
        if value is not None:
            raise UsageError("not with --every", where=option, got=value, do=f"Leave {option} or --every out.")


def _write(scene: ViewScene, png: Path, shown: Shown) -> None:
    """The picture, and what is printed of it."""
    from vol3d.view.show import write_picture

    write_picture(scene, png, shown.size)
    if shown.as_json:
        print_json({"picture": str(png), "notes": [str(note) for note in scene.notes]})
    else:
        tell(str(png))


def _attention(scene: ViewScene, model: str, place: tuple[float, float, float], options: ReadOptions) -> ViewScene:
    """The scene coloured by it."""
    import numpy as np

    from vol3d.api import load
    from vol3d.view.load.attention import require_scan, with_attention

    require_scan(scene, np.array(place))
    up, units = (None if word.lower() == "auto" else word for word in (options.up, options.units))
    found = load(model).attention(scene.sources[0], place, columns=options.columns, up=up, units=units)
    return with_attention(scene, found, np.array(place), model)
