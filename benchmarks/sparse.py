"""Sparse convolution on voxels of real scans: `python -m benchmarks.sparse [--channels 16 64] [--voxels 20000]`.

Kernel maps, submanifold forward passes and training steps, a stride-2 convolution with its inverse (maps included) and
a whole encoder as in SECOND, on one thread, in turns with spconv's CPU wheel (right with one thread only; its backward
pass needs its question for the CUDA stream answered) and with `torch.mm` of the same number of products. Times are ms
of CPU time; `peer` is spconv's time over ours, `dense` the rate of ours over that of `torch.mm`, `peak` over that of a
product of 2048 x 2048 matrices. The figure beside the JSON shows how cost grows.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import RESULTS, cpu_ms, one_thread, print_table, save
from vol3d.sparse import (
    Geometry,
    SparseBatchNorm,
    SparseConv3d,
    SparseInverseConv3d,
    SparseSequential,
    SparseTensor,
    SubMConv3d,
    numba_backend,
)

DATA = Path(os.environ.get("VOL3D_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
# Voxels wanted -> file of the scan, columns of a point, voxel size and range z y x in metres.
SCENES = {
    20_000: ("kitti/training/velodyne", 4, (0.1, 0.05, 0.05), ((-3, 1), (-40, 40), (0, 70.4))),
    60_000: ("nuscenes/ten_sweeps.bin", 5, (0.2, 0.075, 0.075), ((-5, 3), (-54, 54), (-54, 54))),
    120_000: ("nuscenes/ten_sweeps.bin", 5, (0.1, 0.06, 0.06), ((-5, 3), (-54, 54), (-54, 54))),
}
# (kind, c_out, stride, padding): the encoder of SECOND as OpenPCDet has it, two layers a level after the first.
ENCODER: list[tuple[str, int, Any, Any]] = [
    ("subm", 16, 1, 1), ("subm", 16, 1, 1),
    ("down", 32, 2, 1), ("subm", 32, 1, 1), ("subm", 32, 1, 1),
    ("down", 64, 2, 1), ("subm", 64, 1, 1), ("subm", 64, 1, 1),
    ("down", 64, 2, (0, 1, 1)), ("subm", 64, 1, 1), ("subm", 64, 1, 1),
]  # fmt: skip
Row = dict[str, object]


def voxels(wanted: int) -> tuple[Tensor, tuple[int, int, int]]:
    """int32 [<= wanted, 4] voxels in the order in which a real scan first touches them, and the grid's shape."""
    name, columns, size, bounds = SCENES[wanted]
    path = DATA / name
    path = sorted(path.glob("*.bin"))[0] if path.is_dir() else path
    points = np.fromfile(path, np.float32).reshape(-1, columns)[:, [2, 1, 0]].astype(np.float64)
    low, high = np.array(bounds).T
    shape = np.round((high - low) / size).astype(int)
    cells = np.floor((points - low) / size).astype(int)
    cells = cells[((cells >= 0) & (cells < shape)).all(1)]
    first = np.sort(np.unique(cells, axis=0, return_index=True)[1])[:wanted]
    coordinates = torch.from_numpy(np.pad(cells[first], ((0, 0), (1, 0)))).int()
    return coordinates, (int(shape[0]) + 1, int(shape[1]), int(shape[2]))


def peer() -> Any:
    """spconv, able to train on the CPU."""
    import spconv.pytorch as spconv
    import spconv.pytorch.ops as ops

    ops.get_current_stream = lambda: 0
    return spconv


def map_rows(coordinates: Tensor, shape: tuple[int, int, int]) -> list[Row]:
    """Positions in the scan's order -> everything that a forward pass needs of a map."""
    from spconv.core import ConvAlgo
    from spconv.pytorch.ops import get_indice_pairs

    features = torch.ones(len(coordinates), 1)
    rows = []
    for name, stride in (("map, submanifold 3", 1), ("map, stride 2", 2)):

        def ours(stride: int = stride) -> object:
            sites = SparseTensor(coordinates, features, shape, 1).sites
            if stride == 1:
                return sites.submanifold_map(Geometry.submanifold(3)).derived("tiles", numba_backend.list_pairs)
            origin = sites.coarser(Geometry.of(3, 2, 1)).origin
            return origin and origin.map.derived("tiles", numba_backend.list_pairs)

        def theirs(stride: int = stride) -> object:
            geometry = [3] * 3, [stride] * 3, [1] * 3, [1] * 3, [0] * 3
            return get_indice_pairs(coordinates, 1, list(shape), ConvAlgo.Native, *geometry, stride == 1, False)

        rows.append(row(name, coordinates, 0, cpu_ms({"ours": ours, "spconv": theirs})))
    return rows


def layer_rows(coordinates: Tensor, shape: tuple[int, int, int], channels: int, peak: float) -> list[Row]:
    """Submanifold forward pass and training step with a map at hand; stride 2 and inverse with maps."""
    spconv = peer()
    features = torch.randn(len(coordinates), channels)
    ours, theirs = (
        SubMConv3d(channels, channels, bias=False),
        spconv.SubMConv3d(channels, channels, 3, bias=False, indice_key="same"),
    )
    x, y = both(coordinates, features, shape)
    with torch.no_grad():
        ours(x)
        y.indice_dict = theirs(y).indice_dict
    table = x.sites.submanifold_map(ours.window).neighbours
    pairs = int((table >= 0).sum())
    products = 2e-6 * pairs * channels**2  # MFLOP
    repeats = 3 if products > 8e3 else 7
    part = min(pairs, 100_000)
    left, right = torch.randn(part, channels), torch.randn(channels, channels)
    with torch.no_grad():
        forward = {"ours": lambda: ours(x), "spconv": lambda: theirs(y), "dense": lambda: left @ right}
        times = cpu_ms(forward, repeats)
    times["dense"] *= pairs / part
    rows = [row("submanifold forward", coordinates, channels, times, products, peak, pairs)]
    works = {"ours": step(ours, x), "spconv": step(theirs, y)}
    rows.append(
        row("submanifold training step", coordinates, channels, cpu_ms(works, repeats), 3 * products, peak, pairs)
    )
    rows.append(row("stride 2 + inverse, maps", coordinates, channels, pyramid(coordinates, features, shape, repeats)))
    return rows


def both(coordinates: Tensor, features: Tensor, shape: tuple[int, int, int]) -> tuple[SparseTensor, Any]:
    ours = SparseTensor(coordinates, features, shape, 1)
    return ours, peer().SparseConvTensor(features, coordinates, list(shape), 1)


def step(net: nn.Module, x: Any) -> Callable[[], None]:
    """A training step: forward, gradients of the input and the weights."""

    def run() -> None:
        net.zero_grad()
        change = x.with_features if isinstance(x, SparseTensor) else x.replace_feature
        out = net(change(x.features.detach().requires_grad_())).features
        out.backward(torch.ones_like(out))

    return run


def pyramid(coordinates: Tensor, features: Tensor, shape: tuple[int, int, int], repeats: int) -> dict[str, float]:
    spconv, c = peer(), features.shape[1]
    ours = nn.Sequential(SparseConv3d(c, c, 3, 2, 1, bias=False), SparseInverseConv3d(c, c, 3, bias=False))
    theirs = spconv.SparseSequential(
        spconv.SparseConv3d(c, c, 3, 2, 1, bias=False, indice_key="down"),
        spconv.SparseInverseConv3d(c, c, 3, bias=False, indice_key="down"),
    )
    with torch.no_grad():
        return cpu_ms(
            {
                "ours": lambda: ours(SparseTensor(coordinates, features, shape, 1)),
                "spconv": lambda: theirs(spconv.SparseConvTensor(features, coordinates, list(shape), 1)),
            },
            repeats,
        )


def encoder_rows(coordinates: Tensor, shape: tuple[int, int, int]) -> list[Row]:
    """The whole encoder, maps included, in inference and in training."""
    spconv = peer()
    features = torch.randn(len(coordinates), 4)
    ours, theirs = SparseSequential(), spconv.SparseSequential()
    c_in, level = 4, 0
    for kind, c_out, stride, padding in ENCODER:
        level += kind == "down"
        if kind == "subm":
            ours.append(SubMConv3d(c_in, c_out, bias=False))
            theirs.add(spconv.SubMConv3d(c_in, c_out, 3, bias=False, indice_key=f"level{level}"))
        else:
            ours.append(SparseConv3d(c_in, c_out, 3, stride, padding, bias=False))
            theirs.add(spconv.SparseConv3d(c_in, c_out, 3, stride, padding, bias=False))
        ours.append(SparseBatchNorm(c_out)).append(nn.ReLU())
        theirs.add(nn.BatchNorm1d(c_out)), theirs.add(nn.ReLU())
        c_in = c_out

    def train(net: nn.Module, new: Callable[[], Any]) -> Callable[[], None]:
        return lambda: step(net.train(), new())()

    def infer(net: nn.Module, new: Callable[[], Any]) -> Callable[[], object]:
        return lambda: torch.no_grad()(net.eval())(new())

    news = (lambda: both(coordinates, features, shape)[0]), (lambda: both(coordinates, features, shape)[1])
    forward = cpu_ms({"ours": infer(ours, news[0]), "spconv": infer(theirs, news[1])}, 5)
    training = cpu_ms({"ours": train(ours, news[0]), "spconv": train(theirs, news[1])}, 3)
    return [
        row("SECOND encoder forward, maps", coordinates, 64, forward),
        row("SECOND encoder training step, maps", coordinates, 64, training),
    ]


def row(
    work: str,
    coordinates: Tensor,
    channels: int,
    times: dict[str, float],
    mflop: float = 0.0,
    peak: float = 0.0,
    pairs: int = 0,
) -> Row:
    made: Row = {"work": work, "voxels": len(coordinates), "channels": channels, "ours ms": times["ours"]}
    made |= {"spconv ms": times["spconv"], "peer": times["spconv"] / times["ours"]}
    rate = mflop / times["ours"] if mflop else 0.0
    made |= {"pairs per voxel": pairs / len(coordinates) if pairs else "", "GF/s": rate or ""}
    made |= {"dense": times["dense"] / times["ours"] if "dense" in times else "", "peak": rate / peak if peak else ""}
    return made


def dense_peak() -> float:
    """GF/s of a product of 2048 x 2048 matrices."""
    a, b = torch.randn(2, 2048, 2048)
    return 2e-6 * 2048**3 / cpu_ms({"mm": lambda: a @ b}, 5)["mm"]


def plot(rows: list[Row]) -> None:
    """Cost of a training step over channels, one line per number of voxels."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    chosen = [r for r in rows if r["work"] == "submanifold training step"]
    for n in sorted({r["voxels"] for r in chosen}, key=str):
        for name, style in (("ours ms", "-o"), ("spconv ms", "--x")):
            line = [(r["channels"], r[name]) for r in chosen if r["voxels"] == n]
            axes.loglog(*zip(*line, strict=True), style, base=2, label=f"{name.split()[0]}, {n} voxels")
    axes.set(xlabel="channels", ylabel="training step, ms of one CPU thread", title="Submanifold convolution 3 x 3 x 3")
    axes.legend()
    figure.savefig(RESULTS / "sparse.svg")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64, 128, 256])
    parser.add_argument("--voxels", type=int, nargs="+", default=list(SCENES), choices=list(SCENES))
    choice = parser.parse_args()
    if not DATA.is_dir():
        print(f"no folder {DATA}; set VOL3D_TEST_DATA", file=sys.stderr)
        return 1
    one_thread()
    torch.manual_seed(0)
    peer()
    peak, rows = dense_peak(), []
    print(f"dense peak {peak:.1f} GF/s")
    for wanted in choice.voxels:
        scene = voxels(wanted)
        made = map_rows(*scene) + encoder_rows(*scene)
        for channels in choice.channels:
            made += layer_rows(*scene, channels, peak)
        print_table(made)
        rows += made
    rows.append({"work": "dense peak, 2048 x 2048", "GF/s": peak})
    save("sparse", rows, peers=["spconv", "cumm", "numba"])
    plot(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
