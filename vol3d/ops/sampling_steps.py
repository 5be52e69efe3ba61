"""Farthest-point sampling of large clouds on CUDA: one small launch per pick, spread over many multiprocessors.

Each program finds the new pick among what all programs of the launch before have left, brings the distances of its own
points up to date and leaves the farthest of them. No program waits for another: launches follow each other in the order
of the stream. The launches of a shape are captured in a CUDA graph once and replayed as one.
"""

from __future__ import annotations

import threading
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from vol3d.kernels import on_its_device
from vol3d.ops.sampling_triton import NO_POINT, sample_clouds_triton, squared

POINTS = 1024  # of a program
SPREAD_FROM = 8192  # points of a cloud; below, one program takes all steps without leaving its multiprocessor
MOST_STEPS = 8192  # of a graph
KEPT = 8  # graphs: shapes and streams that were used last
_LAUNCH = {"num_warps": 4, "enable_fp_fusion": False}  # without fusion every backend rounds alike, and picks alike
_ORDER = threading.Lock()  # of those who fill the same buffers and replay the same graph


@on_its_device
def sample_on_cuda(points: Tensor, usable: Tensor, starts: Tensor, k: int) -> Tensor:
    """Picks (B, k) int64 from float32 points (B, N, 3); see `sampling_torch.sample_by_rows`. N >= 1."""
    batch, n = usable.shape
    if not spreads(n, k):
        return sample_clouds_triton(points, usable, starts, k)
    stream = torch.cuda.current_stream(points.device).cuda_stream
    with _ORDER:
        steps = _captured(points.device, stream, batch, triton.cdiv(n, POINTS), k)
        if steps is not None:
            return steps.take(points, usable, starts)
    return sample_clouds_triton(points, usable, starts, k)


def spreads(n: int, k: int) -> bool:
    """Whether the picks of clouds of n points are spread over programs. Reasoned, not measured.

    What is being captured or compiled already is left to the kernel that needs one launch.
    """
    busy = torch.cuda.is_current_stream_capturing() or torch.compiler.is_compiling()
    return n >= SPREAD_FROM and 1 <= k <= MOST_STEPS and not busy


@triton.jit(do_not_specialize=["step"])
def _step(xyz, nearest, tops, firsts, picks, step, padded, parts, k, POINTS: tl.constexpr, WIDTH: tl.constexpr):
    """picks[cloud, step], and what the next step needs.

    Args:
        xyz: [cloud, 3, padded]; nearest: [cloud, padded], squared distances to the picks, -1 for what is no point.
        tops, firsts: [2, cloud, parts], largest distance of each program and the lowest index there. Steps read and
            write the two halves by turns: a program may still read what a faster one would overwrite.
    """
    part, cloud = tl.program_id(0), tl.program_id(1).to(tl.int64)
    clouds = tl.num_programs(1)
    before, after = ((1 - step % 2) * clouds + cloud) * parts, (step % 2 * clouds + cloud) * parts
    p = tl.arange(0, WIDTH)
    top = tl.load(tops + before + p, p < parts, other=-2.0)
    farthest = tl.max(top, 0)
    index = tl.load(firsts + before + p, p < parts, other=NO_POINT)
    pick = tl.min(tl.where(top == farthest, index, NO_POINT), 0)
    pick = tl.where(farthest < 0, 0, pick)
    tl.store(picks + cloud * k + step, pick.to(tl.int64), part == 0)
    xyz += cloud * 3 * padded
    x, y, z = tl.load(xyz + pick), tl.load(xyz + padded + pick), tl.load(xyz + 2 * padded + pick)
    j = part * POINTS + tl.arange(0, POINTS)
    d = squared(tl.load(xyz + j) - x, tl.load(xyz + padded + j) - y, tl.load(xyz + 2 * padded + j) - z)
    own = nearest + cloud * padded + j
    d = tl.minimum(tl.load(own), d)
    tl.store(own, d)
    top = tl.max(d, 0)
    tl.store(tops + after + part, top)
    tl.store(firsts + after + part, tl.min(tl.where(d == top, j, NO_POINT), 0))


class Steps:
    """The launches of one shape and their buffers; on CUDA a graph after `capture`.

    Args:
        batch: clouds, one at least.
        parts: programs of a cloud, `POINTS` points each.
        k: picks.
    """

    def __init__(self, device: torch.device, batch: int, parts: int, k: int) -> None:
        self.k, self.parts = k, parts
        self.graph: torch.cuda.CUDAGraph | None = None
        with torch.inference_mode(False):  # buffers made in inference mode could not be written to outside of it
            self.xyz = torch.zeros(batch, 3, parts * POINTS, device=device)
            self.nearest = torch.empty(batch, parts * POINTS, device=device)
            self.tops = torch.zeros(2, batch, parts, device=device)
            self.firsts = torch.zeros(2, batch, parts, dtype=torch.int32, device=device)
            self.picks = torch.empty(batch, k, dtype=torch.int64, device=device)

    def capture(self) -> Steps:
        """Makes the graph; waits for the device."""
        self._launch(0)  # what is compiled and loaded on first use cannot be captured
        self.graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream(self.xyz.device)
        with torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"):
            self._launch_all()
        return self

    def take(self, points: Tensor, usable: Tensor, starts: Tensor) -> Tensor:
        """Picks (B, k) from points (B, N, 3), N at most that of the buffers."""
        n = usable.shape[1]
        self.xyz[:, :, :n].copy_(points.nan_to_num(0, 0, 0).transpose(1, 2))  # as `sample_clouds_triton`
        self.nearest.fill_(-1)[:, :n].masked_fill_(usable, torch.inf)
        self.tops[1] = 0  # as if a step before the first had found the starts
        self.firsts[1].copy_(starts[:, None])
        self._launch_all() if self.graph is None else self.graph.replay()
        return self.picks.clone()

    def _launch_all(self) -> None:
        for step in range(self.k):
            self._launch(step)

    def _launch(self, step: int) -> None:
        arrays = (self.xyz, self.nearest, self.tops, self.firsts, self.picks)
        numbers = (step, self.parts * POINTS, self.parts, self.k)
        width = triton.next_power_of_2(self.parts)
        _step[(self.parts, len(self.xyz))](*arrays, *numbers, POINTS, width, **_LAUNCH)


@lru_cache(maxsize=KEPT)
def _captured(device: torch.device, stream: int, batch: int, parts: int, k: int) -> Steps | None:
    """Kept for each stream: within one, a graph is not replayed before what it left has been copied.

    None where the driver or the memory refuses the graph, asked once: picks are the same without it.
    """
    try:
        return Steps(device, batch, parts, k).capture()
    except RuntimeError:
        return None
