"""The published files of weights that a reader of `released.readers.RELEASED` takes, as their publishers describe them.

Addresses, file names and scores are those of the page that each entry names. A file that is served to browsers only
(Google Drive) has no address here: its entry says where a person gets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vol3d import catalog, files
from vol3d.errors import UsageError
from vol3d.released.readers import RELEASED


@dataclass(frozen=True)
class ReleasedFile:
    """One published file.

    Args:
        name: key of `released.readers.RELEASED` whose reader takes it.
        publisher: who serves it.
        page: where its publisher lists it.
        licence: what the publisher states.
        data: what it was trained on, and the terms of that.
        scores: as the publisher states them.
        url: its address; None where only a person with a browser gets it.
        sha256: all or the first letters of its SHA-256, hexadecimal; empty where none is published.
        size_mb: 10^6 bytes; None where nobody states it.
        settings: for the reader, what is known of the file and is not in it.
    """

    name: str
    publisher: str
    page: str
    licence: str
    data: str
    scores: str
    url: str | None = None
    sha256: str = ""
    size_mb: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """Its name."""
        return "" if self.url is None else self.url.rsplit("/", 1)[-1]

    def facts(self) -> dict[str, str | None]:
        """What a person who uses the weights must know, ready for JSON."""
        names = ("name", "publisher", "page", "url", "licence", "data", "scores")
        return {name: getattr(self, name) for name in names}

    @property
    def hash_words(self) -> str:
        """What is published of its SHA-256, for a reader."""
        if not self.sha256:
            return "none published: that of the first download is recorded"
        return f"SHA-256 {self.sha256}" if len(self.sha256) == 64 else f"SHA-256 begins with {self.sha256}"


_REPOSITORY = "Apache-2.0 (the repository's; none is stated for the weights alone)"
_SCANNET = "ScanNet v2 (terms of use: non-commercial research and education)"
_SUN_RGBD = "SUN RGB-D (see its own terms)"
_KITTI = "KITTI (CC BY-NC-SA 3.0)"
_NUSCENES = "nuScenes (CC BY-NC-SA 4.0)"
_BTCV = "BTCV (terms of the challenge on Synapse)"


def _three_detr(name: str, file: str, data: str, scores: str) -> ReleasedFile:
    url = f"https://dl.fbaipublicfiles.com/3detr/checkpoints/{file}"
    page = "https://github.com/facebookresearch/3detr"
    return ReleasedFile(name, "3DETR's authors", page, _REPOSITORY, data, scores, url)


def _mmdetection3d(
    name: str, folder: str, path: str, data: str, scores: str, convention: str | None = "ours"
) -> ReleasedFile:
    """Its tools end a file's name in the first eight letters of the SHA-256 (`tools/model_converters`).

    Args:
        folder: in `configs`, whose `metafile.yml` has address and scores.
        convention: of its boxes, for the reader. The folders of the addresses say it, while a file that was trained on
            the branch of the change may still note a version before it.
    """
    page = f"https://github.com/open-mmlab/mmdetection3d/blob/main/configs/{folder}"
    url = f"https://download.openmmlab.com/mmdetection3d/{path}.pth"
    settings = {"convention": convention} if convention else {}
    return ReleasedFile(
        name, "mmdetection3d", page, _REPOSITORY, data, scores, url, path.rsplit("-", 1)[-1], settings=settings
    )


def _center_point(name: str, middle: str, end: str, scores: str) -> ReleasedFile:
    run = f"centerpoint_{middle}_second_secfpn_circlenms_4x8_cyclic_20e_nus"
    return _mmdetection3d(name, "centerpoint", f"v1.0.0_models/centerpoint/{run}/{run}_{end}", _NUSCENES, scores)


def _on_pillars(name: str, folder: str, network: str, end: str, scores: str) -> ReleasedFile:
    """Trained on nuScenes with version 0.1, whose boxes turn the other way."""
    run = f"hv_{network}_sbn-all_4x8_2x_nus-3d"
    path = f"v0.1.0_models/{folder}/{run}/{run}_20200620_{end}"
    return _mmdetection3d(name, folder, path, _NUSCENES, scores, "clockwise")


def _openpcdet(name: str, data: str, scores: str, size_mb: float) -> ReleasedFile:
    page = "https://github.com/open-mmlab/OpenPCDet"
    return ReleasedFile(name, "OpenPCDet", page, _REPOSITORY, data, scores, size_mb=size_mb)


def _object_dgcnn(name: str, scores: str) -> ReleasedFile:
    licence = _REPOSITORY.replace("Apache-2.0", "MIT")
    return ReleasedFile(
        name, "Object DGCNN's authors", "https://github.com/WangYueFt/detr3d", licence, _NUSCENES, scores
    )


_PILLARS = "hv_pointpillars_secfpn_6x8_160e_kitti-3d-3class"
_SECOND = "second_hv_secfpn_8xb6-80e_kitti-3d-3class"
_FREE = "hv_pointpillars_fpn_sbn-all_free-anchor_4x8_2x_nus-3d"
_SSN = "hv_ssn_secfpn_sbn-all_2x16_2x_nus-3d"
_VOTES_SUN = "votenet_16x8_sunrgbd-3d-10class"
_VOTES_SCANNET = "votenet_8x8_scannet-3d-18class"
_H3D = "h3dnet_3x8_scannet-3d-18class"

FILES: tuple[ReleasedFile, ...] = (
    _three_detr("3detr-scannet", "scannet_ep1080.pth", _SCANNET, "AP25 62.1, AP50 37.9"),
    _three_detr("3detr-m-scannet", "scannet_masked_ep1080.pth", _SCANNET, "AP25 65.0, AP50 47.0"),
    _three_detr("3detr-sunrgbd", "sunrgbd_ep1080.pth", _SUN_RGBD, "AP25 58.0, AP50 30.3"),
    _three_detr("3detr-m-sunrgbd", "sunrgbd_masked_ep1080.pth", _SUN_RGBD, "AP25 59.1, AP50 30.3"),
    replace(
        _mmdetection3d(
            "votenet-sunrgbd",
            "votenet",
            f"v1.0.0_models/votenet/{_VOTES_SUN}/{_VOTES_SUN}_20210820_162823-bf11f014",
            _SUN_RGBD,
            "AP25 59.78, AP50 35.77",
            convention=None,
        ),
        sha256="bf11f0144c0cc1af590089aa93807bc69478175896179a554ade1f0522c15265",  # computed from the file
        size_mb=3.9,
    ),
    _mmdetection3d(
        "votenet-scannet",
        "votenet",
        f"v1.0.0_models/votenet/{_VOTES_SCANNET}/{_VOTES_SCANNET}_20210823_234503-cf8134fa",
        _SCANNET,
        "AP25 62.34, AP50 40.82",
        convention=None,
    ),
    _mmdetection3d(
        "h3dnet-scannet",
        "h3dnet",
        f"v1.0.0_models/h3dnet/{_H3D}/{_H3D}_20210824_003149-414bd304",
        _SCANNET,
        "AP25 66.07, AP50 47.68",
        convention=None,
    ),
    _center_point("centerpoint-pillar", "02pillar", "20220811_031844-191a3822", "mAP 48.70, NDS 59.62"),
    _center_point("centerpoint-voxel", "01voxel", "20220810_030004-9061688e", "mAP 56.11, NDS 64.61"),
    _center_point("centerpoint-voxel-0075", "0075voxel", "20220810_011659-04cb3a3b", "mAP 56.54, NDS 65.17"),
    _mmdetection3d(
        "pointpillars-kitti",
        "pointpillars",
        f"v1.0.0_models/pointpillars/{_PILLARS}/{_PILLARS}_20220301_150306-37dc2420",
        _KITTI,
        "mAP 64.07",
    ),
    _mmdetection3d("second-kitti", "second", f"v1.1.0_models/second/{_SECOND}/{_SECOND}-b086d0a3", _KITTI, "mAP 65.3"),
    _on_pillars(
        "pointpillars-fpn-nuscenes", "pointpillars", "pointpillars_fpn", "230405-2fa62f3d", "mAP 40.0, NDS 53.3"
    ),
    _mmdetection3d(
        "free-anchor-nuscenes",
        "free_anchor",
        f"v1.0.0_models/free_anchor/{_FREE}/{_FREE}_20210816_163441-ae0897e7",
        _NUSCENES,
        "mAP 43.82, NDS 54.86",
    ),
    _mmdetection3d(
        "ssn-nuscenes",
        "ssn",
        f"v1.0.0_models/ssn/{_SSN}/{_SSN}_20210830_101351-51915986",
        _NUSCENES,
        "mAP 40.91, NDS 54.44",
    ),
    _on_pillars(
        "regnet-secfpn-nuscenes",
        "regnet",
        "pointpillars_regnet-400mf_secfpn",
        "230334-53044f32",
        "mAP 41.2, NDS 55.2",
    ),
    ReleasedFile(
        "unetr",
        "UNETR's authors (NVIDIA)",
        "https://github.com/Project-MONAI/research-contributions/tree/main/UNETR/BTCV",
        _REPOSITORY,
        _BTCV,
        "Dice 0.776 on its six validation cases (issue 69 of the repository)",
        "https://developer.download.nvidia.com/assets/Clara/monai/research/UNETR_model_best_acc.pth",
    ),
    _openpcdet("centerpoint-pillar", _NUSCENES, "mAP 50.03, NDS 60.70", 23),
    _openpcdet("centerpoint-voxel", _NUSCENES, "mAP 56.03, NDS 64.54", 34),
    _openpcdet("centerpoint-voxel-0075", _NUSCENES, "mAP 59.22, NDS 66.48", 34),
    _openpcdet("pointpillars-kitti", _KITTI, "AP of 11 recalls: 77.28 cars, 52.29 pedestrians, 62.68 cyclists", 18),
    _openpcdet("second-kitti", _KITTI, "AP of 11 recalls: 78.62 cars, 52.98 pedestrians, 67.15 cyclists", 20),
    _object_dgcnn("object-dgcnn-pillar", "mAP 53.2, NDS 62.8"),
    _object_dgcnn("object-dgcnn-voxel", "mAP 58.6, NDS 66.0"),
)


def offered() -> list[ReleasedFile]:
    """The files that a reader of this release takes."""
    return [file for file in FILES if file.name in RELEASED]


def of_name(name: str) -> list[ReleasedFile]:
    """The files that the reader of this name takes."""
    return [file for file in FILES if file.name == name]


def direct(name: str) -> ReleasedFile:
    """The file that a program can fetch under the name of a released model.

    Raises:
        UsageError: no such name, or its publishers serve it to browsers only.
    """
    catalog.find(name, RELEASED, "released model")
    for file in (known := of_name(name)):
        if file.url is not None:
            return file
    pages = " or ".join(f"{file.page} ({file.publisher})" for file in known) or "its publisher's page"
    do = f"Download it with a browser from {pages}, then `vol3d import {name} FILE -o OUT`."
    raise UsageError("these weights have no address that a program can fetch", got=name, do=do)


def identify(path: Path) -> ReleasedFile | None:
    """Which published file this is, by its SHA-256; None where it is none of those with a published one."""
    digest = files.sha256(path)
    return next((file for file in FILES if file.sha256 and digest.startswith(file.sha256)), None)
