"""What may be done to finished labels. Nothing is by default: it deletes second kidneys and scattered lesions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import Field

from vol3d.class_names import chosen_names
from vol3d.engine.settings import Settings
from vol3d.errors import UsageError
from vol3d.notes import Note
from vol3d.scans.volumes.volume import Segmentation


class PostprocessSettings(Settings):
    """Changes to finished labels; evaluations name those that were made."""

    largest_component: tuple[str, ...] = Field((), description="classes of which only the largest piece is kept")


def postprocess(segmentation: Segmentation, settings: PostprocessSettings) -> Segmentation:
    """The segmentation with the smaller pieces of the named classes made background.

    Pieces touch by a face, an edge or a corner. The input is left as it is.

    Raises:
        UsageError: a name that is no foreground class.
    """
    where, wanted = "postprocess.largest_component", segmentation.class_names[1:]
    names = chosen_names(settings.largest_component, wanted, where)
    if unknown := [name for name in names if name not in wanted]:
        raise UsageError("no such class", where=where, got=unknown, wanted=wanted)
    if not names:
        return segmentation
    from scipy.ndimage import find_objects

    labels = segmentation.labels.copy()
    boxes = find_objects(labels, max_label=len(segmentation.class_names) - 1)
    for name in names:
        value = segmentation.class_names.index(name)
        if boxes[value - 1] is not None:
            _keep_largest(labels[boxes[value - 1]], value)
    kept = ", ".join(names)
    note = Note("postprocess", "largest piece of {value}", "postprocess.largest_component", kept)
    return replace(segmentation, labels=labels, notes=(*segmentation.notes, note))


def _keep_largest(labels: np.ndarray, value: int) -> None:
    """Zeroes all but the largest piece of `value` in place."""
    from scipy.ndimage import generate_binary_structure, label

    pieces, count = label(labels == value, structure=generate_binary_structure(3, 3))
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        labels[(pieces != sizes.argmax()) & (pieces > 0)] = 0
