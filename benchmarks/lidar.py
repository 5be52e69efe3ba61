"""LiDAR detection: `python -m benchmarks.lidar [--device cuda] [--quick] [--json OUT]`.

1. Ten sweeps of a generated drive from their files to one cloud of 300,000 points, and that to voxels: ours (which
   reads the boxes, too) against the nuScenes devkit's way in NumPy and spconv's PointToVoxel; the devkit itself where
   `VOL3D_DEVKIT_PYTHON` names a Python that has it. What both sides make is compared first.
2. The sparse encoder of CenterPoint with voxels of 0.1 m against the same network and weights in spconv's layers.
3. Whole networks of published sizes, a frame at a time: milliseconds of each part, and where there is a sparse
   encoder the whole with spconv's voxels and layers. Weights are random, and heads say 0.5 everywhere, so that decoding
   has as many candidates as it ever takes.

Frames are real where the sample data are (`benchmarks.scenes`), else generated. Least CPU time of one thread in ms; on
CUDA the time between two events, files left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and spconv start their threads

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import least_ms, one_thread, print_table, save
from benchmarks.lidar_peers import SpconvEncoder, SpconvVoxels, devkit_ms, load_as_devkit
from benchmarks.ops import spconv_for
from benchmarks.scenes import DATA, street
from benchmarks.sparse import arithmetic
from pointcloud.datasets.kitti.dataset import KittiSettings
from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.datasets.nuscenes.sample import NuScenesSample
from pointcloud.generate.drives.tables import VERSION
from pointcloud.generate.drives.write import write_drives
from pointcloud.models.layers.voxel_encoders import encode_voxels
from pointcloud.models.released.load import RELEASED
from pointcloud.structures.features import point_features
from vol3d.files import write_json
from vol3d.ops import assign_voxels, scatter_to_bev, voxelize
from vol3d.scans.points.cloud import PointCloud

Row = dict[str, object]
Works = dict[str, Callable[[], Any]]
NETWORKS = ("pointpillars-kitti", "second-kitti", "centerpoint-pillar", "centerpoint-voxel")
GRIDS = ("centerpoint-voxel", "centerpoint-pillar")
FEATURES = {"kitti": ("intensity",), "nuscenes": ("intensity", "time")}


def table(cloud: PointCloud, features: tuple[Any, ...]) -> Tensor:
    """What a network takes (N, 3 + C)."""
    return torch.from_numpy(np.concatenate([cloud.xyz, point_features(cloud, features)], axis=1))


def load(sample: NuScenesSample) -> Tensor:
    """A sample's sweeps as a network takes them."""
    return table(sample.read().cloud, FEATURES["nuscenes"])


def loading_rows(root: Path, repeats: int) -> list[Row]:
    """Files to a cloud, and files to voxels of 0.1 m."""
    sample: Any = NuScenesSettings(root=root).split().train[-1]
    ours, theirs = load(sample), torch.from_numpy(load_as_devkit(sample))
    near = (ours[:, :2].abs() < sample.close_m).all(dim=1) & (ours[:, 4] == 0)  # the devkit cuts the keyframe, too
    torch.testing.assert_close(ours[~near], theirs, atol=1e-4, rtol=0)
    works: Works = {"ours": lambda: load(sample), "numpy": lambda: load_as_devkit(sample)}
    rows = [compared("ten sweeps from files", len(ours), works, repeats, "cpu")]
    if (ms := devkit_ms(root, VERSION, sample.name, repeats)) is not None:
        rows[0] |= {"devkit ms": ms, "x devkit": ms / float(rows[0]["ours ms"])}  # type: ignore[arg-type]
    settings = RELEASED["centerpoint-voxel"][0].voxels
    limits = {"max_points": settings.max_points, "max_voxels": settings.max_voxels}
    works = {"ours": lambda: voxelize([load(sample)], settings.grid, **limits)}
    if spconv_for("cpu"):
        peer = SpconvVoxels(settings, 5, "cpu")
        works["numpy + spconv"] = lambda: peer(torch.from_numpy(load_as_devkit(sample)))
    return [*rows, compared("ten sweeps from files to voxels of 0.1 m", len(ours), works, repeats, "cpu")]


def voxel_rows(cloud: Tensor, device: str, repeats: int) -> list[Row]:
    """Hard and dynamic voxels of a cloud."""
    rows = []
    for name in GRIDS:
        settings = RELEASED[name][0].voxels
        grid, limits = settings.grid, {"max_points": settings.max_points, "max_voxels": settings.max_voxels}
        works: Works = {"ours": lambda grid=grid, limits=limits: voxelize([cloud], grid, **limits)}  # type: ignore[misc]
        if spconv_for(device):
            peer = SpconvVoxels(settings, cloud.shape[1], device)
            works["spconv"] = lambda peer=peer: peer(cloud)  # type: ignore[misc]
            if device == "cpu":  # on CUDA its order is that of chance
                points, coordinates, _ = works["spconv"]()
                ours = works["ours"]()
                if not (torch.equal(ours.points, points) and torch.equal(ours.coordinates, coordinates)):
                    raise SystemExit("voxels differ from spconv")
        side = f"{settings.voxel_size_m[0]:g} m"
        rows.append(compared(f"hard voxels {side}", len(cloud), works, repeats, device))
        dynamic: Works = {"ours": lambda grid=grid: assign_voxels([cloud], grid)}  # type: ignore[misc]
        rows.append(compared(f"dynamic voxels {side}", len(cloud), dynamic, repeats, device))
    return rows


def encoder_row(cloud: Tensor, device: str, kind: torch.dtype, repeats: int) -> Row:
    """CenterPoint's sparse encoder from voxels to its map, kernel maps included."""
    model, settings = network("centerpoint-voxel", device)
    grid, encoder = settings.voxels.grid, model.encoder.middle.to(kind)
    voxels = encode_voxels([cloud], settings.voxels, settings.features, model.encoder.points)
    voxels = type(voxels)(voxels.features.to(kind), voxels.coordinates, 1, voxels.left_out)
    works: Works = {"ours": lambda: encoder(voxels, grid)}
    if spconv_for(device):
        peer = SpconvEncoder(encoder, cloud.shape[1]).to(device, kind).eval()
        works["spconv"] = lambda: peer(voxels.features, voxels.coordinates, grid)
        check_equal(works["ours"](), works["spconv"](), kind)
    name = f"sparse encoder, {str(kind).removeprefix('torch.')}"
    return compared(name, len(voxels.features), works, repeats, device)


def network_row(name: str, cloud: Tensor, device: str, repeats: int) -> Row:
    """A frame through a network, in parts and as a whole."""
    model, settings = network(name, device)
    grid, first = settings.voxels.grid, getattr(model, "encoder", model)  # CenterPoint's first part is its own module
    middle = getattr(first, "middle", None)

    def voxels() -> Any:
        return encode_voxels([cloud], settings.voxels, settings.features, first.points)

    def encoder() -> Tensor:
        if middle is not None:
            return middle(found, grid)  # type: ignore[no-any-return]
        return scatter_to_bev(found.features, found.coordinates, 1, grid.shape)

    found, prediction = voxels(), model([cloud])
    wide = encoder()
    works: Works = {
        "voxels": voxels,
        "encoder": encoder,
        "2D backbone": lambda: model.neck(model.backbone(wide)),
        "head": lambda: model.head(prediction.bev),
        "decode": lambda: model.decode(prediction),
        "ours": lambda: model.decode(model([cloud])),
    }
    if middle is not None and spconv_for(device):
        make, peer = SpconvVoxels(settings.voxels, cloud.shape[1], device), SpconvEncoder(middle, cloud.shape[1])
        peer.to(device).eval()

        def spconv() -> Any:
            bev = model.neck(model.backbone(peer(*make.means(cloud), grid)))
            return model.decode(type(prediction)(model.head(bev), bev, prediction.grid, (0,)))

        works["spconv"] = spconv
        check_equal(wide, peer(*make.means(cloud), grid), torch.float32)
    ms = least_ms(works, repeats, device)
    parts = ("voxels", "encoder", "2D backbone", "head", "decode")
    row: Row = {"work": name, "points": len(cloud), "voxels": len(found.features)}
    row |= {f"{part} ms": ms[part] for part in parts} | {"whole ms": ms["ours"]}
    row |= {"spconv ms": ms.get("spconv", ""), "x spconv": ms["spconv"] / ms["ours"] if "spconv" in ms else ""}
    return row | {f"{part} %": round(100 * ms[part] / sum(ms[part] for part in parts)) for part in parts}


def network(name: str, device: str) -> tuple[Any, Any]:
    """A network of published size with random weights whose head says 0.5 everywhere, and its settings."""
    settings, classes = RELEASED[name]
    torch.manual_seed(0)
    model: Any = settings.build(classes).eval().to(device)
    heads = [model.head.classes] if hasattr(model.head, "classes") else []
    if hasattr(model.head, "tasks"):
        heads = [task.outputs["heatmap"][-1] for task in model.head.tasks]
    for head in heads:
        nn.init.zeros_(head.bias)
    return model, settings


def check_equal(ours: Tensor, theirs: Tensor, kind: torch.dtype) -> None:
    """Maps of both sides, against their largest value."""
    away = float((ours - theirs).abs().max() / theirs.abs().max())
    if not away < (1e-5 if kind == torch.float32 else 2e-2):
        raise SystemExit(f"the encoders differ by {away:.2g} of the largest value")


def compared(work: str, size: int, works: Works, repeats: int, device: str) -> Row:
    """Times, and how many times ours a peer takes."""
    ms = least_ms(works, repeats, device)
    peers = [name for name in works if name != "ours"]
    row: Row = {"work": work, "points or voxels": size} | {f"{name} ms": value for name, value in ms.items()}
    return row | {f"x {name}": ms[name] / ms["ours"] for name in peers}


def frames(root: Path) -> tuple[dict[str, Tensor], str]:
    """A cloud as it is fed to networks of either data set, and where they come from."""
    drive: Any = NuScenesSettings(root=root).split().train[-1]
    if not (DATA / "nuscenes/ten_sweeps.bin").is_file():
        ahead = street(120_000)
        ahead = ahead[np.abs(ahead[:, 1]) < 0.8 * ahead[:, 0]]  # what the camera sees
        return {"nuscenes": load(drive), "kitti": torch.from_numpy(ahead)}, "generated"
    sweeps = np.fromfile(DATA / "nuscenes/ten_sweeps.bin", np.float32).reshape(-1, 5)
    kitti = KittiSettings(root=DATA / "kitti", validation=0.4).split().labelled[0].read().cloud
    return {"nuscenes": torch.from_numpy(sweeps), "kitti": table(kitti, FEATURES["kitti"])}, "real"


@torch.no_grad()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="two repetitions, the small networks, nothing written")
    parser.add_argument("--json", type=Path, metavar="OUT", help="file to write the rows to as well")
    choice = parser.parse_args()
    device, repeats = choice.device, 2 if choice.quick else 7
    one_thread()
    with tempfile.TemporaryDirectory() as folder, arithmetic("fp32") if device == "cuda" else nullcontext():
        root = Path(folder) / "drives"
        write_drives(root, 2, seed=0, workers=0, seconds=1)
        clouds, origin = frames(root)
        whole = load(NuScenesSettings(root=root).split().train[-1]).to(device)  # type: ignore[arg-type]
        clouds = {name: cloud.to(device) for name, cloud in clouds.items()}
        rows = loading_rows(root, repeats) if device == "cpu" else []
        rows += voxel_rows(whole, device, 3 * repeats)
        types = (torch.float32,) if device == "cpu" else (torch.float32, torch.float16)
        rows += [encoder_row(clouds["nuscenes"], device, kind, repeats) for kind in types]
    for row in rows:
        print_table([row])
    for name in NETWORKS[:2] if choice.quick else NETWORKS:
        cloud = clouds["kitti" if name.endswith("kitti") else "nuscenes"]
        rows.append(network_row(name, cloud, device, max(2, repeats // 2)) | {"frame": origin})
        print_table([rows[-1]])
    if choice.json is not None:
        write_json(choice.json, rows)
    if not choice.quick:
        print(save("lidar" if device == "cpu" else "lidar_cuda", rows, ("spconv",), device))
    return 0


if __name__ == "__main__":
    sys.exit(main())
