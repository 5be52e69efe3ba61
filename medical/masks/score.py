"""Masks against masks, whoever made them: no model and no image is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medical.evaluate import ScoredCase, evaluate_cases
from medical.masks.numbering import numbering_of
from medical.masks.pairs import MaskPair, find_pairs
from medical.masks.read import Numbering, read_masks
from medical.metrics import Measures
from vol3d.dataset_tools.fault import listed
from vol3d.engine.task import Evaluation
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.scans.volumes.volume import Segmentation, Volume
from vol3d.terminal import Progress, say

if TYPE_CHECKING:
    from vol3d.view.theme import Background


def score_masks(
    predicted: Path,
    truth: Path,
    classes: Path | None,
    tolerance_mm: float,
    lesion_iou: float,
    pictures: Background | None,
    progress: Progress,
) -> Evaluation:
    """The evaluation that `vol3d.api.score` describes."""
    if not 0 <= tolerance_mm < float("inf"):
        raise UsageError("the tolerance of NSD is no distance", where="tolerance", got=tolerance_mm, wanted=">= 0 mm")
    if not 0 < lesion_iou <= 1:
        raise UsageError("no overlap of lesions", where="lesion_iou", got=lesion_iou, wanted="above 0, at most 1")
    pairs, left_out = find_pairs(predicted, truth)
    for name, why in left_out.items():
        say(f"not scored: {name}: {why}")
    numbering, scored, source = numbering_of(pairs, (predicted, truth), classes)
    say(f"classes {listed(scored.scored, 12)}, by {source}")

    noted: dict[str, str] = {}
    cases = _read(pairs, numbering, left_out, noted, progress)
    conditions = {"predicted": str(predicted), "truth": str(truth), "classes_from": source}
    try:
        evaluation = evaluate_cases(cases, scored, conditions, pictures, Measures(tolerance_mm, lesion_iou))
    except DataError as error:
        if not all(pair.name in left_out for pair in pairs):
            raise
        first = f"{pairs[0].name}: {left_out[pairs[0].name]}"
        raise DataError(f"none of {len(pairs)} cases can be scored", where=predicted, got=first) from error
    if left_out:
        evaluation.summary["not_scored"] = {name: {"reason": left_out[name]} for name in sorted(left_out)}
    if noted:
        evaluation.summary["notes"] = {name: {"note": note} for name, note in noted.items()}
    return evaluation


def _read(
    pairs: Sequence[MaskPair],
    numbering: Numbering,
    left_out: dict[str, str],
    noted: dict[str, str],
    progress: Progress,
) -> Iterator[ScoredCase]:
    """One case after the other; those that are refused are added to `left_out`, notes to `noted`."""
    for done, pair in enumerate(pairs):
        progress(done, len(pairs), pair.name)
        try:
            found, real = read_masks(pair, numbering)
        except Vol3dError as error:
            left_out[pair.name] = str(error)
            say(f"not scored: {pair.name}: {error}")
            continue
        if notes := dict.fromkeys((*found.notes, *real.notes)):
            noted[pair.name] = "; ".join(map(str, notes))
            say(f"{pair.name}: {noted[pair.name]}")
        yield ScoredCase(pair.name, _nothing(real), real, _segmentation(found, numbering))


def _nothing(mask: Volume) -> Volume:
    """An image that shows nothing, on the grid of a mask; it takes no memory."""
    return mask.with_array(np.broadcast_to(np.float32(0), mask.array.shape))


def _segmentation(mask: Volume, numbering: Numbering) -> Segmentation:
    return Segmentation(mask.array[0], mask.grid, numbering.class_names, mask.source)
