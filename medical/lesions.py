"""Lesions as connected components: which of the truth were detected, and which were found where there is none.

The rule: pieces touch by a face, an edge or a corner (26 neighbours). A lesion of the truth is detected if a predicted
piece overlaps it by an intersection over union of at least `lesion_iou`; pieces are matched one to one, so that as many
lesions as possible are detected and, of these ways, the overlaps are largest. What is left over of the prediction is a
false positive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LESION_IOU = 0.1
_TOLERANCE = 1e-9  # an overlap of just `lesion_iou` is enough, however it is rounded


@dataclass(frozen=True)
class LesionCounts:
    """Numbers of pieces in one class of one case.

    Args:
        lesions: in the truth.
        lesions_found: of those, the detected ones.
        false_positives: predicted pieces without a lesion.
    """

    lesions: int
    lesions_found: int
    false_positives: int


def count_lesions(prediction: np.ndarray, truth: np.ndarray, lesion_iou: float = LESION_IOU) -> LesionCounts:
    """The counts of two masks (i, j, k) bool on one grid; `lesion_iou` is above 0 and at most 1.

    >>> truth = np.zeros((1, 1, 9), bool)
    >>> truth[..., [0, 1, 4, 8]] = True  # three lesions
    >>> prediction = np.zeros((1, 1, 9), bool)
    >>> prediction[..., [1, 2, 6]] = True  # the first one in part, and one where there is none
    >>> count_lesions(prediction, truth)
    LesionCounts(lesions=3, lesions_found=1, false_positives=1)
    """
    from scipy.ndimage import generate_binary_structure, label

    touching = generate_binary_structure(3, 3)
    pieces, predicted = label(prediction, structure=touching)
    real, lesions = label(truth, structure=touching)
    found = _matches(pieces, real, predicted, lesion_iou) if predicted and lesions else 0
    return LesionCounts(lesions, found, predicted - found)


def _matches(pieces: np.ndarray, real: np.ndarray, predicted: int, lesion_iou: float) -> int:
    """Largest number of one-to-one matches of numbered pieces (i, j, k) that overlap enough."""
    from scipy.optimize import linear_sum_assignment

    sizes, real_sizes = np.bincount(pieces.ravel()), np.bincount(real.ravel())
    shared = (pieces > 0) & (real > 0)
    pairs, common = np.unique(real[shared].astype(np.int64) * (predicted + 1) + pieces[shared], return_counts=True)
    lesion, piece = np.divmod(pairs, predicted + 1)
    iou = common / (sizes[piece] + real_sizes[lesion] - common)
    enough = iou >= lesion_iou - _TOLERANCE

    rows, row = np.unique(lesion[enough], return_inverse=True)
    columns, column = np.unique(piece[enough], return_inverse=True)
    gain = np.zeros((len(rows), len(columns)))
    gain[row, column] = len(rows) + iou[enough]  # one match more outweighs all overlaps
    chosen = linear_sum_assignment(gain, maximize=True)
    return int(np.count_nonzero(gain[chosen]))
