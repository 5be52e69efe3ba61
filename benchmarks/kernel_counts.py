"""Kernels and host waits of the CUDA path, without a GPU: `python -m benchmarks.kernel_counts [--json OUT] [--waits]`.

What `benchmarks.counted_device` counts for one frame, and for a training step of batch 4, of CenterPoint with the six
tasks of nuScenes on small maps, and of 3DETR and 3DETR-m on few points: counts depend on layers and tasks, not on
sizes. Everything runs once before it is counted, as what is sent once is sent then. Triton's kernels do not run here:
farthest points, neighbours, suppression and sparse convolutions count as one kernel each, as attention does, and so
does the search of a map, both with the tables that they read. Of UNETR mirrored views of a window, and the way from
scores to labels.

`--waits` prints the line of every wait. In `results/kernel_counts.json` "before" is commit 56da4eb,
for segmentation commit fe158c7, for mirrored views 056c992, for 3DETR and the boxes of
CenterPoint 0e8c4cf, for CenterPoint on voxels d88065c.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch.nn import functional

from benchmarks.common import one_thread, print_table, save
from benchmarks.counted_device import COUNTED, Counts, as_one
from medical.classes import Classes
from medical.models.unetr import UnetrSettings
from medical.segment import average, decide
from medical.window import Slab, WindowSettings
from pointcloud.inference.postprocess import postprocess
from pointcloud.models.center_point.head import NUSCENES_TASKS, CenterHeadSettings
from pointcloud.models.center_point.model import CenterPointSettings
from pointcloud.models.layers.set_abstraction import SetAbstractionSettings
from pointcloud.models.three_detr.model import ThreeDetr, ThreeDetrMaskedSettings, ThreeDetrSettings
from pointcloud.structures.targets import BoxTargets
from pointcloud.structures.voxels import VoxelSettings
from vol3d.engine.optim import Ema
from vol3d.files import write_json
from vol3d.geometry import nms_groups
from vol3d.ops import neighbors_torch, sampling
from vol3d.scans.volumes.volume import Grid
from vol3d.sparse import Geometry, SparseTensor
from vol3d.sparse.backends import torch_backend
from vol3d.sparse.backends.taps import tap_blocks
from vol3d.sparse.geometry import MapSpec, Packing
from vol3d.sparse.kernel_map import KernelMap

CLASSES = tuple(name for task in NUSCENES_TASKS for name in task)
RANGE = (-3.2, -3.2, -5.0, 3.2, 3.2, 3.0)
Row = dict[str, object]


def counted(work: str, run: Callable[[], object], rows: list[Row], show: bool) -> None:
    """Adds the counts of the second run."""
    for _ in range(2):
        with Counts() as counts:
            run()
    rows.append({"work": work, "kernels": counts.kernels.total(), "waits": counts.waits.total()})
    for place, times in counts.waits.most_common() if show else ():
        print(f"  {work}: {times} x {place}")


@contextmanager
def fused() -> Iterator[None]:
    """What is one kernel on a GPU counts as one: torch's attention, and Triton's samples, neighbours, suppression."""
    runs = (
        (functional, "scaled_dot_product_attention"),
        (sampling, "sample_by_rows"),
        (neighbors_torch, "ball"),
        (neighbors_torch, "nearest"),
        (nms_groups, "keep_rotated_torch"),  # two kernels
    )
    with ExitStack() as stack:
        for module, name in runs:
            stack.enter_context(patch.object(module, name, as_one(name, getattr(module, name))))
        yield


def there(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor on the counted device."""
    with Counts():
        return tensor.to(COUNTED)


def count_maps(rows: list[Row], show: bool) -> None:
    """The positions that strided windows reach: one level, and the four of CenterPoint's encoder."""
    torch.manual_seed(0)
    places = torch.unique(torch.randint(0, 40, (3000, 3)), dim=0)
    coordinates = there(torch.nn.functional.pad(places, (1, 0)).int())
    strided = [Geometry.of(3, 2, 1), Geometry.of(3, 2, 1), Geometry.of(3, 2, (0, 1, 1))]
    chain = [*strided, Geometry.of((3, 1, 1), (2, 1, 1))]
    with Counts():
        sites = SparseTensor(coordinates, there(torch.ones(len(places), 1)), (41, 40, 40), 1, check=False).sites
    counted("strided sparse map 3^3", lambda: sites.coarser(strided[0]), rows, show)

    def levels() -> None:
        at = sites
        made = []  # the positions are kept as the network keeps them
        for window in chain:
            at = at.coarser(window)
            made.append(at)

    if hasattr(sites, "coarser_levels"):
        counted("four levels of CenterPoint's encoder", lambda: sites.coarser_levels(chain), rows, show)
    else:
        counted("four levels of CenterPoint's encoder", levels, rows, show)


def count_pillars(rows: list[Row], show: bool) -> None:
    """A frame, and the forward pass, loss and backward pass of a batch of four."""
    torch.manual_seed(0)
    voxels = VoxelSettings(point_range_m=RANGE, voxel_size_m=(0.2, 0.2, 8.0), max_points=20, max_voxels=30000)
    head = CenterHeadSettings(tasks=NUSCENES_TASKS)
    model = CenterPointSettings(voxels=voxels, head=head).build(CLASSES).eval()
    for task in model.head.tasks:
        torch.nn.init.constant_(task.outputs["heatmap"][1].bias, 0.0)  # as many candidates as there ever are
    cloud = there(torch.rand(500, 5) * torch.tensor([6.4, 6.4, 4.0, 1, 0.5]) - torch.tensor([3.2, 3.2, 3.0, 0, 0]))
    boxes = torch.cat([torch.rand(20, 3) * 6 - 3, torch.rand(20, 3) * 3 + 0.5, torch.rand(20, 3)], dim=1)
    truth = BoxTargets(boxes, torch.arange(20) % len(CLASSES))
    with Counts():
        model.to(COUNTED)
        targets = [truth.to(COUNTED) for _ in range(4)]
    with torch.no_grad():
        with Counts():
            prediction = model([cloud])
        counted("CenterPoint pillars, a frame: network", lambda: model([cloud]), rows, show)
        with fused():
            counted("CenterPoint pillars, a frame: boxes", lambda: model.decode(prediction), rows, show)
    model.train()
    with Counts():
        batch = model([cloud] * 4)
    counted("CenterPoint pillars, batch 4: network", lambda: model([cloud] * 4), rows, show)
    counted("CenterPoint pillars, batch 4: loss", lambda: model.loss(batch, targets), rows, show)


def count_voxels(rows: list[Row], show: bool) -> None:
    """A frame of CenterPoint on voxels: the sparse encoder in front of the same map."""
    torch.manual_seed(0)
    voxels = VoxelSettings(point_range_m=RANGE, voxel_size_m=(0.1, 0.1, 0.2), max_points=10, max_voxels=30000)
    head = CenterHeadSettings(tasks=NUSCENES_TASKS)
    model = CenterPointSettings(encoder="voxels", voxels=voxels, head=head).build(CLASSES).eval()
    cloud = there(torch.rand(500, 5) * torch.tensor([6.4, 6.4, 4.0, 1, 0.5]) - torch.tensor([3.2, 3.2, 3.0, 0, 0]))

    def detect() -> None:
        model.decode(model([cloud]))

    with Counts():
        model.to(COUNTED)
    with torch.no_grad(), fused(), triton_convolutions():
        counted("CenterPoint voxels, a frame", detect, rows, show)


@contextmanager
def triton_convolutions() -> Iterator[None]:
    """Sparse convolutions as Triton has them: the tables that they read, and one kernel. Their values are zeros."""

    def neighbours(spec: MapSpec) -> torch.Tensor:
        packing = Packing.around(spec.fine_shape, spec.coarse_shape, spec.window)
        packing.first_taps(spec.coarse, spec.window.stride)
        packing.keys(spec.fine)
        return once("search", search)(spec)

    def convolve(features: torch.Tensor, weight: torch.Tensor, kernel_map: KernelMap) -> torch.Tensor:
        kernel_map.derived("taps of 64 rows", lambda m: tap_blocks(m, 64))
        outputs, width = kernel_map.outputs, weight.shape[2]
        return once("convolve", lambda x: x.new_zeros(outputs, width))(features)

    once: Callable[..., Callable[..., torch.Tensor]] = as_one
    search = torch_backend.neighbours
    with (
        patch.object(torch_backend, "neighbours", neighbours),
        patch.object(torch_backend, "convolve", convolve),
    ):
        yield


def count_rooms(rows: list[Row], show: bool) -> None:
    """A frame of 3DETR and of 3DETR-m, and the forward pass and loss of a batch of four."""
    first = SetAbstractionSettings(points=64, radius_m=0.5, neighbours=8, widths=(32, 32, 32))
    then = SetAbstractionSettings(points=32, radius_m=0.5, neighbours=8, widths=(32, 32, 32))
    boxes = torch.cat([torch.rand(6, 3) * 4, torch.rand(6, 3) + 0.3, torch.zeros(6, 1)], dim=1)
    for name, settings in (
        ("3DETR", ThreeDetrSettings(queries=16, width=32, aggregation=first)),
        ("3DETR-m", ThreeDetrMaskedSettings(queries=16, width=32, aggregation=first, interim=then)),
    ):
        torch.manual_seed(0)
        model = settings.build(CLASSES).eval()
        cloud, truth = there(torch.rand(500, 3) * 4), BoxTargets(boxes, torch.arange(len(boxes)))
        with Counts(), fused():
            model.to(COUNTED)
            targets = [truth.to(COUNTED) for _ in range(4)]
        with torch.no_grad(), fused():
            counted(f"{name}, a frame", partial(detect, model, cloud), rows, show)
        model.train()
        with fused():
            counted(f"{name}, batch 4: network", partial(model, [cloud] * 4), rows, show)
            with Counts():
                batch = model([cloud] * 4)
        counted(f"{name}, batch 4: loss", partial(model.loss, batch, targets), rows, show)


def detect(model: ThreeDetr, cloud: torch.Tensor) -> None:
    """From a cloud to boxes on the host."""
    for proposals in model.proposals(model([cloud])):
        postprocess(proposals, model.class_names)


def count_averages(rows: list[Row], show: bool) -> None:
    """Moving averages of 100 parameters."""
    network = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(50)))
    with Counts():
        network.to(COUNTED)
        ema = Ema(network, 0.99)
    counted("moving averages of 100 parameters", lambda: ema.update(network, 100), rows, show)


def count_decision(rows: list[Row], show: bool) -> None:
    """From scores of 16 planes to labels of the scan's grid, which has twice as many voxels along each axis."""
    torch.manual_seed(0)
    scores = there(torch.randn(4, 16, 6, 5))
    ready, grid = (Grid((16 * n, 6 * n, 5 * n), np.diag([2 / n, 2 / n, 2 / n, 1.0])) for n in (1, 2))
    classes = Classes(names=("background", "a", "b", "c"))
    counted("segmentation, 16 planes", lambda: decide(iter([Slab(0, 0, 16, scores)]), ready, grid, classes), rows, show)


def count_views(rows: list[Row], show: bool) -> None:
    """The eight mirrored views of one window through UNETR."""
    torch.manual_seed(0)
    sizes = UnetrSettings(width=24, depth=3, heads=2, mlp=24, features=2, skips=(1, 2, 3))
    network, window = sizes.build(1, 3, (32, 32, 32)).eval(), WindowSettings(size=(32, 32, 32), mirror_axes=(0, 1, 2))
    with Counts():
        network.to(COUNTED)
    predict, windows = average([network], window, 3), there(torch.rand(1, 1, 32, 32, 32))
    with torch.no_grad():
        counted("segmentation, 8 mirrored views of a window", lambda: predict(windows), rows, show)


def main() -> None:
    """Counts, prints and writes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path, help="write the rows there instead of into results")
    parser.add_argument("--before", type=Path, help="rows of an earlier state of the code, which stand beside these")
    parser.add_argument("--waits", action="store_true", help="print where the host waits")
    options = parser.parse_args()
    one_thread()
    rows: list[Row] = []
    for part in (count_maps, count_pillars, count_voxels, count_rooms, count_averages, count_decision, count_views):
        part(rows, options.waits)
    if options.before:
        earlier = {row["work"]: row for row in json.loads(options.before.read_text())["rows"]}
        for row in rows:
            row |= {f"{name} before": earlier[str(row["work"])][name] for name in ("kernels", "waits")}
    print_table(rows)
    if options.json:
        write_json(options.json, {"rows": rows})
    else:
        save("kernel_counts", rows)


if __name__ == "__main__":
    main()
