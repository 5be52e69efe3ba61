"""The options of `vol3d view`, and what their words mean."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vol3d.errors import UsageError

if TYPE_CHECKING:
    from vol3d.view.scene import Camera, Opening
    from vol3d.view.theme import Background

Files = Annotated[
    list[str],
    typer.Argument(help="Point clouds and the JSON of their boxes, or a volume and its masks.", metavar="FILE..."),
]
Scan = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="The scan that the results belong to.  Default: the one that they name."),
]
Png = Annotated[Path | None, typer.Option(metavar="OUT.png", help="Write a picture; needs no display, GPU or Open3D.")]
Window = Annotated[bool, typer.Option("--window", help="Open a window (Open3D).  Default: where there is a display.")]
Page = Annotated[bool, typer.Option("--page", help="Serve a browser page on 127.0.0.1.  Default: without a display.")]
Color = Annotated[str | None, typer.Option(metavar="BY", help="Colour by rgb, class, height, intensity or flat.")]
Classes = Annotated[
    str | None, typer.Option(metavar="NAMES", help="Show only these classes or organs, as in chair,table.")
]
Network = Annotated[str | None, typer.Option(metavar="NAME", help="The model whose attention is shown.")]
Place = Annotated[
    str | None,
    typer.Option(metavar="X,Y,Z", help="Colour by the attention of --model from this place, in metres as of boxes."),
]
Eye = Annotated[
    str | None,
    typer.Option(
        metavar="AZ,EL[,ZOOM]",
        help="Camera position: degrees from +x and above the horizon, as in 45,30.  Default: automatic.",
    ),
]
Score = Annotated[float, typer.Option(min=0, max=1, metavar="S", help="Show boxes with at least this score.")]
Labels = Annotated[
    int, typer.Option(min=0, max=10_000, metavar="N", help="Write class and score at the N surest boxes.")
]
Level = Annotated[
    str | None,
    typer.Option(
        metavar="W,L",
        help="Volumes: width and level of the grey values, as in 1500,-600 for lungs.  Default: soft tissue in CT.",
    ),
]
Size = Annotated[str, typer.Option(metavar="WxH", help="Size of the picture or window in pixels.")]
Port = Annotated[int | None, typer.Option(metavar="N", help="Port of the page.  Default: a free one.")]
Columns = Annotated[
    str | None, typer.Option(metavar="NAMES", help="Names of a point file's columns, as in x,y,z,intensity.")
]
Up = Annotated[str, typer.Option(metavar="AXIS", help="Axis of the points that points up, as in y or -z.")]
Units = Annotated[str, typer.Option(metavar="UNIT", help="Unit of the points: m, cm, mm, ft or in.")]
Frame = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Recordings: the number of the cloud.  Default: 0.")
]
Every = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Recordings: show one of N clouds: OUT-000020.png and so on, or a page or window to step through.",
    ),
]


def parse_opening(
    color: str | None,
    score: float,
    classes: str | None,
    camera: str | None,
    labels: int,
    window_level: str | None,
    background: str,
) -> Opening:
    """What is shown at first.

    Raises:
        UsageError: a word that none of them knows.
    """
    from vol3d.view.scene import SOURCES, Camera, Opening

    source = next((known for known in SOURCES[1:] if known == color), None)  # attention has an option of its own
    if color is not None and source is None:
        raise UsageError("unknown way to colour points", where="--color", got=color, wanted=" or ".join(SOURCES[1:]))
    named = None if classes is None else tuple(name.strip() for name in classes.split(",") if name.strip())
    return Opening(
        source,
        score,
        named,
        Camera() if camera is None else parse_camera(camera),
        labels,
        None if window_level is None else parse_window(window_level),
        cast("Background", background),
    )


def parse_place(text: str) -> tuple[float, float, float]:
    """`X,Y,Z` as three numbers.

    Raises:
        UsageError: anything else.
    """
    try:
        x, y, z = (float(word) for word in text.split(","))
    except ValueError:
        x = y = z = math.nan
    if not all(math.isfinite(value) for value in (x, y, z)):
        raise UsageError("not a place", where="--attention", got=text, wanted="X,Y,Z in metres, as in 1.2,0.5,0.6")
    return x, y, z


def parse_size(text: str) -> tuple[int, int]:
    """`1280x800` as two numbers.

    Raises:
        UsageError: anything else, or sides that are not 320x240 to 8192x8192.
    """
    width, _, height = text.lower().partition("x")
    wanted = "WIDTHxHEIGHT from 320x240 to 8192x8192, as in 1280x800"
    if not (width.isdecimal() and height.isdecimal()) or len(text) > 9:
        raise UsageError("not a size", where="--size", got=text, wanted=wanted)
    size = int(width), int(height)
    if not (320 <= size[0] <= 8192 and 240 <= size[1] <= 8192):
        raise UsageError("not a size that can be drawn", where="--size", got=text, wanted=wanted)
    return size


def parse_window(text: str) -> tuple[float, float]:
    """`WIDTH,LEVEL` as the values that are black and white.

    Raises:
        UsageError: not two numbers, or a width that is not positive.
    """
    try:
        width, level = (float(word) for word in text.split(","))
    except ValueError:
        width = level = math.nan
    if not (math.isfinite(level) and 0 < width < math.inf):
        raise UsageError("not a window", where="--window-level", got=text, wanted="WIDTH,LEVEL, as in 400,40")
    return level - width / 2, level + width / 2


def parse_camera(text: str) -> Camera:
    """`AZIMUTH,ELEVATION[,ZOOM]` in degrees.

    Raises:
        UsageError: not two or three numbers, an elevation outside -89 to 89, a zoom outside 0.01 to 100.
    """
    from vol3d.view.scene import Camera

    wanted = "azimuth, elevation from -89 to 89 and maybe a zoom from 0.01 to 100, as in 45,30 or 45,30,2"
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        values = []
    azimuth, elevation, zoom = (*values, 1.0)[:3] if len(values) in (2, 3) else (0.0, 0.0, 0.0)
    if not (abs(azimuth) <= 3600 and -89 <= elevation <= 89 and 0.01 <= zoom <= 100):
        raise UsageError("not a camera position", where="--camera", got=text, wanted=wanted)
    return Camera(azimuth, elevation, zoom)


def asked_attention(
    model: str | None, attention: str | None, color: str | None
) -> tuple[str, tuple[float, float, float]] | None:
    """The model and the place. Raises UsageError for one without the other, and beside --color."""
    if attention is None and model is not None:
        do = "Add --attention X,Y,Z."
        raise UsageError("of a model only the attention is shown", where="--model", got=model, do=do)
    if attention is None:
        return None
    if model is None:
        raise UsageError("attention is a model's", where="--attention", got=attention, do="Add --model NAME.")
    if color is not None:
        raise UsageError("attention colours the points", where="--color", got=color, do="Leave --color out.")
    return model, parse_place(attention)
