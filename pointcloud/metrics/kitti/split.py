"""The frames of a split laid out one after another, once for all classes, difficulties and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from pointcloud.conventions.kitti_objects import KittiObjects
from pointcloud.metrics.kitti.matching import Pairs
from pointcloud.metrics.kitti.rules import (
    COUNTED,
    IGNORED,
    MIN_OVERLAP,
    OTHER,
    Frame,
    distances,
    lower,
    state_of_found,
    state_of_truth,
)
from vol3d.errors import DataError

Ring = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Split:
    """Joined frames; an object and a detection of the same frame are a pair.

    Args:
        truth, found: all objects (G,) and detections (D,); types in lower case.
        dont_care: (D,) of `Frame`.
        pair_truth, pair_found: (P,) which object and which detection each pair has, object after object, and its
            detections in their order.
        overlaps: (3, P) of `Frame`.
        similarity: (P,) how alike the headings are in the image, 0 to 1.
    """

    truth: KittiObjects
    found: KittiObjects
    dont_care: np.ndarray
    pair_truth: np.ndarray
    pair_found: np.ndarray
    overlaps: np.ndarray
    similarity: np.ndarray

    @classmethod
    def of(cls, frames: Sequence[Frame] | Split) -> Split:
        """The frames as `compare` made them, joined.

        Raises:
            DataError: there is no frame.
        """
        if isinstance(frames, Split):
            return frames
        if not frames:
            raise DataError("there is no frame to evaluate", do="Check that the split has labelled frames.")
        truth, found = (_joined([getattr(frame, side) for frame in frames]) for side in ("truth", "found"))
        truths, founds, first, start = [], [], 0, 0
        for frame in frames:
            width, height = len(frame.truth), len(frame.found)
            truths.append(np.repeat(np.arange(first, first + width), height))
            founds.append(np.tile(np.arange(start, start + height), width))
            first, start = first + width, start + height
        pair_truth, pair_found = np.concatenate(truths), np.concatenate(founds)
        return cls(
            truth=truth,
            found=found,
            dont_care=np.concatenate([frame.dont_care for frame in frames]),
            pair_truth=pair_truth,
            pair_found=pair_found,
            overlaps=np.concatenate([frame.overlaps.transpose(0, 2, 1).reshape(3, -1) for frame in frames], axis=1),
            similarity=(1 + np.cos(found.alpha[pair_found] - truth.alpha[pair_truth])) / 2,
        )

    def states(self, name: str, difficulty: int, ring: Ring | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(G,) and (D,) of `rules`; objects beyond the ring are ignored."""
        truth = state_of_truth(self.truth, name, difficulty)
        if ring is not None:
            truth = np.where(_outside(self.truth, ring) & (truth == COUNTED), IGNORED, truth)
        return truth, state_of_found(self.found, name, difficulty)

    def pairs(
        self,
        metric: int,
        name: str,
        states: tuple[np.ndarray, np.ndarray],
        ring: Ring | None = None,
        min_overlap: float | None = None,
    ) -> Pairs:
        """What may be matched for one metric and class.

        Args:
            states: of the class, at one difficulty.
            min_overlap: an IoU must be above this; None: the benchmark's.
        """
        truth_states, found_states = states
        least = MIN_OVERLAP[name] if min_overlap is None else min_overlap
        # The regions nobody labelled are drawn in the image only; the original has no place for them in space.
        excused = self.dont_care > (MIN_OVERLAP[name] if metric == 0 else np.inf)
        if ring is not None:
            excused |= _outside(self.found, ring)

        near = np.flatnonzero(self.overlaps[metric] > least)
        known = (truth_states[self.pair_truth[near]] != OTHER) & (found_states[self.pair_found[near]] != OTHER)
        near = near[known]
        return Pairs(
            truth_states=truth_states,
            found_states=found_states,
            scores=self.found.scores,
            excused=excused,
            truth=self.pair_truth[near],
            found=self.pair_found[near],
            overlap=self.overlaps[metric][near],
            similarity=self.similarity[near],
        )


def _joined(frames: Sequence[KittiObjects]) -> KittiObjects:
    columns = (np.concatenate([getattr(one, column.name) for one in frames]) for column in fields(KittiObjects))
    objects = KittiObjects(*columns)
    return replace(objects, types=lower(objects.types))


def _outside(objects: KittiObjects, ring: Ring) -> np.ndarray:
    """Which objects are nearer to or farther from the camera than the ring."""
    away = distances(objects)
    return (away < ring[0]) | (away >= ring[1])
