"""Labels of a scan by the networks of an nnU-Net model, in nnU-Net's arithmetic and in bounded memory.

Logits are summed over windows in float16, as nnU-Net does on every device, window after window in its order; then
averaged over folds, resampled to the scan's spacing, and only there decided. All of that goes plane by plane along the
network's first axis, so that no more than a slab of logits is held.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medical.nnunet.labels import Labels
from medical.nnunet.plans import Plans
from medical.nnunet.preprocess import Prepared, prepare, prepared_shape, turned
from medical.nnunet.resample import lines
from medical.segment import average, inference, require_scan_memory, with_less_memory
from medical.window import Slab, Stitching, WindowSettings, slab_numbers, stream
from vol3d.errors import Vol3dError
from vol3d.notes import Note
from vol3d.scans.volumes.probabilities import temporary, unload
from vol3d.scans.volumes.volume import Volume

Progress = Callable[[int, int], None]
WEIGHT = 10.0  # of the middle of a window
IN_MEMORY_BYTES = 2 << 30
"""A larger sum over folds lies in a temporary file."""


@dataclass(frozen=True)
class Stage:
    """Networks that predict together, and what they need.

    Args:
        networks: one for each fold.
        allowed: axes of the network that it was trained on mirrored views along.
        mirror: those of them that predictions are averaged over.
        step: from one window to the next, as a share of the window.
        gaussian: whether voxels in the middle of a window weigh more.
    """

    plans: Plans
    labels: Labels
    networks: Sequence[nn.Module]
    allowed: tuple[int, ...] = ()
    mirror: tuple[int, ...] = ()
    step: float = 0.5
    gaussian: bool = True

    @property
    def window(self) -> WindowSettings:
        """The windows of the network, and the mirrored views along its axes."""
        axes = tuple(axis + 1 for axis in self.mirror) if self.plans.is_2d else self.mirror
        return WindowSettings(size=self.plans.patch, overlap=1 - self.step, mirror_axes=axes)  # type: ignore[arg-type]


def segment(
    stage: Stage,
    volume: Volume,
    device: torch.device,
    previous: np.ndarray | None = None,
    progress: Progress | None = None,
    shares: np.ndarray | None = None,
) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Labels (i, j, k) of a scan, and what was unusual.

    Args:
        volume: (channels, i, j, k), with its axes as the plan's reader gives them.
        previous: labels (i, j, k) of the cascade's previous stage.
        progress: called as `progress(done, total)` in windows.
        shares: (outputs, i, j, k) float32, those of background everywhere, to be filled with the probabilities.

    Raises:
        DataError: a scan that needs more memory than is free, or that does not fit the plan's normalisation.
        Vol3dError: the network's output is not finite.
    """
    _check_memory(stage, volume)
    ready = prepare(volume, stage.plans, previous, stage.labels.foreground)
    return with_less_memory(
        lambda where, _, notes: (_segmented(stage, volume, ready, where, progress, shares), notes),
        device,
        stage.window,
        volume,
    )


def _segmented(
    stage: Stage,
    volume: Volume,
    ready: Prepared,
    device: torch.device,
    progress: Progress | None,
    shares: np.ndarray | None,
) -> np.ndarray:
    labels = np.zeros(volume.grid.shape, np.uint8 if len(stage.labels.names) <= 1 << 8 else np.uint16)
    inside = tuple(slice(start, start + n) for start, n in zip(ready.start, ready.cropped, strict=True))
    crop = turned(labels, stage.plans)[inside]  # a view: what is written here is written there
    with inference(stage.networks, device), torch.inference_mode():
        for index, logits in planes(stage, ready, device, progress):
            crop[index] = decide(logits, stage.labels).cpu().numpy()
            if shares is not None:
                every_class = (slice(None), *inside)
                turned(shares, stage.plans)[every_class][:, index] = probabilities(logits, stage.labels).cpu().numpy()
    return labels


def decide(logits: Tensor, labels: Labels) -> Tensor:
    """(outputs, b, c) -> labels (b, c)."""
    if labels.regions is None:
        return logits.argmax(dim=0)
    found = torch.zeros(logits.shape[1:], dtype=torch.int64, device=logits.device)
    for probability, label in zip(probabilities(logits, labels), labels.written, strict=True):
        found[probability > 0.5] = label
    return found


def probabilities(logits: Tensor, labels: Labels) -> Tensor:
    """(outputs, ...) -> the same of classes, which add to 1, or of regions."""
    return logits.softmax(dim=0) if labels.regions is None else logits.sigmoid()


def planes(
    stage: Stage, ready: Prepared, device: torch.device, progress: Progress | None = None
) -> Iterator[tuple[int, Tensor]]:
    """Logits (outputs, b, c) float32 of each plane of the crop along its first axis, in the scan's spacing."""
    how = stage.plans.logits
    target = ready.image.shape[1:] if how.is_off else ready.cropped
    apart = how.apart(*ready.spacing_mm[::-1])
    along, second, third = lines(ready.image.shape[1:], target, apart, how)
    before: Tensor | None = None
    for slab in averaged(stage, ready, device, progress):
        for index in range(slab.start, slab.stop):
            plane = slab.scores[:, index - slab.start].float()
            if not torch.isfinite(plane).all():
                raise Vol3dError("the network's output is not finite", do="The weights or the scan are at fault.")
            plane = third.mix(second.mix(plane, 1), 2)
            for place in np.flatnonzero(along.upper == index):
                share = float(along.share[place])
                mixed = plane if before is None or share == 1 else torch.lerp(before, plane, share)
                yield int(place), mixed.half().float() if how.rounds else mixed
            before = plane


def averaged(stage: Stage, ready: Prepared, device: torch.device, progress: Progress | None) -> Iterator[Slab]:
    """Logits of the network's grid, slab by slab: the mean over folds, in float16."""
    window, networks, outputs = stage.window, stage.networks, stage.labels.outputs
    if device.type == "cuda":
        window = window.model_copy(update={"amp": "fp16"})  # as nnU-Net
    stitching = Stitching(gaussian(window.size) if stage.gaussian else torch.ones(window.size).half(), torch.half, 0)
    image, done = torch.from_numpy(ready.image), 0

    def count(_: int, total: int) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total * len(networks))

    streams = (stream(average([one], window, outputs), image, window, device, count, stitching) for one in networks)
    if len(networks) == 1:
        yield from next(streams)
        return
    kept = _zeros((outputs, *ready.image.shape[1:]))
    total = torch.from_numpy(kept)
    for slabs in streams:
        for slab in slabs:
            total[:, slab.start : slab.stop].add_(slab.scores.to(total.device))
            unload(kept)
    for index in range(total.shape[1]):
        unload(kept)
        yield Slab(0, index, index + 1, total[:, index : index + 1] / len(networks))


def _zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Room for the sum over folds, float16: in memory, or where it is large in a temporary file.

    Weights fall to the smallest number of float16 at the edge of a window, where sums are so coarse that networks
    cannot be averaged before their windows are added.
    """
    if 2 * math.prod(shape) <= IN_MEMORY_BYTES:
        return np.zeros(shape, np.float16)
    return temporary(shape, np.dtype(np.float16))


def gaussian(size: tuple[int, int, int]) -> Tensor:
    """Weights of the voxels of a window, float16: a blurred impulse at `size // 2`, at least its smallest number."""
    from scipy.ndimage import gaussian_filter1d

    weights = np.ones(())
    for length in size:  # the filter is a product of three
        line = np.zeros(length)
        line[length // 2] = 1
        weights = weights[..., None] * gaussian_filter1d(line, length / 8, mode="constant")
    halves = torch.from_numpy(weights / weights.max() * WEIGHT).half()
    halves[halves == 0] = halves[halves > 0].min()
    return halves


def _check_memory(stage: Stage, volume: Volume) -> None:
    """Raises DataError if what will be held beside the scan is more than the memory that is free."""
    plans = stage.plans
    own, shape = volume.grid.shape, prepared_shape(volume.grid, plans)
    prepared = 4 * (len(volume.array) + len(stage.labels.foreground) * (plans.previous is not None)) * math.prod(shape)
    spline = 8 * math.prod(own) * (math.prod(shape) != math.prod(own))
    total = min(2 * stage.labels.outputs * math.prod(shape), IN_MEMORY_BYTES) * (len(stage.networks) > 1)
    slab = 2 * slab_numbers(shape, plans.patch, stage.labels.outputs, axis=0) + total
    require_scan_memory(4 * volume.array.size + prepared + max(spline, slab) + math.prod(own), volume, shape)
