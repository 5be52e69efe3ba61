"""A network and its window for the scans of a data set: as large as memory and time allow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from medical.models.common import Size
from medical.models.residual_unet import ResidualUnetSettings
from medical.models.unetr import UnetrSettings
from medical.planning.cost import Memory, step_memory, step_seconds
from medical.planning.topology import first_window, shrunk, topology_of
from vol3d.errors import UsageError

Name = Literal["unetr", "residual_unet"]
MIN_BATCH = 2
MOST_OF_DATA = 0.05  # of all voxels, that one batch may show (nnU-Net)
RESIDUAL_BLOCKS = (1, 3, 4, 6)  # ResEnc, from the finest stage on; 6 in all further ones
MAX_FEATURES = 320
PROBE = 48**3  # voxels of the largest window that is timed; a larger one takes longer in proportion
ENOUGH_STEPS = 1000  # that a training should have


@dataclass(frozen=True)
class Scans:
    """What a network is planned for.

    Args:
        spacing_mm, shape: target spacing, and median voxels at it.
        cases: that train.
        channels, outputs: of the network.
    """

    spacing_mm: tuple[float, ...]
    shape: tuple[float, ...]
    cases: int
    channels: int
    outputs: int


@dataclass(frozen=True)
class Budget:
    """What there is.

    Args:
        memory: bytes for a training step.
        hours: for the training of one fold.
        device: that it will run on.
        amp: precision on it.
    """

    memory: int
    hours: float
    device: torch.device
    amp: str


@dataclass(frozen=True)
class Network:
    """The plan of a network.

    Args:
        model: its settings.
        window: voxels (i, j, k).
        batch: windows a step.
        memory: of a step.
        seconds: of a step, measured on `probe` and scaled by voxels.
        probe: the window that was timed.
        limit: what kept the window from being larger.
    """

    model: ResidualUnetSettings | UnetrSettings
    window: Size
    batch: int
    memory: Memory
    seconds: float
    probe: Size
    limit: Literal["scans", "memory", "time"]


Planned = ResidualUnetSettings | UnetrSettings
Fit = Callable[[Size], tuple[Planned, Size]]


def plan_network(name: Name, scans: Scans, budget: Budget) -> Network:
    """The largest window whose step fits into the memory and whose steps are enough for the hours, and its batch.

    Raises:
        UsageError: too little memory for the smallest window.
    """
    fit = _fits(name, scans, budget.device)
    model, window = fit(first_window(scans.spacing_mm, scans.shape))
    limit: Literal["scans", "memory", "time"] = "scans"
    while (memory := step_memory(model, scans.channels, scans.outputs, window)).of(MIN_BATCH) > budget.memory:
        model, window = _smaller(model, window, scans, fit, memory, budget)
        limit = "memory"

    probe_model, probe = model, window
    while math.prod(probe) > PROBE and (less := _less(probe_model, probe, scans, fit)):
        probe_model, probe = less
    timed = step_seconds(probe_model, scans.channels, scans.outputs, probe, budget.device, budget.amp)
    per_voxel = timed / math.prod(probe)
    most = budget.hours * 3600 / ENOUGH_STEPS / MIN_BATCH  # seconds of a window
    while per_voxel * math.prod(window) > most and (less := _less(model, window, scans, fit)):
        model, window = less
        limit = "time"
    memory = step_memory(model, scans.channels, scans.outputs, window)
    batch = _batch(scans, budget, memory, window)
    return Network(model, window, batch, memory, per_voxel * math.prod(window) * batch, probe, limit)


def _smaller(
    model: Planned, window: Size, scans: Scans, fit: Fit, memory: Memory, budget: Budget
) -> tuple[Planned, Size]:
    less = _less(model, window, scans, fit)
    if less is None:
        got, wanted = f"{budget.memory / 1e9:.2g} GB", f"{memory.of(MIN_BATCH) / 1e9:.2g} GB for windows of {window}"
        raise UsageError("too little memory for the smallest window", where="--memory", got=got, wanted=wanted)
    return less


def _less(model: Planned, window: Size, scans: Scans, fit: Fit) -> tuple[Planned, Size] | None:
    """The network for a window of fewer voxels; a window that is cut along one axis may have to grow along another."""
    fitted = (fit(less) for less in shrunk(window, scans.shape, _steps(model)))
    return next((one for one in fitted if math.prod(one[1]) < math.prod(window)), None)


def _batch(scans: Scans, budget: Budget, memory: Memory, window: Size) -> int:
    """As many windows as memory and data allow on a GPU; the least on a CPU, where more only take longer."""
    if budget.device.type == "cpu":
        return MIN_BATCH
    held = (budget.memory - memory.fixed) // memory.per_sample
    shown = MOST_OF_DATA * scans.cases * math.prod(scans.shape) / math.prod(window)
    return max(MIN_BATCH, min(held, int(shown)))


def _fits(name: Name, scans: Scans, device: torch.device) -> Fit:
    """Window -> the network for about this window, and the window that fits it."""
    large = device.type != "cpu"
    if name == "residual_unet":
        return lambda window: _residual(window, scans.spacing_mm, 32 if large else 16)
    patch = 16 if min(scans.shape) >= 64 else 8
    return lambda window: _unetr(window, patch, large)


def _residual(window: Size, spacing_mm: Sequence[float], base: int) -> tuple[ResidualUnetSettings, Size]:
    topology = topology_of(spacing_mm, window)
    kernels, strides = topology.kernels, topology.strides
    if len(strides) == 1:  # a window too small to be halved: a U-Net has two stages at least
        kernels, strides = kernels * 2, (*strides, (1, 1, 1))
    stages = range(len(strides))
    blocks = tuple(RESIDUAL_BLOCKS[min(stage, len(RESIDUAL_BLOCKS) - 1)] for stage in stages)
    features = tuple(min(base * 2**stage, MAX_FEATURES) for stage in stages)
    return ResidualUnetSettings(features=features, kernels=kernels, strides=strides, blocks=blocks), topology.window


def _unetr(window: Size, patch: int, large: bool) -> tuple[UnetrSettings, Size]:
    i, j, k = (math.ceil(edge / patch) * patch for edge in window)
    skips: tuple[int, ...] = (3, 6, 9) if patch == 16 else (4, 8)
    if large:
        return UnetrSettings(patch=patch, skips=skips), (i, j, k)
    skips = (2, 4, 6) if patch == 16 else (3, 5)
    small = UnetrSettings(patch=patch, width=192, depth=8, heads=6, mlp=768, features=16, skips=skips)
    return small, (i, j, k)


def _steps(model: Planned) -> Size:
    """What the edges of a window are multiples of."""
    return (model.patch,) * 3 if isinstance(model, UnetrSettings) else model.multiple_of
