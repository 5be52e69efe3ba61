"""Point clouds and boxes in the Open3D window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from vol3d.scans.results.box_shapes import box_lines, corners, velocity_lines
from vol3d.view.draw.boxes import box_colours, box_label, label_weights
from vol3d.view.draw.camera import View, place_camera
from vol3d.view.draw.colours import hex_table, point_colours
from vol3d.view.draw.raster import point_radius
from vol3d.view.scene import BoxLayer, FrameScene, Opening, Source, ViewScene
from vol3d.view.window.names import BoxName, BoxNames
from vol3d.view.window.panel import choice, heading, remarks, slider, switches, whole_open3d

_POINT_PX, _LINE_PX = (2.0, 7.0), 2.0
_DASHES = 11  # pieces of a dashed line, every other one drawn


class CloudContent:
    """What the window shows of `scene`, as set in the panel; `opening` is the panel's state.

    Of the clouds of a recording, `series`, it is the chosen one; the eye stays where it is.
    """

    def __init__(
        self,
        scene: ViewScene,
        stage: Any,
        side: Any,
        names: BoxNames,
        size: tuple[int, int],
        series: Sequence[FrameScene] = (),
    ) -> None:
        self.series, self.names = series, names
        self.scene, self.stage, self.opening = scene, stage, scene.opening
        self.layers = {layer.name for layer in scene.boxes}
        self.view, self.middle = self._viewpoint(size)
        self.point_px, self.labelled = self._point_size(), True
        self.show_notes: Callable[[Sequence[str]], None] = lambda _notes: None
        self._fill(side)
        self.draw_points()
        self.draw_boxes()
        self._look()

    def draw_points(self) -> None:
        """All clouds anew, in the chosen colours."""
        open3d = whole_open3d()
        material = open3d.visualization.rendering.MaterialRecord()
        material.shader, material.point_size = "defaultUnlit", self.point_px
        for number, layer in enumerate(self.scene.points):
            cloud = open3d.t.geometry.PointCloud(open3d.core.Tensor(np.ascontiguousarray(layer.xyz)))
            colours = np.ascontiguousarray(
                point_colours(layer, self.opening.source, self.opening.theme).astype(np.float32) / 255
            )
            cloud.point.colors = open3d.core.Tensor(colours)
            self._replace(f"points {number}", cloud, material)

    def draw_boxes(self) -> None:
        """All boxes and labels anew that score and classes let through."""
        open3d = whole_open3d()
        material = open3d.visualization.rendering.MaterialRecord()
        material.shader, material.line_width = "unlitLine", _LINE_PX
        names: list[BoxName] = []
        for number, layer in enumerate(self.scene.boxes):
            self.stage.scene.remove_geometry(f"boxes {number}")
            rows = np.flatnonzero(self.opening.shows(layer)) if layer.name in self.layers else np.zeros(0, np.int64)
            if not len(rows):
                continue
            colours = box_colours(self.scene, layer)
            lines = box_lines(layer.detections.boxes)[rows]
            if layer.colour is not None:
                lines = _dashed(lines)
            moving, ways = velocity_lines(layer.detections.boxes[rows])
            ends = np.concatenate((lines.reshape(-1, 3), ways.reshape(-1, 3)))
            drawn = open3d.geometry.LineSet(
                open3d.utility.Vector3dVector(ends),
                open3d.utility.Vector2iVector(np.arange(len(ends), dtype=np.int32).reshape(-1, 2)),
            )
            table = hex_table([colours[row] for row in rows]) / 255
            of_lines = np.concatenate((np.repeat(table, lines.shape[1], axis=0), table[moving]))
            drawn.colors = open3d.utility.Vector3dVector(of_lines)
            self._replace(f"boxes {number}", drawn, material)
            if self.labelled:
                names += self._names(layer, rows)
        self.names.show(names)

    def _names(self, layer: BoxLayer, rows: np.ndarray) -> list[BoxName]:
        """Of these boxes, those that matter most."""
        weights, colours = label_weights(layer), box_colours(self.scene, layer)
        first = rows[np.argsort(-weights[rows], kind="stable")][: self.opening.labels]
        texts = [box_label(layer.detections, row, layer.scored) for row in first.tolist()]
        places = corners(layer.detections.boxes[first])
        return [
            BoxName(*one) for one in zip(texts, [colours[row] for row in first], places, weights[first], strict=True)
        ]

    def _replace(self, name: str, geometry: Any, material: Any) -> None:
        self.stage.scene.remove_geometry(name)
        self.stage.scene.add_geometry(name, geometry, material)

    def _viewpoint(self, size: tuple[int, int]) -> tuple[View, np.ndarray]:
        """The view that a picture would have, and the middle of the scene."""
        shown = [corners(one.detections.boxes[self.opening.shows(one)]).reshape(-1, 3) for one in self.scene.boxes]
        xyz = np.concatenate([np.zeros((0, 3), np.float32), *(layer.xyz for layer in self.scene.points)])
        hold = np.concatenate([np.zeros((0, 3)), *shown])
        everything = xyz if len(xyz) else hold if len(hold) else np.zeros((1, 3))
        return place_camera(self.opening.camera, xyz, size, hold), np.median(everything, axis=0)

    def _point_size(self) -> float:
        """Pixels that close most surfaces in the middle of the scene."""
        radius = max((point_radius(layer.xyz) for layer in self.scene.points), default=0.0)
        distance = float((self.middle - self.view.eye) @ self.view.axes[2])
        return round(float(np.clip(1.5 * radius * self.view.focal_px / distance, *_POINT_PX)))

    def _look(self) -> None:
        ahead = float((self.middle - self.view.eye) @ self.view.axes[2])
        field_of_view = float(np.degrees(2 * np.arctan(self.view.size[1] / 2 / self.view.focal_px)))
        self.stage.setup_camera(field_of_view, self.stage.scene.bounding_box, self.middle.astype(np.float32))
        target = self.view.eye + ahead * self.view.axes[2]
        up = -self.view.axes[1].astype(np.float32)
        self.stage.scene.camera.look_at(target.astype(np.float32), self.view.eye.astype(np.float32), up)
        self.stage.center_of_rotation = target.astype(np.float32)

    def _fill(self, side: Any) -> None:
        if len(self.series) > 1:
            heading(side, "Frame")
            slider(side, f"of {len(self.series)}", (1, len(self.series)), 1, self._set_frame, whole=True)
        if self.scene.points:
            self._fill_points(side)
        if self.scene.boxes:
            self._fill_boxes(side)
        self._fill_classes(side)
        if self.scene.notes:
            heading(side, "Notes")
            self.show_notes = remarks(side, self.scene.notes)

    def _fill_classes(self, side: Any) -> None:
        present = {name for one in self.series for name in one.scene.shown_classes()} | {*self.scene.shown_classes()}
        if classes := [name for name in self.scene.class_colours if name in present]:
            heading(side, "Classes")
            on = set(classes if self.opening.classes is None else self.opening.classes)
            colours = [self.scene.class_colours[name] for name in classes]
            switches(side, classes, on, self._set_classes, colours, self.opening.theme.ground)

    def _fill_points(self, side: Any) -> None:
        first = self.opening.source or self.scene.points[0].sources()[0]
        heading(side, "Points by")
        choice(side, self.scene.colour_sources(), first, self._set_source)
        slider(side, "size", (1, 12), self.point_px, self._set_point_size)

    def _fill_boxes(self, side: Any) -> None:
        layers = self.scene.boxes
        names = [layer.name for layer in layers]
        heading(side, "Boxes")
        switches(side, names, set(names), self._set_layers)
        switches(side, ["class and score"], {"class and score"}, self._set_labelled)
        if any(layer.scored for layer in layers):
            slider(side, "score from", (0, 1), self.opening.score, self._set_score)

    def _set_frame(self, place: float) -> None:
        self.scene = self.series[int(place) - 1].scene
        self.draw_points()
        self.draw_boxes()
        self.show_notes(self.scene.notes)

    def _change(self, opening: Opening) -> None:
        self.opening = opening
        self.draw_boxes()

    def _set_source(self, name: str) -> None:
        self.opening = replace(self.opening, source=cast(Source, name))
        self.draw_points()

    def _set_point_size(self, pixels: float) -> None:
        self.point_px = pixels
        self.draw_points()

    def _set_layers(self, names: set[str]) -> None:
        self.layers = names
        self.draw_boxes()

    def _set_labelled(self, names: set[str]) -> None:
        self.labelled = bool(names)
        self.draw_boxes()

    def _set_score(self, score: float) -> None:
        self._change(replace(self.opening, score=score))

    def _set_classes(self, names: set[str]) -> None:
        self._change(replace(self.opening, classes=tuple(sorted(names))))


def _dashed(lines: np.ndarray) -> np.ndarray:
    """Every other piece of each line (N, lines, 2, 3)."""
    share = np.linspace(0, 1, _DASHES + 1)[:, None]
    start, end = lines[:, :, None, 0], lines[:, :, None, 1]
    at = start * (1 - share) + end * share
    pieces = np.stack((at[:, :, 0:-1:2], at[:, :, 1::2]), axis=3)
    return pieces.reshape(len(lines), -1, 2, 3)
