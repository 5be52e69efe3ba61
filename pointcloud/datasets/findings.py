"""What one scene's points and boxes show: its faults, and the numbers that only all scenes together can judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from pointcloud.datasets.annotations import LARGEST_ANGLE, NO_SIZE, NOT_RADIANS, AnnotationError
from pointcloud.datasets.assumptions import Reading, readings_of
from pointcloud.datasets.misreadings import MISREADINGS, SAMPLE, points_inside
from pointcloud.datasets.places import above_ground, copies
from pointcloud.datasets.prepared import PreparedScene
from pointcloud.datasets.scenes import JudgesLabels, NamesOthers, RespellsNames, Scene, SceneReader
from vol3d.dataset_tools.fault import Fault, Severity, fault_of, listed
from vol3d.dataset_tools.stamp import digest
from vol3d.errors import Vol3dError
from vol3d.geometry import count_points_in_boxes

BESIDE_M = 2.0  # so near to the points are objects that a camera's view cuts off
FEW = 100  # points: less is no scan of a room
TURN_STEP_DEG = 2
MISALIGNED_DEG = 10
NONE_IN_VIEW = "no-point-in-view"  # a reader's note that it left out all points, and why
SHARPER = 1.3  # how much better walls must line up turned than as they are, for a scan to be called misaligned
# Of what a reader noted; its other notes are plain facts, or `readings` of the file.
ODD = ("points-not-finite", "colours-not-finite", "viewpoint-not-applied")


@dataclass
class Findings:
    """What one scene showed; small enough to come back from another process.

    Args:
        scene: its name.
        faults: of its files, points and boxes.
        points: how many; None if it could not be read.
        extent_m: (3,) of the cloud.
        boxes, labels: as annotated.
        points_in_boxes: (K,) how many points each box holds.
        inside: (K, 1 + M) how many points of a sample each box holds as it is, and by each of `MISREADINGS`.
        above_ground: (K,) how high the boxes stand; see `places`.
        max_intensity: of the points; None where they have none.
        point_hash: of the coordinates.
        readings: how the file was interpreted where it does not state it.
        others: names of annotated objects that are of no class.
        respelled: of objects whose class is spelled otherwise, how.
    """

    scene: str
    faults: list[Fault] = field(default_factory=list)
    points: int | None = None
    extent_m: np.ndarray = field(default_factory=lambda: np.zeros(3))
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 7), np.float32))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    points_in_boxes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    inside: np.ndarray = field(default_factory=lambda: np.zeros((0, 1 + len(MISREADINGS)), np.int64))
    above_ground: np.ndarray = field(default_factory=lambda: np.zeros(0))
    max_intensity: float | None = None
    point_hash: str | None = None
    readings: list[Reading] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    respelled: list[str] = field(default_factory=list)

    def add(
        self, severity: Severity, what: str, do: str, *, code: str, numbers: Mapping[str, float] | None = None
    ) -> None:
        """One more fault."""
        self.faults.append(Fault(self.scene, severity, what, do, code=code, numbers=numbers or {}))


def inspect(reader: SceneReader) -> Findings:
    """The scene's findings; raises nothing."""
    found = Findings(reader.name)
    try:
        if isinstance(reader, PreparedScene):
            reader.verify()
        if isinstance(reader, NamesOthers):
            found.others = list(reader.other_names())
        if isinstance(reader, RespellsNames):
            found.respelled = list(reader.respelled_names())
        scene = reader.read()
        if isinstance(reader, JudgesLabels):
            found.faults += reader.label_faults()
        found.points = len(scene.cloud)
        found.readings = readings_of(reader.name, scene.cloud.notes)
        for note in scene.cloud.notes:
            if note.code in ODD:
                do = "Look at the scene; export it again if it should be otherwise."
                found.add("warning", str(note), do, code=note.code, numbers=note.numbers)
        _judge_points(scene, found)
        _judge_boxes(scene, found)
    except AnnotationError as error:
        found.faults.append(fault_of(reader.name, error, code=error.code))
    except Vol3dError as error:
        found.faults.append(fault_of(reader.name, error))
    except MemoryError:
        found.add("error", "the scene does not fit into memory", "Use fewer workers.", code="out-of-memory")
    except Exception as error:  # a reader's own bug must not hide the faults of all other scenes
        what = f"reading failed: {type(error).__name__}: {error}"
        found.add("error", what, "Report this with the file.", code="reader-failed")
    return found


def _judge_points(scene: Scene, found: Findings) -> None:
    xyz = scene.cloud.xyz
    if not len(xyz):
        unseen = next((str(note) for note in scene.cloud.notes if note.code == NONE_IN_VIEW), None)
        if unseen is not None:
            do = "Check the calibration and the size of the image, or set data.image_only to false."
            return found.add("error", unseen, do, code=NONE_IN_VIEW)
        return found.add("error", "the scene has no points", "Export it again, or remove it.", code="no-points")
    if not np.isfinite(xyz).all():
        rows = np.flatnonzero(~np.isfinite(xyz).all(axis=1))
        what, numbers = f"{len(rows)} points are NaN or infinite, {rows[0]} first", {"points": len(rows)}
        return found.add("error", what, "Export the scan again.", code="points-not-finite", numbers=numbers)
    found.extent_m = xyz.max(axis=0) - xyz.min(axis=0)
    found.point_hash = digest(xyz)
    if "intensity" in scene.cloud.columns:
        found.max_intensity = float(np.nanmax(scene.cloud.columns["intensity"]))
    if not found.extent_m.any():
        what = f"all {len(xyz)} points are at one place"
        found.add("error", what, "Export the scan again.", code="points-at-one-place", numbers={"points": len(xyz)})
    elif len(xyz) < FEW:
        what, do = f"only {len(xyz)} points", "Look at the scan; export it again if it should be whole."
        found.add("warning", what, do, code="few-points", numbers={"points": len(xyz)})
    if scene.truth.frame == "aligned":
        turn = wall_direction_deg(xyz)
        if abs(turn) >= MISALIGNED_DEG:
            what = f"the walls stand {abs(turn)} degrees off the axes"
            do = "Check that the alignment belongs to the scan and is applied once."
            found.add("warning", what, do, code="walls-misaligned", numbers={"degrees": turn})


def wall_direction_deg(xyz: np.ndarray) -> int:
    """Angle in -45 to 45 by which walls stand off the axes; 0 where the axes fit them about as well as any other turn.

    Walls seen from above are where many points share one coordinate: of all turns, that with the sharpest histograms.
    """
    points = xyz[:: max(1, len(xyz) // SAMPLE), :2].astype(np.float64)
    turns = np.arange(-45, 45, TURN_STEP_DEG) + 45 % TURN_STEP_DEG
    sharpness = []
    for turn in np.deg2rad(turns):
        along = points @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        counts = [np.unique(np.floor(axis / 0.05), return_counts=True)[1] for axis in along.T]
        sharpness.append(sum(float((count.astype(np.float64) ** 2).sum()) for count in counts))
    best, still = int(np.argmax(sharpness)), int(np.argmin(np.abs(turns)))
    return int(turns[best]) if sharpness[best] > SHARPER * sharpness[still] else 0


def _judge_boxes(scene: Scene, found: Findings) -> None:
    truth = scene.truth
    boxes, names = truth.boxes, truth.names()
    finite = np.isfinite(boxes[:, :7]).all(axis=1)
    flat = finite & (boxes[:, 3:6] <= 0).any(axis=1)
    _judge_angles(boxes[finite, 6], found)
    for number in np.flatnonzero(~finite | flat):
        size = " x ".join(f"{length:.3g}" for length in boxes[number, 3:6])
        what = f"box {number} ({names[number]}) measures {size} m"
        do, numbers = "Correct or remove the box: sizes are positive numbers.", {"box": int(number)}
        found.add("error", what, do, code=NO_SIZE, numbers=numbers)
    good = finite & ~flat
    found.boxes, found.labels = boxes[good], truth.labels[good]
    names = [name for name, kept in zip(names, good, strict=True) if kept]
    if len(found.boxes) and found.point_hash:
        _count_points(scene.cloud.xyz, found)
        _judge_places(scene.cloud.xyz, names, found)
    twice = copies(found.boxes, found.labels)
    if twice:
        what = "1 box is there twice" if twice == 1 else f"{twice} boxes are there twice"
        do = "Remove the copies, unless the labels are a benchmark's."
        found.add("warning", what, do, code="duplicate-box", numbers={"boxes": twice})


def _judge_angles(yaw: np.ndarray, found: Findings) -> None:
    wide = np.abs(yaw) > LARGEST_ANGLE
    if wide.any():
        what = f"{wide.sum()} of {len(wide)} boxes turn by more than once round, by {np.abs(yaw).max():.6g} at most"
        do, numbers = "Yaw is in radians: convert degrees.", {"boxes": int(wide.sum())}
        found.add("error", what, do, code=NOT_RADIANS, numbers=numbers)


def _count_points(xyz: np.ndarray, found: Findings) -> None:
    points, boxes = torch.from_numpy(np.array(xyz)), torch.from_numpy(np.ascontiguousarray(found.boxes[:, :7]))
    found.points_in_boxes = count_points_in_boxes(points, boxes).numpy()
    found.inside = points_inside(xyz, found.boxes)
    found.above_ground = above_ground(xyz, found.boxes)


def _judge_places(xyz: np.ndarray, names: list[str], found: Findings) -> None:
    low, high = xyz.min(axis=0), xyz.max(axis=0)
    reach = np.linalg.norm(found.boxes[:, 3:6], axis=1, keepdims=True) / 2 + BESIDE_M
    outside = ((found.boxes[:, :3] + reach < low) | (found.boxes[:, :3] - reach > high)).any(axis=1)
    if outside.any():
        which = listed([names[number] for number in np.flatnonzero(outside)])
        what = f"{outside.sum()} of {len(outside)} boxes lie outside the cloud: {which}"
        do = "Check the unit, the axes and the origin of the boxes against those of the points."
        most = 2 * outside.sum() > len(outside)
        do = do if most else "Look at the scene: single boxes may stand where the scan does not reach."
        found.add(
            "error" if most else "warning", what, do, code="box-outside-points", numbers={"boxes": int(outside.sum())}
        )
    hollow = ~outside & (found.points_in_boxes == 0)
    if hollow.any():
        which = listed([names[number] for number in np.flatnonzero(hollow)])
        what = f"{hollow.sum()} of {len(hollow)} boxes hold no point: {which}"
        do = "Look at the scene; objects that the scan does not show cannot be learned."
        found.add("warning", what, do, code="box-without-points", numbers={"boxes": int(hollow.sum())})
