"""Sparse convolution: `python -m benchmarks.sparse [--device cuda] [--channels 16 64] [--voxels 20000]`.

Kernel maps, submanifold forward passes and training steps, a stride-2 convolution with its inverse (maps included) and
a whole encoder as in SECOND, in turns with their peers on the same voxels of a scan. On the CPU: one thread, spconv's
CPU wheel (right with one thread only; its backward pass needs its question for the CUDA stream answered). On CUDA: in
fp32, tf32, fp16 and bf16, spconv's CUDA wheel if it is installed, and this package's plain torch backend.
Times are ms; `x` is a peer's time over ours, `dense` the rate of ours over that of `torch.mm` of the same number of
products, `peak` over that of a product of large square matrices. The figure beside the JSON shows how cost grows.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and spconv start their threads

import torch
from torch import Tensor, nn

from benchmarks.common import Panel, least_ms, one_thread, plot, print_table, save
from benchmarks.scenes import DATA, SCANS, voxels
from vol3d.sparse import (
    Geometry,
    SparseBatchNorm,
    SparseConv3d,
    SparseInverseConv3d,
    SparseSequential,
    SparseTensor,
    SubMConv3d,
    use_backend,
)

# (kind, c_out, stride, padding): the encoder of SECOND as OpenPCDet has it, two layers a level after the first.
ENCODER: list[tuple[str, int, Any, Any]] = [
    ("subm", 16, 1, 1), ("subm", 16, 1, 1),
    ("down", 32, 2, 1), ("subm", 32, 1, 1), ("subm", 32, 1, 1),
    ("down", 64, 2, 1), ("subm", 64, 1, 1), ("subm", 64, 1, 1),
    ("down", 64, 2, (0, 1, 1)), ("subm", 64, 1, 1), ("subm", 64, 1, 1),
]  # fmt: skip
TYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
PEERS = ("spconv", "torch")
Row = dict[str, object]
Works = dict[str, Callable[[], object]]


class Scene(NamedTuple):
    """Where it is measured, in which type, and on which positions int32 [n, 4] of a grid."""

    device: str
    type: str
    coordinates: Tensor
    shape: tuple[int, int, int]

    def features(self, channels: int) -> Tensor:
        return torch.randn(len(self.coordinates), channels, device=self.device, dtype=TYPES[self.type])

    def ready(self, net: nn.Module) -> nn.Module:
        return net.to(self.device, TYPES[self.type])

    def ours(self, features: Tensor) -> SparseTensor:
        return SparseTensor(self.coordinates, features, self.shape, 1, check=self.device == "cpu")

    def theirs(self, features: Tensor) -> Any:
        return peer().SparseConvTensor(features, self.coordinates, list(self.shape), 1)

    def row(self, work: str, channels: int, works: Works, repeats: int, **more: object) -> Row:
        """Least times; a peer that cannot do this work is left out, and says why."""
        times = least_ms(able(works), repeats, self.device)
        made: Row = {"work": work, "type": self.type, "voxels": len(self.coordinates), "channels": channels}
        for name in ("ours", *PEERS):
            made[f"{name} ms"] = times.get(name, "")
        for name in PEERS:
            made[f"x {name}"] = times[name] / times["ours"] if name in times else ""
        return made | {"pairs per voxel": "", "GF/s": "", "dense": "", "peak": ""} | more


def peer() -> Any:
    """spconv, able to train on the CPU."""
    import spconv.pytorch as spconv
    import spconv.pytorch.ops as ops

    if not torch.cuda.is_available():
        ops.get_current_stream = lambda: 0
    return spconv


def with_peer(device: str) -> bool:
    """Whether the spconv that is installed is for this device."""
    if find_spec("spconv") is None:
        return False
    from cumm import tensorview

    return bool(tensorview.is_cpu_only()) == (device == "cpu")


def able(works: Works) -> Works:
    kept = {}
    for name, work in works.items():
        try:
            work()
        except Exception as error:
            if name == "ours":
                raise
            print(f"{name} left out: {type(error).__name__}: {str(error)[:120]}")
        else:
            kept[name] = work
    return kept


def plain(work: Callable[[], object]) -> Callable[[], object]:
    """The same with the plain torch backend."""

    def run() -> None:
        with use_backend("torch"):
            work()

    return run


def works(scene: Scene, ours: Callable[[], object], theirs: Callable[[], object]) -> Works:
    made = {"ours": ours} | ({"spconv": theirs} if with_peer(scene.device) else {})
    return made | ({"torch": plain(ours)} if scene.device == "cuda" else {})


def map_rows(scene: Scene) -> list[Row]:
    """Positions in the scan's order -> everything that a forward pass needs of a map."""
    rows, features = [], scene.features(1)
    for name, stride in (("map, submanifold 3", 1), ("map, stride 2", 2)):

        def ours(stride: int = stride) -> object:
            sites = scene.ours(features).sites
            if stride == 1:
                return ready_map(sites.submanifold_map(Geometry.submanifold(3)))
            origin = sites.coarser(Geometry.of(3, 2, 1)).origin
            return origin and ready_map(origin.map)

        def theirs(stride: int = stride) -> object:
            from spconv.core import ConvAlgo
            from spconv.pytorch.ops import get_indice_pairs, get_indice_pairs_implicit_gemm

            geometry = [3] * 3, [stride] * 3, [1] * 3, [1] * 3, [0] * 3
            grid = scene.coordinates, 1, list(scene.shape)
            if scene.device == "cpu":
                return get_indice_pairs(*grid, ConvAlgo.Native, *geometry, stride == 1, False)
            return get_indice_pairs_implicit_gemm(*grid, ConvAlgo.MaskImplicitGemm, *geometry, subm=stride == 1)

        made = works(scene, ours, theirs)
        made.pop("torch", None)  # its lists are made of the same table
        rows.append(scene.row(name, 0, made, 25))
    return rows


def ready_map(found: Any) -> object:
    """What the first convolution with a map makes of it."""
    if found.device.type == "cpu":
        from vol3d.sparse.backends import numba_backend

        return found.derived("tiles", numba_backend.list_pairs)
    from vol3d.sparse.backends.launch import Shape, launch
    from vol3d.sparse.backends.taps import tap_blocks

    rows = launch(Shape("convolve", torch.float16, 64, 64, found.outputs)).block_rows
    return found.derived(f"taps of {rows} rows", lambda m: tap_blocks(m, rows))


def layer_rows(scene: Scene, channels: int, peak: float) -> list[Row]:
    """Submanifold forward pass and training step with a map at hand; stride 2 and inverse with maps."""
    features = scene.features(channels)
    ours: nn.Module = scene.ready(SubMConv3d(channels, channels, bias=False))
    x, step_theirs, infer_theirs = scene.ours(features), nothing, nothing
    if with_peer(scene.device):
        theirs = scene.ready(peer().SubMConv3d(channels, channels, 3, bias=False, indice_key="same"))
        y = scene.theirs(features)
        step_theirs, infer_theirs = step(theirs, y), lambda: theirs(y)
    pairs = int((x.sites.submanifold_map(Geometry.submanifold(3)).neighbours >= 0).sum())
    products = 2e-6 * pairs * channels**2  # MFLOP
    repeats = 3 if products > 8e3 and scene.device == "cpu" else 7
    part = min(pairs, 100_000)
    left, right = (torch.randn(n, channels, device=scene.device, dtype=TYPES[scene.type]) for n in (part, channels))
    with torch.no_grad():
        if with_peer(scene.device):
            y.indice_dict = theirs(y).indice_dict
        dense = least_ms({"dense": lambda: left @ right}, repeats, scene.device)["dense"] * pairs / part
        forward = scene.row("submanifold forward", channels, works(scene, lambda: ours(x), infer_theirs), repeats)
    training = scene.row("submanifold training step", channels, works(scene, step(ours, x), step_theirs), repeats)
    for row, times in ((forward, 1), (training, 3)):
        rate = times * products / float(row["ours ms"])  # type: ignore[arg-type]
        row |= {"pairs per voxel": pairs / len(x), "GF/s": rate, "peak": rate / peak}
    forward["dense"] = dense / float(forward["ours ms"])  # type: ignore[arg-type]
    return [forward, training, pyramid(scene, features, repeats)]


def nothing() -> None:
    """In the place of a peer that is not there."""


def step(net: nn.Module, x: Any) -> Callable[[], None]:
    """A training step: forward, gradients of the input and the weights."""

    def run() -> None:
        net.zero_grad()
        change = x.with_features if isinstance(x, SparseTensor) else x.replace_feature
        out = net(change(x.features.detach().requires_grad_())).features
        out.backward(torch.ones_like(out))

    return run


def pyramid(scene: Scene, features: Tensor, repeats: int) -> Row:
    c = features.shape[1]
    ours = nn.Sequential(SparseConv3d(c, c, 3, 2, 1, bias=False), SparseInverseConv3d(c, c, 3, bias=False))
    scene.ready(ours)
    theirs: nn.Module = nn.Identity()
    if with_peer(scene.device):
        theirs = peer().SparseSequential(
            peer().SparseConv3d(c, c, 3, 2, 1, bias=False, indice_key="down"),
            peer().SparseInverseConv3d(c, c, 3, bias=False, indice_key="down"),
        )
        scene.ready(theirs)
    with torch.no_grad():
        both = works(scene, lambda: ours(scene.ours(features)), lambda: theirs(scene.theirs(features)))
        return scene.row("stride 2 + inverse, maps", c, both, repeats)


def encoder_rows(scene: Scene) -> list[Row]:
    """The whole encoder, maps included, in inference and in training."""
    features = scene.features(4)
    ours, theirs = SparseSequential(), peer().SparseSequential() if with_peer(scene.device) else None
    c_in, level = 4, 0
    for kind, c_out, stride, padding in ENCODER:
        level += kind == "down"
        if kind == "subm":
            ours.append(SubMConv3d(c_in, c_out, bias=False))
        else:
            ours.append(SparseConv3d(c_in, c_out, 3, stride, padding, bias=False))
        ours.append(SparseBatchNorm(c_out)).append(nn.ReLU())
        if theirs is not None and kind == "subm":
            theirs.add(peer().SubMConv3d(c_in, c_out, 3, bias=False, indice_key=f"level{level}"))
        elif theirs is not None:
            theirs.add(peer().SparseConv3d(c_in, c_out, 3, stride, padding, bias=False))
        if theirs is not None:
            theirs.add(nn.BatchNorm1d(c_out)), theirs.add(nn.ReLU())
        c_in = c_out
    scene.ready(ours), scene.ready(theirs or nn.Identity())

    def train(net: Any, new: Callable[[Tensor], Any]) -> Callable[[], None]:
        return lambda: step(net.train(), new(features))()

    def infer(net: Any, new: Callable[[Tensor], Any]) -> Callable[[], object]:
        return lambda: torch.no_grad()(net.eval())(new(features))

    inference = works(scene, infer(ours, scene.ours), infer(theirs, scene.theirs))
    training = works(scene, train(ours, scene.ours), train(theirs, scene.theirs))
    return [
        scene.row("SECOND encoder forward, maps", 64, inference, 5),
        scene.row("SECOND encoder training step, maps", 64, training, 3),
    ]


def dense_peak(device: str, kind: str) -> float:
    """GF/s of a product of square matrices: 2048 rows on the CPU, 8192 on a GPU."""
    n = 2048 if device == "cpu" else 8192
    a, b = (torch.randn(n, n, device=device, dtype=TYPES[kind]) for _ in range(2))
    return 2e-6 * n**3 / least_ms({"mm": lambda: a @ b}, 5, device)["mm"]


@contextmanager
def arithmetic(kind: str) -> Iterator[None]:
    """fp32 as it is, or with tf32 products, here and in spconv."""
    torch.set_float32_matmul_precision("high" if kind == "tf32" else "highest")
    if find_spec("spconv"):
        import spconv.constants

        spconv.constants.SPCONV_ALLOW_TF32 = kind == "tf32"
    yield
    torch.set_float32_matmul_precision("highest")


def panels(rows: Sequence[Row], kind: str) -> dict[str, Panel]:
    """Cost of a training step over channels and over voxels, at the largest of the other; of a map over voxels."""
    steps = [row for row in rows if (row["work"], row["type"]) == ("submanifold training step", kind)]
    peers = ("ours", *PEERS)

    def along(x: str, fixed: str, wanted: object) -> Panel:
        return Panel.of([row for row in steps if row[fixed] == wanted], x, peers)

    most, last = steps[-1]["voxels"], steps[-1]["channels"]
    channels = 64 if any(row["channels"] == 64 for row in steps) else last
    return {
        f"training step, {most} voxels": along("channels", "voxels", most),
        f"training step, {channels} channels": along("voxels", "channels", channels),
        "kernel map 3 x 3 x 3": Panel.of([r for r in rows if r["work"] == "map, submanifold 3"], "voxels", peers),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64, 128, 256])
    parser.add_argument("--voxels", type=int, nargs="+", default=list(SCANS), choices=list(SCANS))
    choice = parser.parse_args()
    device, rows, peaks = choice.device, [], []
    name = "sparse" if device == "cpu" else "sparse_cuda"
    one_thread()
    torch.manual_seed(0)
    print("voxels of", "real scans" if DATA.is_dir() else f"synthetic scans (no folder {DATA}; set VOL3D_TEST_DATA)")
    for kind in ("fp32",) if device == "cpu" else TYPES:
        with arithmetic(kind):
            peak = dense_peak(device, kind)
            print(f"dense peak {peak:.1f} GF/s in {kind}")
            peaks.append({"work": "dense peak", "type": kind, "GF/s": peak, "real scans": DATA.is_dir()})
            for wanted in choice.voxels:
                coordinates, shape = voxels(wanted)
                scene = Scene(device, kind, torch.from_numpy(coordinates).to(device), shape)
                made = (map_rows(scene) if kind == "fp32" else []) + encoder_rows(scene)
                for channels in choice.channels:
                    made += layer_rows(scene, channels, peak)
                print_table(made)
                rows += made
                save(name, rows + peaks, ["spconv", "cumm", "numba", "triton"], device)  # the rest may take long
    print(plot(name, panels(rows, "fp32" if device == "cpu" else "fp16"), "ms"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
