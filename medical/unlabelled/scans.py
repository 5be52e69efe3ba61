"""The scans without labels: found, read, and refused where they are unlike the labelled ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medical.datasets.cases import Case
from medical.datasets.pairs import channel_complaint, read_image, scan_key
from medical.preprocess import PreprocessSettings, Unscaled, prepare
from medical.seen import scan_numbers, scan_traits
from medical.training_set import PreparedCase
from medical.unlabelled.settings import UnlabelledSettings
from vol3d import checkpoint
from vol3d.engine.seen import Seen, unlike
from vol3d.engine.trained_on import TrainedOn, inherited
from vol3d.errors import DataError, UsageError
from vol3d.scans.source import ScanSource
from vol3d.scans.volumes.volume import Volume
from vol3d.terminal import Progress, say

if TYPE_CHECKING:
    from medical.task import SegmentationTask


def unlabelled_scans(task: SegmentationTask, root: Path) -> list[ScanSource]:
    """The scans in `root`, without those that train with labels or validate; how many these are is printed.

    A scan is one of those if it is the same file or has the name of one: a copy must not be learned from either.

    Raises:
        UsageError: no such folder.
        DataError: nothing is left.
    """
    kept, found = _further(task, root)
    if not kept:
        got = f"{found} scans, of which {found} train with labels or validate"
        do = "Name a folder with further scans, or use fewer labels (data.folds)."
        raise DataError("no scan is unlabelled", where=root, got=got, do=do)
    left_out = found - len(kept)
    say(f"note: {len(kept)} unlabelled scans of {root}; {left_out} left out, which train with labels or validate")
    return kept


def trained_on_unlabelled(task: SegmentationTask, settings: UnlabelledSettings, progress: Progress) -> TrainedOn:
    """The scans that a training learns from without labels, and what the model that labels them has seen."""
    sources, keys = _further(task, settings.root)[0], []
    for done, source in enumerate(sources):
        progress(done, len(sources), str(source))
        keys.append(scan_key(source.files))
    known = TrainedOn(scans={"unlabelled": tuple(keys)})
    return (
        known if settings.teacher is None else known.joined(inherited("teacher", checkpoint.said_by(settings.teacher)))
    )


def _further(task: SegmentationTask, root: Path) -> tuple[list[ScanSource], int]:
    """The scans in `root` that neither train with labels nor validate, and how many there are in all."""
    if not root.is_dir():
        raise UsageError("no such folder", where="unlabelled.root", got=root)
    split = task.split.require()
    known = {path.resolve() for case in split.labelled for path in (*case.images, case.label) if path is not None}
    names = {case.name for case in split.labelled}
    found = _of_data_set(task, root) if any(root.glob("dataset*.json")) else task.find_inputs([root])
    kept = [
        source for source in found if source.name not in names and not known & {path.resolve() for path in source.files}
    ]
    return kept, len(found)


def _of_data_set(task: SegmentationTask, root: Path) -> list[ScanSource]:
    """All cases of a data set with the layout of the training's."""
    data = task.data.model_copy(update={"root": root, "fold": "all"})
    split = data.split().require()
    return [_source(case) for case in (*split.labelled, *split.test)]


def _source(case: Case) -> ScanSource:
    return ScanSource(case.images[0], case.name, channels=case.images if len(case.images) > 1 else ())


def prepared_scans(
    sources: Sequence[ScanSource], channel_names: Sequence[str], preprocess: PreprocessSettings, seen: Seen
) -> Iterator[PreparedCase]:
    """Each scan as the network sees it, called as its file; its label is background, which nothing learns from.

    Raises:
        DataError: the reader's; other channels; voxels or, where nothing scales them, intensities unlike the labelled
            scans'.
    """
    for source in sources:
        image = read_image(source.files)
        if wrong := channel_complaint(image, channel_names):
            raise DataError(
                wrong.what, where=str(source), do="An unlabelled scan needs the channels of the labelled ones."
            )
        _refuse_unlike(image, source, channel_names, preprocess, seen)
        yield without_label(str(source), image, preprocess)


def without_label(name: str, image: Volume, preprocess: PreprocessSettings) -> PreparedCase:
    """A scan as the network sees it, with background for a label."""
    array = prepare(image, preprocess).array
    return PreparedCase(name, array, np.zeros((1, *array.shape[1:]), dtype=np.uint8))


def _refuse_unlike(
    image: Volume, source: ScanSource, channel_names: Sequence[str], preprocess: PreprocessSettings, seen: Seen
) -> None:
    """Raises DataError for what the preprocessing does not bring to the labelled scans' scale."""
    compared: tuple[str, ...] = () if preprocess.spacing_mm is not None else ("spacing-",)
    compared += ("low-", "high-") if isinstance(preprocess.intensity, Unscaled) else ()
    traits = [trait for trait in scan_traits(channel_names, seen) if trait.name.startswith(compared or "no trait")]
    for note in unlike(seen, scan_numbers(image), traits):
        do = "Set preprocess.spacing_mm (or preprocess.intensity), or leave the scan out."
        raise DataError(f"an unlabelled scan is unlike the labelled ones: {note}", where=str(source), do=do)
