"""SUN RGB-D (Song et al., CVPR 2015): 10,335 depth frames, 10 classes in VoteNet's order, turned boxes.

`root` is recognised by what is in it: VoteNet's exported arrays, the official archives as they are unpacked, or a
folder that `vol3d data prepare` wrote. Official:

    SUNRGBD/kv1 ...                                     SUNRGBD.zip: depth, image, intrinsics, extrinsics of each frame
    SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat        SUNRGBDtoolbox.zip: which frames train and which validate
    SUNRGBDtoolbox/Metadata/SUNRGBDMeta.mat             the labels of the benchmark (v1)
    SUNRGBDMeta3DBB_v2.mat                              cameras, and the later labels (v2)

The benchmark is v1 with the cameras of v2. The 2D boxes are not needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pointcloud.datasets.prepared import is_prepared, prepared_split
from pointcloud.datasets.scenes import SceneReader, SceneSplit
from pointcloud.datasets.settings import SceneSettings
from pointcloud.datasets.sun_rgbd.exports import ExportedFrame
from pointcloud.datasets.sun_rgbd.frames import Frame
from pointcloud.datasets.sun_rgbd.labels import FrameLabels, frame_key, read_allsplit, read_meta
from pointcloud.structures.class_names import SUN_RGBD_CLASSES
from pointcloud.structures.generated import is_generated
from vol3d.dataset_tools.fault import Fault, listed
from vol3d.errors import DataError
from vol3d.files import is_there
from vol3d.layouts import layout_hint

NAME = "SUN RGB-D"
META = {"v1": "SUNRGBDMeta.mat", "v2": "SUNRGBDMeta3DBB_v2.mat"}
FOLDERS = ("", "SUNRGBDtoolbox/Metadata", "SUNRGBDtoolbox", "SUNRGBDtoolbox/traintestSUNRGBD")


class SunRgbdSettings(SceneSettings):
    """SUN RGB-D in any of its forms."""

    name: Literal["sun_rgbd"] = "sun_rgbd"
    root: Path = Field(description="the data set's folder: official archives unpacked, VoteNet's arrays, or prepared")
    labels: Literal["v1", "v2", "json"] = Field(
        "v1",
        description="v1: the benchmark's boxes; v2: corrected ones; json: annotation3Dfinal beside each frame, "
        "which needs no .mat but allsplit.mat",
    )

    def split(self) -> SceneSplit:
        """The frames of the training and the validation list. Reads no depth.

        Raises:
            DataError: the folder is none of the known forms, or a file is missing or damaged.
        """
        if not self.root.is_dir():
            raise DataError("no such folder", where=self.root, do="Set the data set's root to where it lies.")
        if is_prepared(self.root):
            return prepared_split(self.root, SUN_RGBD_CLASSES)
        exported = [self.root / f"sunrgbd_pc_bbox_votes_50k_{self.labels}_{part}" for part in ("train", "val")]
        if any(folder.is_dir() for folder in exported):
            train, validation = (_exported(folder) for folder in exported)
            return SceneSplit(NAME, SUN_RGBD_CLASSES, train, validation, synthetic=is_generated(self.root))
        if (self.root / "SUNRGBD").is_dir():
            return self._official()
        got = ", ".join(sorted(path.name for path in self.root.iterdir())[:5]) or "an empty folder"
        wanted = f"SUNRGBD (the unpacked archive), {exported[0].name}, or a prepared index.json"
        do = layout_hint(self.root, self.name)
        raise DataError("not a SUN RGB-D folder", where=self.root, got=got, wanted=wanted, do=do)

    def _official(self) -> SceneSplit:
        parts = read_allsplit(self._file("allsplit.mat"))
        labels, faults = ({}, []) if self.labels == "json" else self._labels()
        frames: list[list[SceneReader]] = [[], []]
        missing, unknown = [], []
        for key, part in sorted(parts.items(), key=lambda item: _order(item[0], labels)):
            folder = self.root / "SUNRGBD" / key
            if not folder.is_dir():
                missing.append(key)
            elif self.labels != "json" and key not in labels:
                unknown.append(key)
            else:
                frames[part].append(_frame(folder, key, labels.get(key)))
        if missing:
            what = f"{len(missing)} of {len(parts)} frames are missing: {listed(missing, 3)}"
            numbers = {"absent": len(missing), "frames": len(parts)}
            faults.append(
                Fault(NAME, "error", what, "Unpack SUNRGBD.zip again.", code="absent-frames", numbers=numbers)
            )
        if unknown:
            what = f"{len(unknown)} frames have no entry in the labels {self.labels}: {listed(unknown, 3)}"
            do, numbers = "They are left out; use labels: json for them.", {"frames": len(unknown)}
            faults.append(Fault(NAME, "warning", what, do, code="frames-without-labels", numbers=numbers))
        return SceneSplit(NAME, SUN_RGBD_CLASSES, tuple(frames[0]), tuple(frames[1]), listing=tuple(faults))

    def _labels(self) -> tuple[dict[str, FrameLabels], list[Fault]]:
        """Boxes as set in the settings; cameras of v2 where its file is there, as in VoteNet's export."""
        chosen, faults = read_meta(self._file(META[self.labels]), SUN_RGBD_CLASSES)
        newer = self._file(META["v2"])
        if self.labels == "v2" or not is_there(newer):
            return chosen, faults
        cameras, _ = read_meta(newer, SUN_RGBD_CLASSES)
        return {key: one.with_camera(cameras.get(key, one)) for key, one in chosen.items()}, faults

    def _file(self, name: str) -> Path:
        """Where a file of the archives lies; its usual place if it is nowhere."""
        places = [self.root / folder / name for folder in FOLDERS]
        usual = places[-1] if name == "allsplit.mat" else places[1] if name == META["v1"] else places[0]
        return next((path for path in places if is_there(path)), usual)


def _exported(folder: Path) -> tuple[SceneReader, ...]:
    names = sorted(path.name[: -len("_pc.npz")] for path in folder.glob("*_pc.npz"))
    return tuple(ExportedFrame(folder, name, SUN_RGBD_CLASSES) for name in names)


def _frame(folder: Path, key: str, labels: FrameLabels | None) -> Frame:
    name = f"{labels.number:06d}" if labels else key.replace("/", "_")
    return Frame(folder, name, SUN_RGBD_CLASSES, labels)


def _order(key: str, labels: dict[str, FrameLabels]) -> tuple[int, str]:
    return (labels[key].number if key in labels else 0), frame_key(key)
