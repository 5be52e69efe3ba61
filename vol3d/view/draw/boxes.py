"""What stands beside the lines of a box: its colour and its label."""

from __future__ import annotations

from vol3d.scans.results.detections import Detections
from vol3d.view.scene import BoxLayer, ViewScene


def box_colours(scene: ViewScene, layer: BoxLayer) -> list[str]:
    """`#rrggbb` of each box of the layer."""
    return [layer.colour or scene.class_colours[name] for name in layer.detections.names()]


def box_label(detections: Detections, index: int, scored: bool) -> str:
    """Class, and the score where there is one: `chair 0.87`."""
    name = detections.class_names[detections.labels[index]]
    return f"{name} {detections.scores[index]:.2f}" if scored else name
