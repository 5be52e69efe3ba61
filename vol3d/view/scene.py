"""What there is to see: the one description that the picture, the window and the page draw.

A scene holds point clouds with boxes in metres, or one volume with its masks in RAS millimetres; never both. It is
ready to draw: points are finite, boxes are in the frame of the points, volume and masks lie on one RAS-ordered grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from vol3d.scans.results.detections import Detections
from vol3d.scans.volumes.volume import Segmentation, Volume
from vol3d.view.theme import DARK, THEMES, Background, Theme, require_background

Source = Literal["attention", "rgb", "class", "height", "intensity", "flat"]
SOURCES: tuple[Source, ...] = get_args(Source)
TRUTH, FOUND = "ground truth", "found"


@dataclass(frozen=True, eq=False)
class PointLayer:
    """One cloud.

    Args:
        name: what a list calls it.
        xyz: (N, 3) float32 metres, z up, all finite.
        rgb: (N, 3) uint8 own colours.
        intensity: (N,) float32.
        classes: (N,) int64, 0 or more.
        flat: `#rrggbb`, the colour of all points where clouds are distinguished by colour.
        attention: (N,) float32 per cent, see `vol3d.view.load.attention`.
    """

    name: str
    xyz: np.ndarray
    rgb: np.ndarray | None = None
    intensity: np.ndarray | None = None
    classes: np.ndarray | None = None
    flat: str = DARK.clouds[0]
    attention: np.ndarray | None = None

    def sources(self) -> tuple[Source, ...]:
        """What the points can be coloured by (`vol3d.view.draw.colours.point_colours`), the default first."""
        known = {"attention": self.attention, "rgb": self.rgb, "class": self.classes, "intensity": self.intensity}
        return tuple(source for source in SOURCES if source not in known or known[source] is not None)


@dataclass(frozen=True, eq=False)
class BoxLayer:
    """Boxes of one origin.

    Args:
        name: `ground truth`, `found` or these with a file's name.
        detections: in the frame of the scene's points.
        scored: whether the scores mean anything; those of annotations are all 1.
        colour: `#rrggbb` of all of its boxes; None colours each by its class (`ViewScene.class_colours`).
    """

    name: str
    detections: Detections
    scored: bool
    colour: str | None = None


@dataclass(frozen=True, eq=False)
class MaskLayer:
    """One segmentation of the scene's volume.

    Args:
        name: what a list calls it.
        segmentation: on the volume's grid; `class_names[label]` for every label that occurs.
        colours: label -> `#rrggbb`, for each label above 0 that occurs.
    """

    name: str
    segmentation: Segmentation
    colours: dict[int, str]


@dataclass(frozen=True, eq=False)
class VolumeLayer:
    """One image and its masks.

    Args:
        name: what a list calls it.
        volume: (1, i, j, k) float32; i to the patient's right, j to the front, k to the head.
        window: values that are black and white.
        masks: on the volume's grid.
    """

    name: str
    volume: Volume
    window: tuple[float, float]
    masks: tuple[MaskLayer, ...] = ()


@dataclass(frozen=True)
class Camera:
    """Where the eye stands, around the middle of the scene.

    Args:
        azimuth: degrees counter-clockwise from +x to the eye, seen from above; None: looked for.
        elevation: degrees of the eye above the horizon; None: looked for.
        zoom: 1 shows the whole scene.
    """

    azimuth: float | None = None
    elevation: float | None = None
    zoom: float = 1.0


@dataclass(frozen=True)
class Opening:
    """What is shown at first; a window lets the user change it.

    Args:
        source: what the points are coloured by; None: the first of each layer's `sources()`.
        score: boxes of a lower score are hidden, in layers that are `scored`.
        classes: names of the box classes or organs that are shown; None shows all.
        camera: see `Camera`.
        labels: boxes of each layer whose names are written, the surest first; the legend names and counts all classes.
        window: values of a volume that are black and white; None: chosen by its values.
        background: behind clouds, and around the slices of a volume, whose air is black on both.

    Raises:
        UsageError: an unknown background.
    """

    source: Source | None = None
    score: float = 0.0
    classes: tuple[str, ...] | None = None
    camera: Camera = field(default_factory=Camera)
    labels: int = 12
    window: tuple[float, float] | None = None
    background: Background = "dark"

    def __post_init__(self) -> None:
        require_background(self.background)

    @property
    def theme(self) -> Theme:
        """The colours that the background asks for."""
        return THEMES[self.background]

    def shows(self, layer: BoxLayer) -> np.ndarray:
        """(N,) bool, which boxes of the layer are shown."""
        boxes = layer.detections
        shown = boxes.scores >= self.score if layer.scored else np.ones(len(boxes), bool)
        if self.classes is not None:
            shown = shown & np.array([name in self.classes for name in boxes.names()], bool)
        return shown


@dataclass(frozen=True, eq=False)
class ViewScene:
    """Everything that is drawn.

    Args:
        title: one line.
        points: clouds, all in one frame.
        boxes: in the frame of the clouds.
        volume: an image with its masks; then there are no clouds and no boxes.
        class_colours: `#rrggbb` of each class that a box may have, by name, in the order of the class lists.
        notes: what the user should know, one sentence each.
        opening: what is shown at first.
        origin: (3,) float64 metres that were taken off all coordinates.
        sources: the files that were read.
        around: (N, 3) points that the picture holds, of a series those of its first scene; None: the scene's own.
    """

    title: str
    points: tuple[PointLayer, ...] = ()
    boxes: tuple[BoxLayer, ...] = ()
    volume: VolumeLayer | None = None
    class_colours: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    opening: Opening = field(default_factory=Opening)
    origin: np.ndarray = field(default_factory=lambda: np.zeros(3))
    sources: tuple[Path, ...] = ()
    around: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.volume is not None and (self.points or self.boxes):
            raise ValueError("a scene holds clouds and boxes, or a volume, not both")

    def colour_sources(self) -> tuple[Source, ...]:
        """What any of the clouds can be coloured by."""
        return tuple(source for source in SOURCES if any(source in layer.sources() for layer in self.points))

    def on_background(self) -> ViewScene:
        """The same with the colours of clouds, boxes and masks as the background of its opening bears them."""
        shown, volume = self.opening.theme.shown, self.volume
        if volume is not None:
            masks = [replace(m, colours={label: shown(one) for label, one in m.colours.items()}) for m in volume.masks]
            volume = replace(volume, masks=tuple(masks))
        return replace(
            self,
            points=tuple(replace(layer, flat=shown(layer.flat)) for layer in self.points),
            boxes=tuple(replace(layer, colour=layer.colour and shown(layer.colour)) for layer in self.boxes),
            volume=volume,
            class_colours={name: shown(colour) for name, colour in self.class_colours.items()},
        )

    def shown_classes(self) -> tuple[str, ...]:
        """Classes that at least one box has, in the order of `class_colours`."""
        present = {name for layer in self.boxes for name in layer.detections.names()}
        return tuple(name for name in self.class_colours if name in present)


class FrameScene(NamedTuple):
    """One cloud of a recording: its number in the topic, and what there is to see."""

    number: int
    scene: ViewScene
