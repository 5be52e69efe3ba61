"""One scan and trained networks -> one label per voxel of the scan's own grid, in bounded memory.

Logits are averaged over networks and mirrored views, and stitched (`medical.window`). Each finished plane of the
network's grid becomes probabilities, these are interpolated linearly to the scan's grid, and the decision is taken
there, plane by plane: classes x volume exists on neither grid.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from medical.align import AxisMap, axis_maps
from medical.classes import Classes
from medical.inference import computing, low_precision
from medical.preprocess import PreprocessSettings, prepare, prepared_shape
from medical.window import Predict, Slab, WindowSettings, slab_numbers, stream
from vol3d.errors import Vol3dError
from vol3d.host import send
from vol3d.memory import require_memory
from vol3d.notes import Note
from vol3d.scans.volumes.probabilities import Probabilities
from vol3d.scans.volumes.volume import Grid, Segmentation, Volume

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


def segment(
    models: Sequence[nn.Module],
    volume: Volume,
    preprocess: PreprocessSettings,
    window: WindowSettings,
    classes: Classes,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
    probabilities: Probabilities | None = None,
) -> Segmentation:
    """Labels of `volume` on its own grid.

    Memory: the scan, the prepared scan, uint8 labels, one window's activations and outputs x one slab of windows. If
    CUDA runs out of memory the scan is started again with one window at a time, then on the CPU, with a warning.

    Args:
        models: networks `(batch, channels, *window.size) -> logits (batch, classes.outputs, *window.size)`; several are
            an ensemble, averaged before the decision. They come back on their device and in their mode.
        progress: called as `progress(done, total)` in windows.
        probabilities: of `classes`, on the grid of `volume`, to be filled.

    Raises:
        DataError: voxels that are not finite; a scan that needs more memory than is free.
        Vol3dError: the network's output is not finite.
        ValueError: no model, or one whose outputs do not fit `classes`.
    """
    if not models:
        raise ValueError("models must hold at least one network, got none")
    _check_memory(volume, preprocess, window, classes.outputs)
    ready = prepare(volume, preprocess)
    return with_less_memory(
        lambda where, how, notes: _segment(models, volume, ready, how, classes, where, progress, notes, probabilities),
        device,
        window,
        volume,
    )


def with_less_memory(
    attempt: Callable[[torch.device, WindowSettings, tuple[Note, ...]], Result],
    device: torch.device,
    window: WindowSettings,
    volume: Volume,
) -> Result:
    """What `attempt(device, window, notes)` gives; if CUDA runs out of memory, with single windows, then on the CPU."""
    attempts = [(device, window)]
    if device.type == "cuda":
        single = window.model_copy(update={"batch": 1})
        attempts += [(device, single)] * (window.batch > 1) + [(torch.device("cpu"), single)]
    notes: tuple[Note, ...] = ()
    for where, how in attempts[:-1]:
        try:
            return attempt(where, how, notes)
        except torch.cuda.OutOfMemoryError:
            text = f"{where} had too little memory for {{windows}} windows of {{value}}"
            notes = (Note("memory", text, value=str(how.size), numbers={"windows": how.batch}),)
        torch.cuda.empty_cache()  # outside the handler: the exception kept the tensors of its frames alive
        _log.warning("%s: %s; trying with less", volume.source or "scan", notes[0])
    where, how = attempts[-1]
    return attempt(where, how, notes)


def _check_memory(volume: Volume, preprocess: PreprocessSettings, window: WindowSettings, outputs: int) -> None:
    """Raises DataError if what will be held beside the scan is more than the memory that is free."""
    shape = prepared_shape(volume.grid, preprocess)
    prepared = 4 * len(volume.array) * math.prod(shape)
    slab = 4 * slab_numbers(shape, window.size, outputs)
    require_scan_memory(2 * prepared + slab + math.prod(volume.grid.shape), volume, shape)


def require_scan_memory(need: int, volume: Volume, shape: tuple[int, ...]) -> None:
    """Raises DataError if the bytes that a prediction needs are more than the memory that is free.

    Args:
        shape: voxels of the scan as the network sees it.
    """
    got = f"{volume.grid.shape} voxels, {shape} for the network: "
    do = "Crop the scan, or predict it on a machine with more memory."
    require_memory(need, "the scan does not fit into memory", volume.source, got, do)


def _segment(
    models: Sequence[nn.Module],
    volume: Volume,
    ready: Volume,
    window: WindowSettings,
    classes: Classes,
    device: torch.device,
    progress: Callable[[int, int], None] | None,
    notes: tuple[Note, ...],
    probabilities: Probabilities | None,
) -> Segmentation:
    with inference(models, device), torch.inference_mode():
        predict = average(models, window, classes.outputs)
        slabs = stream(predict, torch.from_numpy(ready.array), window, device, progress)
        labels = decide(slabs, ready.grid, volume.grid, classes, probabilities)
    regions = {} if classes.regions is None else classes.scored
    notes = (*notes, *_chosen(window, device))
    return Segmentation(labels, volume.grid, classes.names, volume.source, notes, regions=regions)


def _chosen(window: WindowSettings, device: torch.device) -> tuple[Note, ...]:
    """Which precision `auto` stands for on this device."""
    if window.amp != "auto":
        return ()
    name = str(low_precision("auto", device) or torch.float32).removeprefix("torch.")
    return (Note("precision", "computed in {value}, as window.amp=auto chose", setting="window.amp", value=name),)


def average(models: Sequence[nn.Module], window: WindowSettings, outputs: int) -> Predict:
    """Mean logits of all models and all flips of `window.mirror_axes`, float32."""
    axes = [axis + 2 for axis in window.mirror_axes]
    flips = [flip for count in range(len(axes) + 1) for flip in combinations(axes, count)]
    at_once = len(flips)  # views of a window that a GPU is given as one batch; half where they do not fit

    def predict(windows: Tensor) -> Tensor:
        nonlocal at_once
        while True:
            try:
                with computing(window.amp, windows.device):
                    total = sum_of_views(models, windows, flips, at_once if windows.is_cuda else 1)
                break
            except torch.OutOfMemoryError:
                if at_once == 1 or not windows.is_cuda:
                    raise
            at_once //= 2
            torch.cuda.empty_cache()
        if total.shape[1] != outputs or total.shape[2:] != windows.shape[2:]:
            wanted = (windows.shape[0], outputs, *windows.shape[2:])
            raise ValueError(f"the network's output must be {wanted}, got {tuple(total.shape)}")
        return total.div_(len(models) * len(flips)) if len(models) * len(flips) > 1 else total

    return predict


def sum_of_views(
    models: Sequence[nn.Module], windows: Tensor, flips: Sequence[tuple[int, ...]], at_once: int
) -> Tensor:
    """Sum of the logits of all models and views, each turned back, float32.

    Args:
        flips: the axes that are turned round in each view; () is the window as it is.
        at_once: views in one forward pass.
    """
    total: Tensor | None = None
    for model in models:
        for first in range(0, len(flips), at_once):
            group = flips[first : first + at_once]
            views = [windows.flip(flip) if flip else windows for flip in group]
            logits = model(torch.cat(views) if len(views) > 1 else views[0]).float()
            for place, flip in enumerate(group):
                view = logits.narrow(0, place * len(windows), len(windows))
                back = view.flip(flip) if flip else view
                total = back if total is None else total.add_(back)
    assert total is not None
    return total


@contextmanager
def inference(models: Sequence[nn.Module], device: torch.device) -> Iterator[None]:
    """Puts models on `device` and into evaluation mode, and back afterwards."""
    before = [(model.training, next((p.device for p in model.parameters()), device)) for model in models]
    try:
        for model in models:
            model.eval().to(device)
        yield
    finally:
        for model, (training, home) in zip(models, before, strict=True):
            model.train(training).to(home)


def decide(
    slabs: Iterator[Slab], ready: Grid, grid: Grid, classes: Classes, probabilities: Probabilities | None = None
) -> np.ndarray:
    """Logits of the prepared grid, slab by slab -> uint8 labels (i, j, k) of the scan's grid.

    Probabilities are interpolated linearly; up to one prepared voxel beyond its outermost centres the outermost is
    taken (where rounding to another spacing ends), background beyond (what was cropped). `probabilities`, those of
    background everywhere, are filled with what the labels are decided from.
    """
    labels = np.zeros(grid.shape, dtype=np.uint8)
    maps = axis_maps(ready, grid)
    before: Tensor | None = None
    for slab in slabs:
        way = _WayBack(slab.axis, maps, ready.shape, grid.shape, slab.scores.device)
        places, planes, finite = [], [], []  # of a slab, so that a GPU is waited for once, not at each plane
        for index in range(slab.start, slab.stop):
            logits = slab.scores.select(slab.axis + 1, index - slab.start)
            finite.append(torch.isfinite(logits).all())
            plane = way.turn(probabilities_of(logits, classes))
            for target in way.targets(index):
                values = way.resample(before, plane, target)
                places.append(way.place(target))
                planes.append(label_of(values, classes))
                if probabilities is not None:
                    every_class = (slice(None), *places[-1])
                    probabilities.array[every_class] = values.permute(2, 0, 1).cpu().numpy()
            before = plane
        require_finite(finite)
        for place, decided in zip(places, torch.stack(planes).cpu().numpy() if planes else (), strict=True):
            labels[place] = decided
    return labels


class _WayBack:
    """Planes of the prepared grid across its axis `axis` -> planes of the scan's grid."""

    def __init__(
        self, axis: int, maps: Sequence[AxisMap], ready: tuple[int, ...], shape: tuple[int, ...], device: torch.device
    ) -> None:
        self.lines = [_Line(one, ready[one.source], count, device) for one, count in zip(maps, shape, strict=True)]
        self.along = next(a for a in range(3) if maps[a].source == axis)
        self.first, self.second = (a for a in range(3) if a != self.along)
        self.turned = maps[self.first].source > maps[self.second].source

    def turn(self, plane: Tensor) -> Tensor:
        """(a, b, outputs) with its axes in the scan's order."""
        return plane.transpose(0, 1) if self.turned else plane

    def targets(self, index: int) -> list[int]:
        """Planes of the scan between prepared plane `index` and the one before it."""
        return self.lines[self.along].between(index)

    def resample(self, before: Tensor | None, plane: Tensor, target: int) -> Tensor:
        """Plane `target` of the scan, from the two prepared ones that it lies between."""
        share = self.lines[self.along].share(target)
        mixed = plane if before is None or share == 1 else torch.lerp(before, plane, share)
        return self.lines[self.second].resample(self.lines[self.first].resample(mixed, 0), 1)

    def place(self, target: int) -> tuple[slice | int, ...]:
        """Where plane `target` stands in the scan's labels."""
        return tuple(target if a == self.along else line.span for a, line in enumerate(self.lines))


def require_finite(finite: Sequence[Tensor]) -> None:
    """Raises Vol3dError unless all of these are true, which say whether a network's logits are finite."""
    if finite and not torch.stack([*finite]).all():
        raise Vol3dError("the network's output is not finite", do="Predict with window.amp=off, or train again.")


def probabilities_of(logits: Tensor, classes: Classes) -> Tensor:
    """Logits (outputs, a, b) -> probabilities (a, b, outputs), contiguous: interpolation moves whole voxels."""
    logits = logits.permute(1, 2, 0).contiguous()
    return logits.softmax(dim=-1) if classes.regions is None else logits.sigmoid()


def label_of(probabilities: Tensor, classes: Classes) -> Tensor:
    """The decision: probabilities (a, b, outputs) -> labels (a, b) uint8."""
    if classes.regions is None:
        return probabilities.argmax(dim=-1).to(torch.uint8)
    labels = torch.zeros(probabilities.shape[:2], dtype=torch.uint8, device=probabilities.device)
    for output, label in enumerate(classes.written_labels):
        labels[probabilities[..., output] > 0.5] = label
    return labels


class _Line:
    """Linear interpolation along one axis from `length` samples to those of `count` targets that lie within reach."""

    def __init__(self, axis: AxisMap, length: int, count: int, device: torch.device) -> None:
        position = axis.coordinates(count)
        within = np.flatnonzero((position >= -1.0) & (position <= length))
        first = int(within[0]) if len(within) else 0
        self.span = slice(first, first + len(within))  # a linear map: what is within reach is one run
        position = np.clip(position[self.span], 0, length - 1)
        position = np.where(np.abs(position - np.rint(position)) < 1e-4, np.rint(position), position)
        lower = np.clip(np.ceil(position) - 1, 0, None)
        self.upper = np.minimum(lower + 1, length - 1).astype(np.int64)
        self.lower = lower.astype(np.int64)
        self.weights = (position - lower).astype(np.float32)
        self.same = np.array_equal(position, np.arange(length))
        tables = (self.lower, self.upper, self.weights)
        self.low, self.high, self.shares = send([torch.from_numpy(table) for table in tables], device)

    def between(self, index: int) -> list[int]:
        """Targets whose upper neighbour is sample `index`."""
        return [self.span.start + int(t) for t in np.flatnonzero(self.upper == index)]

    def share(self, target: int) -> float:
        """Weight of the upper neighbour."""
        return float(self.weights[target - self.span.start])

    def resample(self, plane: Tensor, dim: int) -> Tensor:
        """`plane` at the targets along `dim`."""
        if self.same:
            return plane
        low, high = plane.index_select(dim, self.low), plane.index_select(dim, self.high)
        return torch.lerp(low, high, self.shares[:, None, None] if dim == 0 else self.shares[:, None])
