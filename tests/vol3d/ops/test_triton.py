"""The Triton kernels against plain torch: in the interpreter everywhere, on a GPU where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vol3d.ops import VoxelGrid, assign_voxels, ball_query, farthest_point_sample, knn, scatter_reduce, voxelize

PROJECT = Path(__file__).resolve().parents[3]


def test_kernels_in_the_interpreter() -> None:
    pytest.importorskip("triton", reason="no Triton on this system")
    command = [sys.executable, "-m", "tests.vol3d.ops.triton_checks", "cpu"]
    done = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "same", done.stdout + done.stderr[-2000:]


def test_cuda_without_triton_is_computed_in_plain_torch() -> None:
    command = [sys.executable, "-m", "tests.vol3d.ops.no_triton_checks"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout.strip() == "same", done.stdout + done.stderr[-2000:]


def test_large_clouds_are_spread_over_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="no Triton on this system")
    from vol3d.ops import sampling_steps

    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    assert sampling_steps.spreads(40_000, 2048)
    assert not sampling_steps.spreads(2048, 1024)
    assert not sampling_steps.spreads(40_000, 0)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert not sampling_steps.spreads(40_000, 2048)


def test_the_steps_compile_for_a_gpu_and_round_as_a_cpu_does() -> None:
    triton = pytest.importorskip("triton", reason="no Triton on this system")
    from triton.backends.compiler import GPUTarget

    from vol3d.ops import sampling_steps

    floats, ints, numbers = (
        dict.fromkeys(names.split(), kind)
        for names, kind in (("xyz nearest tops", "*fp32"), ("firsts", "*i32"), ("step padded parts k", "i32"))
    )
    types = {**floats, **ints, "picks": "*i64", **numbers}
    sizes = {"POINTS": sampling_steps.POINTS, "WIDTH": 64}
    order = [name for name in sampling_steps._step.arg_names if name not in sizes]
    signature = {name: types[name] for name in order} | dict.fromkeys(sizes, "constexpr")
    source = triton.compiler.ASTSource(fn=sampling_steps._step, signature=signature, constexprs=sizes)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=sampling_steps._LAUNCH)
    assert made.asm["cubin"] and "fma.rn.f32" not in made.asm["ptx"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cpu_and_gpu_agree() -> None:
    from tests.vol3d.ops.triton_checks import check, check_steps

    check("cuda", 5000, 0, False, False)
    check_steps("cuda", 1, True, True, parts=20, k=500)
    points = torch.randn(2, 4000, 4, generator=torch.Generator().manual_seed(0))
    xyz, there = points[..., :3].contiguous(), points.cuda()
    near = there[..., :3].contiguous()
    assert torch.equal(
        farthest_point_sample(near, 100, counts=[4000, 900]).cpu(), farthest_point_sample(xyz, 100, counts=[4000, 900])
    )
    many = torch.randn(2, 20_000, 3, generator=torch.Generator().manual_seed(1))
    for counts in (None, [20_000, 9000]):  # captured, then replayed
        picks = farthest_point_sample(many.cuda(), 300, counts=counts).cpu()
        assert torch.equal(picks, farthest_point_sample(many, 300, counts=counts))
    assert torch.equal(
        ball_query(near, near[:, :50], 0.5, 8).indices.cpu(), ball_query(xyz, xyz[:, :50], 0.5, 8).indices
    )
    assert torch.equal(knn(near, near[:, :50], 8).indices.cpu(), knn(xyz, xyz[:, :50], 8).indices)
    grid = VoxelGrid((0.5, 0.5, 0.5), (-2, -2, -2, 2, 2, 2))
    first, second = assign_voxels(list(points), grid), assign_voxels(list(there), grid)
    assert torch.equal(first.voxels, second.voxels.cpu()) and torch.equal(first.coordinates, second.coordinates.cpu())
    blocks, others = (voxelize(list(p), grid, max_points=3, max_voxels=200) for p in (points, there))
    assert torch.equal(blocks.points, others.points.cpu())
    mean = scatter_reduce(second.points, second.voxels, len(second.counts), "mean")
    torch.testing.assert_close(mean.cpu(), first.mean())
    assert torch.equal(mean, scatter_reduce(second.points, second.voxels, len(second.counts), "mean"))
