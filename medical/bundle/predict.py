"""One scan and a bundle's network -> labels on the scan's own grid, in bounded memory.

As in `medical.segment`, logits are stitched slab by slab. Each finished plane goes through the bundle's activations,
back to the scan's grid, and through its decision; outputs x volume exists on neither grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medical.bundle.lines import Line, Way
from medical.bundle.postprocess import Postprocessing, all_of, as_labels
from medical.bundle.preprocess import Image
from medical.bundle.spatial import Moved, Place, Step, between, way_back
from medical.bundle.workflow import Workflow
from medical.segment import average, inference, require_scan_memory
from medical.window import Predict, Slab, WindowSettings, slab_numbers, stream
from vol3d.errors import DataError, Vol3dError
from vol3d.notes import Note
from vol3d.scans.volumes.volume import Volume

_LEFT = "the bundle leaves its mask on the network's grid; it was brought to the scan's, each voxel from the nearest"


@dataclass(frozen=True, eq=False)
class Ready:
    """A scan as the network's windows take it.

    Args:
        image: padded to at least one window.
        steps: from the scan to the padded image.
    """

    image: Tensor
    affine: np.ndarray
    steps: tuple[Step, ...]


def prepare(workflow: Workflow, volume: Volume) -> Ready:
    """A scan through the bundle's preprocessing, continued where it is smaller than a window.

    Raises:
        DataError: voxels that are not finite, or transforms that cannot be applied.
    """
    if not np.isfinite(volume.array.sum(dtype=np.float64)):
        raise DataError("voxels are not finite", where=volume.source, do="Repair the file or leave it out.")
    images = workflow.preprocessing.run(volume.array, volume.affine, volume.source)
    image = images.get("image") or Image(torch.empty(0, 1, 1, 1), np.eye(4))
    if len(image.values) != workflow.inputs:
        wanted = f"'image' with {workflow.inputs} channels"
        got = {key: len(one.values) for key, one in images.items()}
        raise DataError("the preprocessing gives no input for the network", where=volume.source, got=got, wanted=wanted)
    del images
    if not bool(torch.isfinite(image.values.sum(dtype=torch.float64))):
        raise DataError("the preprocessing makes voxels that are not finite", where=volume.source)
    return _padded(image, workflow)


def _padded(image: Image, workflow: Workflow) -> Ready:
    inferer, (i, j, k) = workflow.inferer, image.place.shape
    missing = [max(0, size - n) for size, n in zip(inferer.window((i, j, k)), (i, j, k), strict=True)]
    if (inferer.padding == "constant" and inferer.fill == 0) or not any(missing):
        return Ready(image.values, image.affine, image.steps)  # the windows pad with zeros themselves
    before = [one // 2 for one in missing]
    widths = [width for axis in (2, 1, 0) for width in (before[axis], missing[axis] - before[axis])]
    try:
        value = inferer.fill if inferer.padding == "constant" else None
        values = F.pad(image.values[None], widths, inferer.padding, value)[0]
    except RuntimeError as error:
        got = f"{image.place.shape} voxels for windows of {inferer.window(image.place.shape)}"
        raise DataError(f"the scan is too small to be continued by '{inferer.padding}'", got=got) from error
    affine = image.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ before
    padded = Image(values, affine)
    return Ready(values, affine, (*image.steps, Moved(image.place, padded.place)))


def window_settings(workflow: Workflow, shape: Sequence[int], device: torch.device) -> WindowSettings:
    """The bundle's windows for a volume of `shape`, in the terms of `medical.window`."""
    inferer = workflow.inferer
    i, j, k = shape
    return WindowSettings(
        size=inferer.window((i, j, k)),
        overlap=inferer.overlap,
        placement="stride",
        blend=inferer.blend,
        batch=inferer.batch,
        amp="fp16" if workflow.amp and device.type == "cuda" else "off",
    )


def predict(
    workflow: Workflow,
    models: Sequence[nn.Module],
    volume: Volume,
    ready: Ready,
    window: WindowSettings,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
    shares: np.ndarray | None = None,
) -> tuple[Tensor, tuple[Note, ...]]:
    """Labels (channels, i, j, k) of a scan on its own grid, uint8 or int16, and what was assumed.

    Args:
        shares: (outputs, i, j, k) float32, those of background everywhere, to be filled with the probabilities.

    Raises:
        DataError: more memory is needed than is free; grids that are turned against each other.
        Vol3dError: the network's output is not finite.
    """
    post, shape = workflow.postprocessing, volume.grid.shape
    _check_memory(volume, ready, window, workflow)
    way = way_back(ready.steps, shape, post.nearest) if post.inverted == "values" else None
    with inference(models, device), torch.inference_mode():
        network = _named(average(models, window, workflow.outputs), workflow)
        slabs = stream(network, ready.image, window, device, progress)
        labels = _walk(slabs, way or Way.same(ready.image.shape[1:]), post, workflow.outputs, shares)
    return _finished(labels, post, ready, volume)


def _named(network: Predict, workflow: Workflow) -> Predict:
    """The network; what it cannot be applied to is an error that names it."""

    def applied(windows: Tensor) -> Tensor:
        try:
            return network(windows)
        except torch.cuda.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, AssertionError) as error:
            text = " ".join(str(error).split())[:200]
            what = f"cannot be applied to windows of {tuple(windows.shape[2:])} ({type(error).__name__}: {text})"
            raise workflow.network.refused(what) from error

    return applied


def _finished(labels: Tensor, post: Postprocessing, ready: Ready, volume: Volume) -> tuple[Tensor, tuple[Note, ...]]:
    """What is done to finished labels, and their way to the scan's grid if they are not there yet."""
    for change in post.whole:
        labels = (
            way_back(ready.steps, volume.grid.shape, nearest=True).sample(labels) if change is None else change(labels)
        )
    if post.inverted != "nowhere" or not ready.steps:
        return labels, ()
    i, j, k = ready.image.shape[1:]
    here, there = Place((i, j, k), ready.affine), Place(volume.grid.shape, volume.affine)
    return between(there, here, "nearest", "border").sample(labels), (Note("bundle-grid", _LEFT, assumed=True),)


def _check_memory(volume: Volume, ready: Ready, window: WindowSettings, workflow: Workflow) -> None:
    """Raises DataError if what will be held beside the prepared scan is more than the memory that is free."""
    shape = tuple(ready.image.shape[1:])
    slab = 4 * slab_numbers(shape, window.size, workflow.outputs)
    windows = 4 * window.batch * math.prod(window.size) * (workflow.outputs + 1)
    require_scan_memory(slab + math.prod(volume.grid.shape) + windows, volume, shape)


def _walk(
    slabs: Iterator[Slab], way: Way, post: Postprocessing, outputs: int, shares: np.ndarray | None = None
) -> Tensor:
    """Logits slab by slab -> labels (channels, target); where the way leads outside, values are 0 before `after`."""
    empty = as_labels(all_of(post.after, torch.zeros(len(all_of(post.before, torch.zeros(outputs, 1, 1))), 1, 1)))
    labels = empty[..., None].expand(-1, *way.shape).contiguous()
    planes: _Planes | None = None
    for slab in slabs:
        planes = planes or _Planes(slab.axis, way)
        for index in range(slab.start, slab.stop):
            plane = all_of(post.before, slab.scores.select(slab.axis + 1, index - slab.start))
            if not bool(torch.isfinite(plane).all()):
                raise Vol3dError("the network's output is not finite", do="Predict it on the CPU, or ask its authors.")
            for target, values in planes.ready(index, plane):
                place, undecided = planes.place(target), all_of(post.after[: post.decision or 0], values)
                found = as_labels(all_of(post.after[post.decision or 0 :], undecided)).cpu()
                labels = labels if found.dtype == labels.dtype else labels.to(torch.int16)
                labels[place] = found
                if shares is not None:
                    shares[place] = post.probabilities(undecided).cpu().numpy()
    return labels


class _Planes:
    """Planes of the source across `axis`, one after the other -> planes of the target."""

    def __init__(self, axis: int, way: Way) -> None:
        self.along = way.sources.index(axis)
        self.others = [a for a in range(3) if a != self.along]
        self.spans = [line.span for line in way.lines]
        self.inner = [way.lines[a].part(self.spans[a]) for a in self.others]
        self.turned = way.sources[self.others[0]] > way.sources[self.others[1]]
        line = way.lines[self.along]
        used = line.weight != 0
        self.line: Line = line
        self.last = np.where(used.any(axis=1), np.where(used, line.index, -1).max(axis=1), -1)
        first = np.where(used, line.index, np.iinfo(np.int64).max).min(axis=1)
        self.reach = int(max((self.last - first)[self.last >= 0], default=0))
        self.held: dict[int, Tensor] = {}

    def ready(self, index: int, plane: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Targets that source plane `index` (channels, a, b) completes, and their values (channels, c, d)."""
        plane = plane.permute(2, 1, 0) if self.turned else plane.permute(1, 2, 0)
        self.held[index] = plane.clone(memory_format=torch.contiguous_format)  # channels last: whole voxels are moved
        for target in np.flatnonzero(self.last == index):
            mixed: Tensor | None = None
            for source, weight in zip(self.line.index[target], self.line.weight[target], strict=True):
                if weight:
                    term = self.held[int(source)]
                    term = term if weight == 1 else term * float(weight)
                    mixed = term if mixed is None else mixed + term
            assert mixed is not None
            values = self.inner[1].sample(self.inner[0].sample(mixed, 0), 1)
            yield int(target), values.permute(2, 0, 1)
        self.held.pop(index - self.reach, None)

    def place(self, target: int) -> tuple[slice | int, ...]:
        """Where plane `target` stands in the labels."""
        return (slice(None), *(target if a == self.along else self.spans[a] for a in range(3)))
