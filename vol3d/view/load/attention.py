"""A scan coloured by an encoder's attention from one place, and that place as a small box."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from vol3d.errors import UsageError
from vol3d.scans.results.attention import AttentionMap
from vol3d.scans.results.detections import Detections
from vol3d.view.scene import BoxLayer, ViewScene
from vol3d.view.theme import DARK

_FAR_M = 1.0  # from the place to the nearest point of the scan
_MARK_M = 0.15
_START = "looks from here"


def require_scan(scene: ViewScene, place: np.ndarray) -> None:
    """Refuses what has no one cloud around the place.

    Args:
        scene: that is shown.
        place: (3,) metres, z up, in the coordinates of the scan's boxes.

    Raises:
        UsageError: a volume, boxes beside the scan, several scans, or none of the points near the place.
    """
    if scene.volume is not None or scene.boxes or len(scene.points) != 1:
        got = ", ".join(path.name for path in scene.sources) or "a volume"
        raise UsageError("attention is shown of one point cloud alone", where="--attention", got=got)
    xyz = scene.points[0].xyz + scene.origin
    away = float(np.linalg.norm(xyz - place, axis=1).min())
    if away > _FAR_M:
        wanted = " to ".join("({:.2f}, {:.2f}, {:.2f})".format(*end) for end in (xyz.min(axis=0), xyz.max(axis=0)))
        got = "({:g}, {:g}, {:g}), {:.1f} m from the nearest point".format(*place, away)
        raise UsageError("no point of the scan is near that place", where="--attention", got=got, wanted=wanted)


def with_attention(scene: ViewScene, found: AttentionMap, place: np.ndarray, model: str) -> ViewScene:
    """The scene with its points coloured by the weight, in per cent, of the encoded point that is nearest to each.

    Args:
        scene: see `require_scan`.
        found: the weights.
        place: what was asked for.
        model: its name, for the note.
    """
    (layer,) = scene.points
    _, nearest = cKDTree(found.xyz - scene.origin).query(layer.xyz)
    percent = (100 * found.weights[nearest]).astype(np.float32)

    start = found.xyz[found.start]
    mark = np.array([[*(start - scene.origin), _MARK_M, _MARK_M, _MARK_M, 0]], np.float32)
    box = BoxLayer(
        "the encoded point", Detections(mark, np.ones(1, np.float32), np.zeros(1, np.int64), (_START,)), False
    )
    note = (
        f"attention of {model}'s last encoder layer, mean of {found.heads} heads, from the encoded point at "
        "({:.2f}, {:.2f}, {:.2f})".format(*start)
        + f", {np.linalg.norm(start - place):.2f} m from the place; {len(found.weights):,} encoded points, "
        f"weights {100 * found.weights.min():.2g} to {100 * found.weights.max():.2g} %, even would be "
        f"{100 / len(found.weights):.2g} %"
    )
    return replace(
        scene,
        points=(replace(layer, attention=percent),),
        boxes=(box,),
        class_colours={_START: DARK.ink},
        notes=(note, *scene.notes),
    )
