"""CUDA without Triton, as on Windows: operations that have a kernel, on a device that says it is one. A program.

`benchmarks.counted_device` registers that device for the whole process, and hides Triton in it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.counted_device import COUNTED, Counts
from pointcloud.models.layers.deformable import sample_maps
from vol3d.kernels import takes_triton
from vol3d.ops import ball_query, farthest_point_sample, knn

SIZES = ((4, 5), (2, 3))


def check(wanted: tuple[Tensor, ...], found: tuple[Tensor, ...], exact: bool = True) -> None:
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(other.cpu(), one, **({"rtol": 0, "atol": 0} if exact else {}))


def main() -> None:
    random = torch.Generator().manual_seed(0)
    points = torch.randn(2, 300, 3, generator=random)
    values, weights = torch.randn(2, 26, 2, 4, generator=random), torch.rand(2, 7, 2, 2, 3, generator=random)
    places = torch.rand(2, 7, 2, 2, 3, 2, generator=random) * 1.6 - 0.3
    with Counts():
        there, maps = points.to(COUNTED), [one.to(COUNTED) for one in (values, places, weights)]
        if not there.is_cuda or takes_triton(there):
            raise SystemExit("this is not CUDA without Triton")
        for counts in (None, [300, 90]):
            chosen = farthest_point_sample(there, 20, counts=counts)
            check((farthest_point_sample(points, 20, counts=counts),), (chosen,))
            centers, near = points[:, :30].contiguous(), there[:, :30].contiguous()
            check(ball_query(points, centers, 0.5, 8, counts=counts), ball_query(there, near, 0.5, 8, counts=counts))
            check(knn(points, centers, 8, counts=counts), knn(there, near, 8, counts=counts))
        empty = there[:, :0].contiguous()
        check(ball_query(points, points[:, :0], 0.5, 8), ball_query(there, empty, 0.5, 8))
        check((sample_maps(values, SIZES, places, weights),), (sample_maps(maps[0], SIZES, *maps[1:]),), exact=False)
    print("same")


if __name__ == "__main__":
    main()
