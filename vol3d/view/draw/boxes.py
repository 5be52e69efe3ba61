"""What stands beside the lines of a box: its colour, its label, and how much the label matters."""

from __future__ import annotations

import numpy as np

from vol3d.scans.results.detections import Detections
from vol3d.view.scene import BoxLayer, ViewScene


def box_colours(scene: ViewScene, layer: BoxLayer) -> list[str]:
    """`#rrggbb` of each box of the layer."""
    return [layer.colour or scene.class_colours[name] for name in layer.detections.names()]


def box_label(detections: Detections, index: int, scored: bool) -> str:
    """Class, and the score where there is one: `chair 0.87`."""
    name = detections.class_names[detections.labels[index]]
    return f"{name} {detections.scores[index]:.2f}" if scored else name


def label_weights(layer: BoxLayer) -> np.ndarray:
    """(N,) how much the label of each box matters: its score; of annotations the largest of each class come first, then
    the second of each, and all before those with scores."""
    boxes = layer.detections
    if layer.scored:
        return boxes.scores.astype(np.float64)
    weights = np.zeros(len(boxes))
    volumes = boxes.boxes[:, 3:6].prod(axis=1)
    for label in np.unique(boxes.labels):
        rows = np.flatnonzero(boxes.labels == label)
        weights[rows[np.argsort(-volumes[rows], kind="stable")]] = 1 + 1 / (1 + np.arange(len(rows)))
    return weights
