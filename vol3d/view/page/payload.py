"""A scene as a browser gets it: a short description in JSON, and raw arrays for the graphics card."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from vol3d.scans.results.box_shapes import box_lines, corners, velocity_lines
from vol3d.scans.results.palette import DISTINCT, class_colours
from vol3d.view.draw.boxes import box_colours, label_weights
from vol3d.view.draw.camera import place_camera
from vol3d.view.draw.colours import value_range
from vol3d.view.page.buffers import Buffers, as_buffer
from vol3d.view.page.voxels import describe_volume
from vol3d.view.scene import BoxLayer, PointLayer, ViewScene
from vol3d.view.theme import DARK, LIGHT

MOST_POINTS = 2_000_000
_RAMPS = {"height": DARK.heights, "intensity": DARK.intensities, "attention": DARK.intensities}


@dataclass(frozen=True)
class Payload:
    """What is sent.

    Args:
        description: what `scene.json` holds.
        buffers: name -> makes the bytes of one array, little-endian, when they are asked for.
    """

    description: dict[str, Any]
    buffers: Buffers = field(default_factory=dict)

    def json(self) -> bytes:
        """The description as UTF-8."""
        return json.dumps(self.description, ensure_ascii=False, allow_nan=False).encode()


def describe(scene: ViewScene, most_points: int = MOST_POINTS) -> Payload:
    """The payload of a scene.

    Args:
        most_points: of more points (all clouds together) this many are drawn at random, which is noted.
    """
    payload = Payload({})
    total = sum(len(layer.xyz) for layer in scene.points)
    share = min(1.0, most_points / max(total, 1))
    notes = list(scene.notes)
    if share < 1:
        notes.append(f"Shown are {most_points:,} of {total:,} points ({share:.0%}), drawn at random.")
    classes = class_colours(("points",), DISTINCT).values()
    payload.description.update(
        title=scene.title,
        unit="mm" if scene.volume else "m",
        origin=[float(value) for value in scene.origin],
        opening=asdict(scene.opening) | {"camera": _camera(scene)},
        sources=list(scene.colour_sources()),
        ramps={name: list(colours) for name, colours in _RAMPS.items()} | {"class": [DARK.unlabelled, *classes]},
        class_colours=scene.class_colours,
        on_light={"colours": LIGHT.counterparts, "own": LIGHT.own},
        clouds=[_describe_points(layer, share, f"cloud{i}", payload) for i, layer in enumerate(scene.points)],
        boxes=[_describe_boxes(scene, layer, f"boxes{i}", payload) for i, layer in enumerate(scene.boxes)],
        volume=None if scene.volume is None else describe_volume(scene.volume, payload.buffers, notes),
        notes=notes,
    )
    return payload


def _camera(scene: ViewScene) -> dict[str, float]:
    """Where the eye stands, in degrees, as in the picture, and where the front is; the page finds out how far away."""
    camera = scene.opening.camera
    if scene.volume is not None:
        azimuth = 60.0 if camera.azimuth is None else camera.azimuth
        elevation = 20.0 if camera.elevation is None else camera.elevation
        return {"azimuth": azimuth, "elevation": elevation, "zoom": camera.zoom, "front": 90.0}
    points = [layer.xyz for layer in scene.points] or [np.zeros((0, 3), np.float32)]
    hold = [corners(layer.detections.boxes).reshape(-1, 3) for layer in scene.boxes] or [np.zeros((0, 3))]
    into = place_camera(camera, np.concatenate(points), (960, 720), np.concatenate(hold)).axes[2]
    azimuth, elevation = (float(np.degrees(a)) for a in (np.arctan2(-into[1], -into[0]), np.arcsin(-into[2])))
    return {"azimuth": azimuth, "elevation": elevation, "zoom": camera.zoom, "front": -90.0}


def _describe_points(layer: PointLayer, share: float, name: str, payload: Payload) -> dict[str, Any]:
    total = len(layer.xyz)
    kept: Any = slice(None)
    if share < 1:
        kept = np.sort(np.random.default_rng(0).choice(total, int(total * share), replace=False))
    columns: dict[str, np.ndarray] = {"xyz": layer.xyz[kept].astype("<f4", copy=False)}
    if layer.rgb is not None:
        columns["rgb"] = layer.rgb[kept]
    if layer.intensity is not None:
        columns["intensity"] = _to_bytes(layer.intensity, kept)
    if layer.attention is not None:
        columns["attention"] = _to_bytes(layer.attention, kept)
    if layer.classes is not None:
        # The colours of more classes repeat, as in the picture.
        columns["class"] = np.where(layer.classes > 0, (layer.classes - 1) % DISTINCT + 1, 0).astype(np.uint8)[kept]
    for column, values in columns.items():
        payload.buffers[f"{name}-{column}"] = partial(as_buffer, values)
    return {
        "name": layer.name,
        "total": total,
        "shown": len(columns["xyz"]),
        "flat": layer.flat,
        "sources": list(layer.sources()),
        "height_range": value_range(layer.xyz[:, 2]),
        "attention_range": None if layer.attention is None else value_range(layer.attention),
        "buffers": {column: f"{name}-{column}" for column in columns},
    }


def _to_bytes(values: np.ndarray, kept: Any) -> np.ndarray:
    """0 to 255 from the 1st to the 99th percentile; what is not finite is 0."""
    low, high = value_range(values)
    scaled = (values[kept].astype(np.float32) - low) / max(high - low, 1e-6)
    return (np.nan_to_num(scaled, nan=0.0).clip(0, 1) * 255).astype(np.uint8)


def _describe_boxes(scene: ViewScene, layer: BoxLayer, name: str, payload: Payload) -> dict[str, Any]:
    boxes = layer.detections
    lines = box_lines(boxes.boxes).astype("<f4")
    moving, ways = velocity_lines(boxes.boxes)
    payload.buffers[f"{name}-lines"] = partial(as_buffer, lines)
    payload.buffers[f"{name}-ways"] = partial(as_buffer, ways.astype("<f4"))
    return {
        "name": layer.name,
        "scored": layer.scored,
        "own_colour": layer.colour,
        "colours": box_colours(scene, layer),
        "lines_per_box": lines.shape[1],
        "lines": f"{name}-lines",
        "moving": moving.tolist(),
        "ways": f"{name}-ways",
        "boxes": [box[: 9 if np.isfinite(box).all() else 7].tolist() for box in boxes.boxes],
        "label_weights": label_weights(layer).tolist(),
        "scores": [float(score) for score in boxes.scores],
        "classes": boxes.names(),
    }
