"""The best launch settings of sparse convolution on the GPU at hand: `python -m benchmarks.launches [--seconds 120]`.

Every line of `vol3d/sparse/backends/launch.json` is tuned on a sheet of voxels with as many neighbours as a scan's,
16-bit features first, until the time is up. Printed are the shipped and the best time of each line, and
the lines that are faster by more than 3 %, as they are to be put into that file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.common import print_table, save
from vol3d.sparse import Geometry, KernelMap, SparseTensor, use_backend
from vol3d.sparse.backends.launch import Shape, lines, times

TYPES = {"half": torch.bfloat16, "float32": torch.float32}
WIDEST, MOST_ROWS = 256, 100_000  # what stands for a line without a bound
Row = dict[str, object]


def surface(rows: int, device: str) -> KernelMap:
    """A submanifold map 3^3 of at most so many rows, a wavy sheet two voxels thick."""
    side = max(1, int((rows / 2) ** 0.5))
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    z = (4 + 3 * torch.sin(x / 9) + y / 40).long()
    sheets = [torch.stack([torch.zeros_like(z), z + up, y, x], dim=-1).flatten(0, 1) for up in (0, 1)]
    places = torch.cat(sheets).int().to(device)
    shape = (int(z.max()) + 2, side, side)
    sites = SparseTensor(places, torch.zeros(len(places), 1, device=device), shape, 1).sites
    return sites.submanifold_map(Geometry.submanifold(3))


def work(shape: Shape, found: KernelMap) -> Callable[[], Tensor]:
    """The call that is measured."""
    from vol3d.sparse.backends import triton_backend

    make = {"dtype": shape.dtype, "device": found.device}
    features = torch.randn(found.inputs, shape.c_in, **make)  # type: ignore[arg-type]
    if shape.kernel == "weight_gradient":
        grad = torch.randn(found.outputs, shape.c_out, **make)  # type: ignore[arg-type]
        return lambda: triton_backend.weight_gradient(features, grad, found)
    weight = torch.randn(found.taps, shape.c_in, shape.c_out, **make)  # type: ignore[arg-type]
    return lambda: triton_backend.convolve(features, weight, found)


def tuned(device: str, until: float) -> Iterator[Row]:
    """A row for each line of the table, until it is that late."""
    maps = dict[int, KernelMap]()
    for kind in TYPES:
        for kernel in ("convolve", "weight_gradient"):
            for width, bound, shipped in lines(kernel, TYPES[kind]):
                if time.monotonic() > until:
                    return
                rows, channels = bound or MOST_ROWS, min(width, WIDEST)
                if rows not in maps:
                    maps[rows] = surface(rows, device)
                shape = Shape(kernel, TYPES[kind], channels, channels, maps[rows].outputs)
                ms = times(shape, work(shape, maps[rows]), also=[shipped])
                best = min(ms, key=lambda size: ms[size])
                names = {"kernel": kernel, "type": kind, "width": width, "rows": bound or "any"}
                yield names | {"shipped ms": ms[shipped], "best ms": ms[best], "line": [width, bound, *best]}


def main() -> int:
    """Tunes, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    until = time.monotonic() + parser.parse_args().seconds
    torch.manual_seed(0)
    rows: list[Row] = []
    with use_backend("triton"):
        for row in tuned("cuda", until):
            rows.append(row)
            path = save("launches_cuda", rows, ["triton"], "cuda")  # what there is, should it be cut off
    print_table(rows)
    for row in rows:
        if float(str(row["best ms"])) < 0.97 * float(str(row["shipped ms"])):
            print(f"{row['kernel']}, {row['type']}: {json.dumps(row['line'])}")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
