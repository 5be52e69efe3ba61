"""nuScenes annotations and results: global frame, size w l h, orientation as a quaternion w x y z, velocity in m/s."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pointcloud.conventions.columns import check_columns
from vol3d.errors import DataError
from vol3d.geometry.boxes import VELOCITY, YAW, check_boxes
from vol3d.geometry.frames import check_rigid, transform_points


class NuscenesBoxes(NamedTuple):
    """Columns of annotations: (n, 3) m, (n, 3) m in the order w l h, (n, 4) quaternion w x y z, (n, 2) m/s or None."""

    translation: Tensor
    size_wlh: Tensor
    rotation_wxyz: Tensor
    velocity: Tensor | None = None


def boxes_from_nuscenes(annotations: NuscenesBoxes, sensor_from_global: Float[Tensor, "4 4"]) -> Float[Tensor, "n c"]:
    """Boxes in the frame of a sensor with z (nearly) up; 9 columns with velocities, else 7.

    The direction of travel is turned in space and its x and y are kept, as the nuScenes devkit's users do.

    Raises:
        DataError: wrong columns, a quaternion of length 0, not a rigid motion.
    """
    check_columns(annotations.translation, "translation", (3,), "x y z in the global frame")
    check_columns(annotations.size_wlh, "size_wlh", (3,), "w l h")
    check_columns(annotations.rotation_wxyz, "rotation_wxyz", (4,), "w x y z")
    check_rigid(sensor_from_global, "sensor_from_global")
    # Global coordinates run to thousands of metres: float32 would leave a millimetre.
    motion = sensor_from_global.double()
    centre = transform_points(annotations.translation.double(), motion)
    heading = _heading(annotations.rotation_wxyz.double()) @ motion[:3, :3].T
    yaw = torch.atan2(heading[..., 1], heading[..., 0])
    parts = [centre, annotations.size_wlh[..., [1, 0, 2]].double(), yaw[..., None]]
    if annotations.velocity is not None:
        parts.append(annotations.velocity[..., :2].double() @ motion[:2, :2].T)
    return torch.cat(parts, dim=-1).to(annotations.translation.dtype)


def boxes_to_nuscenes(boxes: Float[Tensor, "n c"], global_from_sensor: Float[Tensor, "4 4"]) -> NuscenesBoxes:
    """Annotation columns in float64 from boxes in a sensor's frame; velocity is None where the boxes have none."""
    check_boxes(boxes)
    check_rigid(global_from_sensor, "global_from_sensor")
    motion, boxes = global_from_sensor.double(), boxes.double()
    half = 0.5 * boxes[..., YAW]
    zero = torch.zeros_like(half)
    upright = torch.stack((half.cos(), zero, zero, half.sin()), dim=-1)
    rotation = _multiply(_quaternion(motion[:3, :3]).expand_as(upright), upright)
    velocity = boxes[..., VELOCITY] @ motion[:2, :2].T if boxes.shape[-1] == 9 else None
    return NuscenesBoxes(transform_points(boxes[..., :3], motion), boxes[..., [4, 3, 5]], rotation, velocity)


def _heading(quaternions: Tensor) -> Tensor:
    """The turned x axis (..., 3) of quaternions w x y z of any length but 0."""
    length = quaternions.norm(dim=-1, keepdim=True)
    if not bool((length > 0).all()):
        raise DataError("a quaternion has length 0 or is NaN", where="rotation_wxyz", wanted="w x y z of length 1")
    w, x, y, z = (quaternions / length).unbind(-1)
    return torch.stack((1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)), dim=-1)


def _quaternion(rotation: Float[Tensor, "3 3"]) -> Float[Tensor, " 4"]:
    """Quaternion w x y z, w >= 0, of a rotation: the eigenvector of Bar-Itzhack (2000), stable at every angle."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    form = rotation.new_tensor(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    quaternion = torch.linalg.eigh(form / 3).eigenvectors[:, -1]
    return quaternion if quaternion[0] >= 0 else -quaternion


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of quaternions w x y z: first the rotation b, then a."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    w = aw * bw - ax * bx - ay * by - az * bz
    x = aw * bx + ax * bw + ay * bz - az * by
    y = aw * by - ax * bz + ay * bw + az * bx
    z = aw * bz + ax * by - ay * bx + az * bw
    return torch.stack((w, x, y, z), dim=-1)
