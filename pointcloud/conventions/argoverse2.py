"""Argoverse 2's sensor data set: its categories, and cuboids as ego-frame centre, size l w h and quaternion w x y z."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from pointcloud.conventions.columns import check_columns
from vol3d.errors import DataError
from vol3d.geometry.boxes import YAW, check_boxes

CATEGORIES = (
    "ARTICULATED_BUS",
    "BICYCLE",
    "BICYCLIST",
    "BOLLARD",
    "BOX_TRUCK",
    "BUS",
    "CONSTRUCTION_BARREL",
    "CONSTRUCTION_CONE",
    "DOG",
    "LARGE_VEHICLE",
    "MESSAGE_BOARD_TRAILER",
    "MOBILE_PEDESTRIAN_CROSSING_SIGN",
    "MOTORCYCLE",
    "MOTORCYCLIST",
    "PEDESTRIAN",
    "REGULAR_VEHICLE",
    "SCHOOL_BUS",
    "SIGN",
    "STOP_SIGN",
    "STROLLER",
    "TRUCK",
    "TRUCK_CAB",
    "VEHICULAR_TRAILER",
    "WHEELCHAIR",
    "WHEELED_DEVICE",
    "WHEELED_RIDER",
)
"""The 26 of the 3D detection competition, in its order."""
NOT_SCORED = ("ANIMAL", "OFFICIAL_SIGNALER", "RAILED_VEHICLE", "TRAFFIC_LIGHT_TRAILER")
"""Categories that are annotated too, but are in no competition."""
CUBOID = ("tx_m", "ty_m", "tz_m", "length_m", "width_m", "height_m", "qw", "qx", "qy", "qz")
"""Columns of a cuboid in annotations and submissions."""


def boxes_from_argoverse2(cuboids: Float[Tensor, "n 10"]) -> Float[Tensor, "n 7"]:
    """Boxes in the same frame from the columns `CUBOID`; of a tilted cuboid the heading is laid flat.

    Raises:
        DataError: wrong columns, a quaternion of length 0 or NaN.
    """
    check_columns(cuboids, "cuboids", (10,), " ".join(CUBOID))
    quaternions = cuboids[..., 6:]
    length = quaternions.norm(dim=-1, keepdim=True)
    if not bool((length > 0).all()):
        raise DataError("a quaternion has length 0 or is NaN", where="cuboids", wanted="w x y z of length 1")

    w, x, y, z = (quaternions / length).unbind(-1)
    yaw = torch.atan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z))
    return torch.cat((cuboids[..., :6], yaw[..., None]), dim=-1)


def boxes_to_argoverse2(boxes: Float[Tensor, "n c"]) -> Float[Tensor, "n 10"]:
    """The columns `CUBOID` of upright boxes; velocities have no place in them."""
    check_boxes(boxes)
    half = 0.5 * boxes[..., YAW]
    zero = torch.zeros_like(half)
    return torch.cat((boxes[..., :6], torch.stack((half.cos(), zero, zero, half.sin()), dim=-1)), dim=-1)
