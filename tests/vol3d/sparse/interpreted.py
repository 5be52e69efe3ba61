"""Compares the Triton backend with torch; run in a process of its own with TRITON_INTERPRET=1, or on a GPU.

The interpreter's flag must be set before Triton is imported, hence the process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from tests.vol3d.sparse.scenes import random_tensor
from vol3d.sparse import Geometry, KernelMap, SparseTensor, sparse_convolve, use_backend
from vol3d.sparse.backends import triton_backend
from vol3d.sparse.backends.launch import Launch

WINDOWS = {"submanifold": Geometry.submanifold(3), "strided": Geometry.of((3, 2, 3), (2, 1, 2), (1, 0, 1))}

SIZES = (Launch(32, 16, 16, 4, 2, 1), Launch(32, 16, 32, 4, 3, 99), Launch(32, 32, 16, 4, 3, 3))
"""Several blocks of rows and channels; programs that share a block, also more of them than there are steps."""


@contextmanager
def launched(size: Launch) -> Iterator[None]:
    """Both kernels run with these settings."""
    before, triton_backend.launch = triton_backend.launch, lambda _: size
    try:
        yield
    finally:
        triton_backend.launch = before


def maps(x: SparseTensor, kind: str) -> KernelMap:
    if kind == "submanifold":
        return x.sites.submanifold_map(WINDOWS[kind])
    origin = x.sites.coarser(WINDOWS["strided"]).origin
    assert origin is not None
    return origin.map.transposed() if kind == "inverse" else origin.map


def value_and_gradients(name: str, kernel_map: KernelMap, features: Tensor, weight: Tensor) -> list[Tensor]:
    features, weight = features.clone().requires_grad_(), weight.clone().requires_grad_()
    with use_backend(name):
        out = sparse_convolve(features, weight, kernel_map)
    factors = torch.linspace(-1, 1, out.numel(), device=out.device).reshape(out.shape)
    return [out.detach().float(), *(g.float() for g in torch.autograd.grad((out * factors).sum(), (features, weight)))]


def compare(kind: str, rows: int, c_in: int, c_out: int, dtype: torch.dtype, device: str) -> None:
    found, wanted = [], []
    x = random_tensor(rows, 1, (8, 9, 10) if rows <= 500 else (40, 200, 200)).to(device)
    with use_backend("triton"):
        table = maps(x, kind)
    with use_backend("torch"):
        twin = maps(SparseTensor(x.coordinates, x.features, x.spatial_shape, x.batch_size), kind)
    assert torch.equal(table.neighbours, twin.neighbours), f"{kind}: the map differs"
    torch.manual_seed(0)
    features = torch.randn(table.inputs, c_in, device=device).to(dtype)
    weight = (torch.randn(table.taps, c_in, c_out, device=device) / (c_in * 5) ** 0.5).to(dtype)
    found = value_and_gradients("triton", table, features, weight)
    wanted = value_and_gradients("torch", twin, features.float(), weight.float())
    for name, one, other in zip(("value", "input gradient", "weight gradient"), found, wanted, strict=True):
        scale = float(other.abs().max()) if other.numel() else 0.0
        limit = {torch.float32: 2e-5, torch.float16: 5e-3, torch.bfloat16: 3e-2}[dtype] * max(scale, 1e-3)
        worst = float((one - other).abs().max()) if other.numel() else 0.0
        assert worst <= limit, f"{kind} {rows} {c_in}->{c_out} {dtype}: {name} differs by {worst}, allowed {limit}"


def small() -> None:
    """What the interpreter does in seconds."""
    for kind in ("submanifold", "strided", "inverse"):
        compare(kind, 60, 5, 7, torch.float32, "cpu")
    compare("submanifold", 300, 16, 33, torch.float32, "cpu")
    for dtype in (torch.float16, torch.bfloat16):
        compare("submanifold", 60, 16, 16, dtype, "cpu")
    for rows in (0, 1):
        compare("strided", rows, 3, 4, torch.float32, "cpu")
    for size in SIZES:
        with launched(size):
            compare("inverse", 70, 21, 19, torch.float32, "cpu")
            compare("submanifold", 1, 5, 3, torch.float32, "cpu")
    with launched(SIZES[-1]):
        for dtype in (torch.float16, torch.bfloat16):
            compare("submanifold", 40, 21, 19, dtype, "cpu")
    wide = Geometry.submanifold(5)  # 125 taps: four words of bits, more than an order key holds
    x = random_tensor(40, 1, (5, 5, 5))
    for name in ("triton", "torch"):
        with use_backend(name):
            table = SparseTensor(x.coordinates, x.features, x.spatial_shape, 2).sites.submanifold_map(wide)
            out = value_and_gradients(name, table, torch.ones(len(x), 2), torch.ones(125, 2, 3))
        sums = [float(o.double().abs().sum()) for o in out]
        first = sums if name == "triton" else first
    assert all(abs(a - b) <= 1e-4 * abs(b) for a, b in zip(first, sums, strict=True)), (first, sums)


def large() -> None:
    """What only a GPU does."""
    torch.set_float32_matmul_precision("highest")
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for rows in (0, 1, 500, 200_000):
            for c_in, c_out in ((1, 1), (5, 16), (64, 64), (33, 130), (512, 512)):
                if rows * c_in * c_out <= 200_000 * 64 * 130:
                    compare("submanifold", rows, c_in, c_out, dtype, "cuda")
        for kind in ("strided", "inverse"):
            compare(kind, 20_000, 32, 64, dtype, "cuda")


if __name__ == "__main__":
    large() if sys.argv[1:] == ["cuda"] else small()
