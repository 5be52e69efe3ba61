"""Detections on a data set that annotates other classes than the detector has: only those of both are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pointcloud.datasets.scenes import SceneReader, annotated_names
from vol3d.class_names import respelled
from vol3d.engine.common_classes import CommonClasses, with_all_classes
from vol3d.engine.evaluation import Evaluation, Metric
from vol3d.scans.results.detections import Detections


class CommonDetections:
    """Takes the detections of classes that are not annotated away, and states that in the evaluation.

    Args:
        classes: of the detector and of the data set.
        model: names of the detector's classes.
        data: names of the data set's classes, in the order of its labels.
    """

    def __init__(self, classes: CommonClasses, model: Sequence[str], data: Sequence[str]) -> None:
        self.classes, self._model, self._data = classes, respelled(model, classes.spelling), data
        self._left_out = 0

    def of(self, found: Detections) -> Detections:
        """Those of the common classes, numbered among these and called as the data set does."""
        found = replace(found, class_names=respelled(found.class_names, self.classes.spelling))
        kept = found.of_classes(self.classes.common)
        self._left_out += len(found) - len(kept)
        return kept

    def stated(self, evaluation: Evaluation, scenes: Sequence[SceneReader], scored: bool = True) -> Evaluation:
        """The evaluation of the common classes with rows for the other classes, and remarks; `scored` has no rows if
        it is not."""
        classes = self.classes
        if classes.is_all:
            return evaluation
        objects = annotated_names(scenes, self._data) if scored and classes.not_in_model else {}
        counts = {name: objects.get(name, 0) for name in classes.not_in_model}
        notes = classes.remarks(self._left_out, "detections", sum(counts.values()), "objects", scored)
        table: Mapping[str, Any] = evaluation.summary.get("classes", {})
        example: Mapping[str, Any] = next((table[name] for name in classes.common if name in table), {})
        rows = {name: _never_found(example, evaluation.metrics, count) for name, count in counts.items()}
        return with_all_classes(evaluation, self._model if scored else (), rows if scored else {}, notes)


def _never_found(example: Mapping[str, Any], metrics: Sequence[Metric], objects: int) -> dict[str, Any]:
    """The row of a class that is annotated and that the detector does not have: every score is 0, errors have none."""
    scores = [metric.key for metric in metrics if metric.better == "higher" and metric.key in example]
    return dict.fromkeys(scores, 0.0) | {"ground_truths": objects, "detections": 0}
