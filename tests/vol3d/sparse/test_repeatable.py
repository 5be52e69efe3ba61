"""On the CPU results are equal to the bit: run to run, for any number of threads, for any order of the points."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from tests.vol3d.sparse.scenes import random_tensor
from vol3d.sparse import SparseConv3d, SparseInverseConv3d, SparseTensor, SubMConv3d


def outcome(x: SparseTensor) -> list[Tensor]:
    """Output, and gradients of the input in the order given and of every weight, of a small network."""
    torch.manual_seed(0)
    layers = [SubMConv3d(13, 40), SparseConv3d(40, 72, 3, 2, 1), SubMConv3d(72, 72), SparseInverseConv3d(72, 5)]
    features = x.features.clone().requires_grad_()
    net = torch.nn.Sequential(*layers)
    out = net(x.with_features(features))
    (out.features**2).sum().backward()
    assert features.grad is not None
    return [out.features.detach(), features.grad, *(p.grad for p in net.parameters() if p.grad is not None)]


def test_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    x = random_tensor(3000, 13, (20, 30, 30))
    results = []
    for threads in ("1", "2", "5", "2"):
        monkeypatch.setenv("VOL3D_NUM_THREADS", threads)
        results.append(outcome(SparseTensor(x.coordinates, x.features, x.spatial_shape, 2)))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_for_any_order_of_the_points() -> None:
    x = random_tensor(3000, 13, (20, 30, 30))
    wanted = outcome(x)
    for seed in range(3):
        shuffle = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        y = SparseTensor(x.coordinates[shuffle], x.features[shuffle], x.spatial_shape, 2)
        assert all(torch.equal(a, b) for a, b in zip(wanted, outcome(y), strict=True))


class Outcomes(torch.utils.data.Dataset):
    """Each item is a sparse network's outcome, computed in whichever process asks for it."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> list[Tensor]:
        return outcome(random_tensor(500, 13, seed=index))


def test_in_forked_workers_after_use_in_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOL3D_NUM_THREADS", "2")
    items = Outcomes()
    wanted = [items[i] for i in range(len(items))]
    loader = torch.utils.data.DataLoader(
        items, batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=100
    )
    for one, other in zip(wanted, loader, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["haswell", "generic"])
def test_on_other_cpus(cpu: str) -> None:
    """Compiled for a CPU with other vectors (their tiles differ), in a process of its own; torch is the reference."""
    if platform.machine() != "x86_64" or torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("needs an x86-64 CPU with AVX2")
    code = (
        "import torch; from vol3d.sparse import *; from tests.vol3d.sparse.scenes import random_tensor;"
        "from vol3d.sparse.backends.simd import TILE; x = random_tensor(400, 37); layer = SubMConv3d(37, 90);"
        "out = layer(x).features; g = torch.autograd.grad((out ** 2).sum(), layer.weight)[0];"
        "print(TILE.lanes); _ = use_backend('torch').__enter__(); y = layer(x).features;"
        "h = torch.autograd.grad((y ** 2).sum(), layer.weight)[0];"
        "torch.testing.assert_close(out, y, atol=1e-4, rtol=1e-4);"
        "torch.testing.assert_close(g, h, atol=2e-3, rtol=1e-3)"
    )
    environment = {**os.environ, "NUMBA_CPU_NAME": cpu, "OMP_NUM_THREADS": "1"}
    if cpu == "haswell":
        environment["NUMBA_CPU_FEATURES"] = "+avx,+avx2,+fma,+sse4.2,+popcnt,+bmi,+bmi2"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == {"haswell": "8", "generic": "4"}[cpu]
