"""What there is, by name, without importing any of it: `vol3d models` and `--help` stay instant.

An entry names a module and an attribute; `load` imports it on demand. This is the only place where the foundation
knows the names of `medical` and `pointcloud`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from vol3d.errors import UsageError
from vol3d.ownership import require_ours


@dataclass(frozen=True)
class Entry:
    """A name in the catalogue.

    Args:
        target: `module:attribute` that holds the settings class.
        task: the task that runs it.
        summary: one line for the reader.
        recipe: of released weights, the shipped recipe that they were trained by, for `vol3d import`.
        stated: of released weights, what the reader takes beside the file -> the setting of a recipe that states it.
        beside: of released weights, what the reader takes beside the file and no recipe has.
        together: of released weights, the part of a recipe that must be stated along with other class names.
        benchmark: of a data set, `module:attribute` of the function that scores it; see
            `pointcloud.evaluation.benchmark`.
        submit: likewise of the function that writes what the benchmark takes of the test set.
        also: further tasks that run it.
        marks: of a data set, patterns of what its folder holds, and no other layout's does; see `vol3d.layouts`.
        keys: of a data set whose mark is a `dataset.json`, as that of others is, keys of which only its own has some.
        scans: of a data set, patterns of its scans, where labels or others of their formats lie in its folder too.
    """

    target: str
    task: str
    summary: str
    recipe: str | None = None
    stated: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    together: str | None = None
    benchmark: str | None = None
    submit: str | None = None
    also: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks that run it."""
        return self.task, *self.also


@dataclass(frozen=True)
class Generator:
    """What `vol3d data generate` can write.

    Args:
        target: `module:function` that writes it.
        scenes: how many if nobody says.
        unit: what is counted.
        data_set: reads what was written.
        options: names of what else it takes.
    """

    target: str
    scenes: int
    unit: str
    data_set: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForeignKind:
    """A kind of model that is no checkpoint; `vol3d.foreign` finds and opens it.

    Args:
        title: what messages call such a model.
        marks: patterns relative to a folder that another toolbox wrote; one that is matched tells the kind.
        load: `module:attribute` of the function that opens it, `vol3d.foreign.Load`.
        card: likewise of the function that says what it is without reading weights, `vol3d.foreign.Card`.
        files: patterns of the name where the model is one file.
    """

    title: str
    marks: tuple[str, ...]
    load: str
    card: str
    files: tuple[str, ...] = ()


TASKS = {
    "segmentation": "medical.task:SegmentationTask",
    "pretraining": "medical.masked_task:MaskedTask",
    "detection": "pointcloud.tasks.rooms:DetectionTask",
    "lidar": "pointcloud.tasks.lidar:LidarTask",
}

DISTILLED = {
    "detection": "pointcloud.distill.task:DistillDetectionTask",
    "lidar": "pointcloud.distill.task:DistillLidarTask",
}
"""Tasks of `vol3d distill`, by the student's."""

MODELS = {
    "unetr": Entry("medical.models.unetr:UnetrSettings", "segmentation", "UNETR (WACV 2022), any patch and width"),
    "masked_unetr": Entry(
        "medical.models.masked_unetr:MaskedUnetrSettings",
        "pretraining",
        "UNETR's encoder without labels: masked reconstruction (SimMIM, CVPR 2022)",
    ),
    "transbts": Entry("medical.models.transbts:TransBtsSettings", "segmentation", "TransBTS (MICCAI 2021)"),
    "cotr": Entry("medical.models.cotr:CotrSettings", "segmentation", "CoTr (MICCAI 2021), with or without its CNN"),
    "aspp": Entry("medical.models.aspp:AsppSettings", "segmentation", "ASPP: DeepLabv3+ (ECCV 2018) in 3D"),
    "transunet": Entry("medical.models.transunet:TransUnetSettings", "segmentation", "TransUNet (2021), on slices"),
    "unet": Entry("medical.models.baselines:UnetSettings", "segmentation", "3D U-Net (MONAI)"),
    "attention_unet": Entry("medical.models.baselines:AttentionUnetSettings", "segmentation", "Attention U-Net"),
    "residual_unet": Entry(
        "medical.models.residual_unet:ResidualUnetSettings",
        "segmentation",
        "residual-encoder U-Net of nnU-Net (MICCAI 2024)",
    ),
    "plain_unet": Entry(
        "medical.models.residual_unet:PlainUnetSettings", "segmentation", "U-Net of nnU-Net (2021), deep supervision"
    ),
    "dynunet": Entry("medical.models.baselines:DynUnetSettings", "segmentation", "nnU-Net's network (MONAI DynUNet)"),
    "swin_unetr": Entry("medical.models.baselines:SwinUnetrSettings", "segmentation", "Swin UNETR (MONAI)"),
    "segresnet": Entry("medical.models.baselines:SegResNetSettings", "segmentation", "SegResNet (MONAI)"),
    "3detr": Entry("pointcloud.models.three_detr.model:ThreeDetrSettings", "detection", "3DETR (ICCV 2021)"),
    "3detr-m": Entry(
        "pointcloud.models.three_detr.model:ThreeDetrMaskedSettings", "detection", "3DETR with a masked encoder"
    ),
    "votenet": Entry("pointcloud.models.vote_net.model:VoteNetSettings", "detection", "VoteNet (ICCV 2019)"),
    "boxnet": Entry("pointcloud.models.vote_net.model:BoxNetSettings", "detection", "BoxNet: VoteNet without votes"),
    "h3dnet": Entry("pointcloud.models.h3d_net.model:H3DNetSettings", "detection", "H3DNet (ECCV 2020)"),
    "pointpillars": Entry(
        "pointcloud.models.anchors.point_pillars:PointPillarsSettings", "lidar", "PointPillars (CVPR 2019)"
    ),
    "free_anchor": Entry(
        "pointcloud.models.anchors.free_anchor:FreeAnchorSettings", "lidar", "PointPillars, FreeAnchor (NeurIPS 2019)"
    ),
    "ssn": Entry(
        "pointcloud.models.anchors.ssn:SsnSettings", "lidar", "PointPillars, grouping heads of SSN (ECCV 2020)"
    ),
    "pillar_od": Entry(
        "pointcloud.models.pillar_od.model:PillarOdSettings", "lidar", "Pillar-OD (ECCV 2020): pillars and cylinder"
    ),
    "second": Entry("pointcloud.models.anchors.second:SecondDetectorSettings", "lidar", "SECOND (Sensors 2018)"),
    "voxelnet": Entry("pointcloud.models.anchors.voxel_net:VoxelNetSettings", "lidar", "VoxelNet (CVPR 2018)"),
    "centerpoint": Entry(
        "pointcloud.models.center_point.model:CenterPointSettings",
        "lidar",
        "CenterPoint (CVPR 2021), pillars or voxels",
    ),
    "object_dgcnn": Entry(
        "pointcloud.models.object_dgcnn.model:ObjectDgcnnSettings",
        "lidar",
        "Object DGCNN (NeurIPS 2021), pillars or voxels",
    ),
}

DATASETS = {
    "msd": Entry(
        "medical.datasets.msd:MsdSettings",
        "segmentation",
        "Medical Segmentation Decathlon, any task",
        marks=("dataset.json",),
        keys=("modality", "training"),
        scans=("imagesTr/*", "imagesTs/*"),
    ),
    "nnunet": Entry(
        "medical.datasets.msd:NnunetSettings",
        "segmentation",
        "nnU-Net's raw data, any DatasetXXX_Name",
        marks=("dataset.json",),
        keys=("channel_names", "file_ending"),
        scans=("imagesTr/*", "imagesTs/*"),
    ),
    "btcv": Entry(
        "medical.datasets.btcv:BtcvSettings",
        "segmentation",
        "BTCV abdomen (Synapse), 13 organs",
        marks=("dataset_0.json", "RawData/Training/img", "Training/img"),
        scans=("imagesTr/*", "imagesTs/*", "Training/img/*", "Testing/img/*", "RawData/*/img/*"),
    ),
    "folder": Entry(
        "medical.datasets.folder:FolderSettings",
        "segmentation",
        "own volumes: a folder and a small JSON",
        marks=("dataset.json",),
        keys=("classes",),
        scans=("images/**/*",),
    ),
    "scannet": Entry(
        "pointcloud.datasets.scannet.dataset:ScanNetSettings",
        "detection",
        "ScanNet v2, 18 classes",
        marks=("scans/scene*", "*_vert.npy", "scannet_*/*_vert.npy", "scannet_infos_*"),
        scans=("scans*/*/*_vh_clean_2.ply", "*_vert.npy", "scannet_*/*_vert.npy", "points/*.bin"),
    ),
    "sun_rgbd": Entry(
        "pointcloud.datasets.sun_rgbd.dataset:SunRgbdSettings",
        "detection",
        "SUN RGB-D, 10 classes",
        marks=("SUNRGBD", "sunrgbd_pc_bbox_votes_50k_*"),
        scans=("sunrgbd_pc_bbox_votes_50k_*/*_pc.npz",),
    ),
    "nuscenes": Entry(
        "pointcloud.datasets.nuscenes.dataset:NuScenesSettings",
        "lidar",
        "nuScenes drives, 10 classes",
        benchmark="pointcloud.evaluation.nuscenes_truth:benchmark",
        submit="pointcloud.evaluation.nuscenes_truth:submit",
        marks=("v1.0-*/sample_data.json",),
        scans=("samples/LIDAR_TOP/*", "sweeps/LIDAR_TOP/*"),
    ),
    "kitti": Entry(
        "pointcloud.datasets.kitti.dataset:KittiSettings",
        "lidar",
        "KITTI: car, pedestrian, cyclist",
        benchmark="pointcloud.evaluation.kitti_truth:benchmark",
        submit="pointcloud.evaluation.kitti_truth:submit",
        marks=("training/velodyne", "testing/velodyne"),
        scans=("*/velodyne/*",),
    ),
    "argoverse2": Entry(
        "pointcloud.datasets.argoverse2.dataset:Argoverse2Settings",
        "lidar",
        "Argoverse 2 sensor drives, 26 classes",
        benchmark="pointcloud.evaluation.argoverse2:benchmark",
        submit="pointcloud.evaluation.argoverse2:submit",
        marks=("train/*/sensors/lidar", "val/*/sensors/lidar", "test/*/sensors/lidar"),
    ),
    "point_folder": Entry(
        "pointcloud.datasets.point_folder:PointFolderSettings",
        "detection",
        "own clouds: a folder and a small JSON",
        also=("lidar",),
        marks=("boxes.json",),
    ),
}

FOREIGN: dict[str, ForeignKind] = {
    "monai_bundle": ForeignKind(
        "MONAI bundle",
        ("configs/metadata.json", "configs/inference.*", "models/model.pt", "models/model.ts"),
        "medical.bundle.task:load",
        "medical.bundle.metadata:card",
    ),
    "nnunet": ForeignKind(
        "model folder of nnU-Net",
        # Without plans, of one fold, of several configurations or of version 1 it is refused by what it lacks.
        (
            "plans.json",
            "plans.pkl",
            "fold_*/checkpoint_*.pth",
            "fold_*/*.model",
            "checkpoint_*.pth",
            "*__*__*/plans.json",
        ),
        "medical.nnunet.load:load",
        "medical.nnunet.card:card",
    ),
    "onnx": ForeignKind("model in ONNX", (), "vol3d.exported.load:load", "vol3d.exported.card:card", files=("*.onnx",)),
}
"""Kinds of models that are no checkpoints, in the order in which they are looked for."""

TABLES = {"models": MODELS, "datasets": DATASETS}
"""Tables whose entries are settings that a configuration chooses by `name`."""

GENERATORS = {
    "rooms": Generator("pointcloud.generate.rooms.write:write_rooms", 200, "rooms", "scannet"),
    "frames": Generator("pointcloud.generate.frames.write:write_frames", 400, "frames", "sun_rgbd"),
    "drives": Generator(
        "pointcloud.generate.drives.write:write_drives",
        20,
        "drives",
        "nuscenes",
        ("streets", "scanner", "seconds", "sweeps"),
    ),
    "kitti": Generator("pointcloud.generate.kitti.write:write_kitti", 200, "frames", "kitti", ("scanner",)),
}

SAMPLES = "medical.demo:SAMPLES"
"""Folder of the scans that come with the package, `vol3d.samples`."""

DEMOS = {
    "hippocampus": "medical.demo:show_hippocampus",
    "rooms": "pointcloud.demo_rooms:show_rooms",
    "drive": "pointcloud.demo_drive:show_drive",
}
"""Parts of `vol3d demo`, in their order: `target(out, cases, background)`."""

EXPORTS = {
    "nnunet": Entry("medical.datasets.export:export_nnunet", "segmentation", "nnU-Net's raw data"),
}
"""What `vol3d data export` can write: `target(split, out, workers, progress)`, for the data sets of a task."""

CONVERT_LABELS = "pointcloud.exchange.convert:convert_labels"
MISSING_CLOUDS = "pointcloud.exchange.convert:missing_clouds"
"""What `vol3d data convert` calls."""

EXPORTERS = {
    "segmentation": "medical.exported",
    "detection": "pointcloud.inference.exported",
    "lidar": "pointcloud.inference.exported",
}
"""Modules that `vol3d export` asks about the models of a task, see `vol3d.exported.part.Exporter`."""

CHOOSE_POSTPROCESS = "medical.choose_postprocess:choose_postprocess"
"""What `vol3d postprocess` calls."""

SCORE_MASKS = "medical.masks.score:score_masks"
"""What `vol3d.score` calls."""

PLANNERS = {"segmentation": "medical.planning.plan:plan"}
"""What `vol3d plan` calls for the data sets of a task."""

STARTERS = {"folder": "medical.datasets.starter", "point_folder": "pointcloud.datasets.starter"}
"""Modules that `vol3d init` asks for the JSON of a data set: `draft`, `WORDS`; and `recipe` where no planner is."""

DATA_TOOLS = {
    "segmentation": "medical.datasets.tools",
    "detection": "pointcloud.datasets.tools",
    "lidar": "pointcloud.datasets.tools",
}
"""Modules with `check`, `stats`, `tables` and `prepare` for the data sets of a task."""


def shipped() -> dict[str, Path]:
    """Name -> folder of every model whose weights come with the package."""
    root = Path(__file__).resolve().parents[1]
    found = [
        file for area in ("medical", "pointcloud") for file in sorted(root.glob(f"{area}/shipped/*/*.safetensors"))
    ]
    return {file.parent.name: file.parent for file in found}


def load(target: str) -> Any:
    """The object behind `module:attribute`.

    Raises:
        Vol3dError: another project's package has the name of one of ours.
    """
    module, attribute = target.split(":")
    require_ours(module.partition(".")[0])
    return getattr(import_module(module), attribute)


def load_module(name: str) -> Any:
    """The module of that name; raises as `load`."""
    require_ours(name.partition(".")[0])
    return import_module(name)


def find(name: str, table: dict[str, Entry], kind: str) -> Entry:
    """The entry called `name`.

    Raises:
        UsageError: no such name; the message proposes the nearest one.
    """
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(table)}."
    raise UsageError(f"no {kind} called '{name}'", do=hint)


def model_hint(name: str) -> str:
    """What to do for a name that is no model: the nearest one of shipped models, released weights and recipes."""
    from vol3d.config.locate import recipes
    from vol3d.released.readers import RELEASED

    ways = {one: f"Did you mean the shipped model '{one}'?" for one in shipped()}
    for one in RELEASED:
        ways.setdefault(one, f"'{one}' are released weights: `vol3d import {one} -o OUT` makes a model of them.")
    for one in recipes():
        ways.setdefault(one, f"'{one}' is a recipe: train it first, `vol3d train {one}`.")
    near = difflib.get_close_matches(name, ways, n=1)
    return ways[near[0]] if near else f"Shipped models: {', '.join(shipped())}."
