"""Pictures of an evaluation: the best, the median and the worst of its scenes, seen from above."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pointcloud.metrics.counts import Counts
from vol3d.report.examples import choose_examples
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections
from vol3d.view.draw.top_view import TopViewStyle, draw_top_view

if TYPE_CHECKING:
    from vol3d.view.theme import Background

CANDIDATES, _POINTS = 256, 50_000


class ScoredScene(NamedTuple):
    """A scene ready to be scored; truth and detections in the frame of the points."""

    name: str
    cloud: PointCloud
    truth: Detections
    found: Detections


class Candidates:
    """Scenes for the pictures, evenly spread over all that come, their clouds thinned out."""

    def __init__(self) -> None:
        self.scenes: list[ScoredScene] = []
        self._seen, self._every = 0, 1

    def add(self, scene: ScoredScene) -> None:
        """Keeps every n-th scene; n doubles whenever there are too many."""
        if self._seen % self._every == 0:
            self.scenes.append(scene._replace(cloud=_thinned(scene.cloud)))
        self._seen += 1
        if len(self.scenes) > CANDIDATES:
            self.scenes, self._every = self.scenes[::2], 2 * self._every


def _thinned(cloud: PointCloud) -> PointCloud:
    step = max(1, -(-len(cloud) // _POINTS))
    columns = {name: values[::step].copy() for name, values in cloud.columns.items() if name == "rgb"}
    return PointCloud(cloud.xyz[::step].copy(), columns)  # copies, so that the whole cloud is let go


def draw_examples(
    scenes: Sequence[ScoredScene],
    counts: Mapping[str, Mapping[int, Counts]],
    threshold: float,
    style: TopViewStyle,
    background: Background | None,
) -> dict[str, bytes]:
    """Title -> picture of the best, median and worst scene by F1; scenes with nothing to find or found do not count.

    Without a `background` there are no scenes to draw.
    """
    by_name = {scene.name: scene for scene in scenes}
    f1s = {name: _f1(counts[name].values()) for name in by_name}
    pictures = {}
    for word, name in choose_examples(f1s).items():
        scene, f1 = by_name[name], f1s[name]
        found = scene.found.select(scene.found.scores >= threshold)
        title = f"{name}, F1 {f1:.2f}, scores from {threshold:.2f}"
        pictures[f"{word} scene {name}, F1 {f1:.3f}"] = draw_top_view(
            scene.cloud, scene.truth, found, title, style, background or "dark"
        )
    return pictures


def _f1(rows: Iterable[Counts]) -> float:
    """2 hits / (hits + false alarms + objects); NaN where there is neither object nor detection."""
    table = [(row.hits, row.ground_truths + row.hits + row.false_alarms) for row in rows]
    hits, both = sum(h for h, _ in table), sum(b for _, b in table)
    return 2 * hits / both if both else math.nan
