"""Checks of the Triton kernels, run as a program: under the interpreter on the CPU (TRITON_INTERPRET=1), or on CUDA.

The interpreter must be asked for before a kernel is decorated, hence a process of its own.
"""

from __future__ import annotations

import sys

import torch

from vol3d.ops.neighbors_torch import ball, nearest
from vol3d.ops.neighbors_triton import ball_triton, nearest_triton
from vol3d.ops.sampling_steps import POINTS, Steps
from vol3d.ops.sampling_torch import sample_by_rows, usable_points
from vol3d.ops.sampling_triton import sample_clouds_triton


def check_steps(device: str, seed: int, lattice: bool, skip: bool, parts: int = 3, k: int = 12) -> None:
    """Steps of many programs on clouds of unlike sizes, one after the other in the same buffers."""
    random = torch.Generator().manual_seed(seed)
    steps = Steps(torch.device(device), 2, parts, k)
    steps = steps.capture() if device == "cuda" else steps
    for n in (parts * POINTS, 1, (parts - 1) * POINTS + 5, 7):
        points = torch.randn(2, n, 3, generator=random)
        points = ((points * 2).round() / 2 if lattice else points).to(device)
        points[0, n // 3] = torch.tensor([0.02, -0.015, 0.01])
        points[1, n // 2 + 1 :] = torch.nan
        usable = usable_points(points, torch.tensor([n, n // 2 + 1], device=device), skip)
        starts = torch.tensor([n // 3, 0], device=device)
        picks, wanted = steps.take(points, usable, starts), sample_by_rows(points, usable, starts, k)
        if not torch.equal(picks, wanted):
            raise SystemExit(f"steps differ: n {n}, seed {seed}, lattice {lattice}: {picks} {wanted}")


def check(device: str, n: int, seed: int, lattice: bool, skip: bool) -> None:
    random = torch.Generator().manual_seed(seed)
    points = torch.randn(2, n, 3, generator=random)
    points = ((points * 2).round() / 2 if lattice else points).to(device)
    points[0, n // 3] = torch.tensor([0.02, -0.015, 0.01])  # the first pick, near the origin
    sizes = torch.tensor([n, n // 2 + 1], device=device)
    points[1, n // 2 + 1 :] = torch.nan
    starts = torch.tensor([n // 3, 0], device=device)
    usable = usable_points(points, sizes, skip)
    k = min(n // 2 + 1, 7)
    picks, wanted = sample_clouds_triton(points, usable, starts, k), sample_by_rows(points, usable, starts, k)
    if not torch.equal(picks, wanted):
        raise SystemExit(f"sampling differs: n {n}, seed {seed}, lattice {lattice}: {picks} {wanted}")
    queries = n // 2 + 1 if device == "cuda" else min(n // 2 + 1, 20)  # the interpreter takes its time
    centers, center_sizes = points[:, :queries].contiguous(), torch.tensor([queries, 1], device=device)
    for radius2, most in ((0.25, 5), (9.0, 3), (0.25, 0)):
        found = ball_triton(points, centers, sizes, center_sizes, radius2, most)
        right = ball(points, centers, sizes, center_sizes, radius2, most)
        if not all(torch.equal(a, b) for a, b in zip(found, right, strict=True)):
            raise SystemExit(f"balls differ: n {n}, seed {seed}, radius^2 {radius2}, k {most}")
    for most in (1, 7):
        near = nearest_triton(points, centers, sizes, center_sizes, most)
        right = nearest(points, centers, sizes, center_sizes, most)
        if not all(torch.equal(a, b) for a, b in zip(near, right, strict=True)):
            raise SystemExit(f"neighbours differ: n {n}, seed {seed}, k {most}")


if __name__ == "__main__":
    device = sys.argv[1]
    for n, seed, lattice, skip in ((1, 0, False, False), (300, 1, False, False), (280, 2, True, True)):
        check(device, n, seed, lattice, skip)
    for seed, lattice, skip in ((0, False, False), (1, True, True)):
        check_steps(device, seed, lattice, skip)
    print("same")
