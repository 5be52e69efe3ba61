"""Compares the kernel of deformable sampling with torch: `cpu` under TRITON_INTERPRET=1, or `cuda` on a GPU.

The interpreter must be asked for before a kernel is decorated, hence a process of its own.
"""

from __future__ import annotations

import sys

import torch

from pointcloud.models.layers.deformable import _SampleOnce, sample_torch

SIZES = ((4, 5), (2, 3), (1, 1))


def check(device: str, batch: int, queries: int, depth: int, dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)
    values = torch.randn(batch, 27, 2, depth, generator=random)
    places = torch.rand(batch, queries, 2, 3, 2, 2, generator=random) * 1.6 - 0.3
    if places.numel():
        places[0, 0, 0, 0, 0] = torch.tensor([1e30, 0.5])  # far outside
        places[0, 0, 0, 1] = 0.5
    weights = torch.rand(batch, queries, 2, 3, 2, generator=random)
    found, wanted = ([t.to(device, dtype).requires_grad_() for t in (values, places, weights)] for _ in range(2))
    one = _SampleOnce.apply(found[0], SIZES, *found[1:])
    other = sample_torch(wanted[0].float(), SIZES, wanted[1].float(), wanted[2].float())
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    factors = torch.linspace(-1, 1, one.numel(), device=device).view_as(one)
    for out in (one, other):
        (out * factors).sum().backward()
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


if __name__ == "__main__":
    for batch, queries, depth in ((2, 20, 5), (1, 1, 4), (1, 0, 4), (0, 3, 4)):
        check(sys.argv[1], batch, queries, depth, torch.float32)
    check(sys.argv[1], 1, 3, 4, torch.bfloat16)
    print("same")
