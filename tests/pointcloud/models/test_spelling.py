"""Settings by class know the classes whatever their case and what joins their words, and refuse what is ambiguous."""

from __future__ import annotations

import pytest

from pointcloud.models.anchors.anchors import kitti_anchors
from pointcloud.models.anchors.head import AnchorHead, AnchorHeadSettings
from pointcloud.models.anchors.ssn import ShapeGroupSettings, SsnHeadSettings, SsnSettings
from pointcloud.models.center_point.head import CenterHead, CenterHeadSettings
from vol3d.class_names import of_each_class
from vol3d.errors import UsageError


def test_anchors_tasks_and_groups_find_their_classes() -> None:
    anchors = kitti_anchors()
    head = AnchorHead(4, ("cyclist", "CAR", "pedestrian"), AnchorHeadSettings(anchors=anchors))
    assert head.rules == tuple(anchors[name] for name in ("Cyclist", "Car", "Pedestrian"))
    centre = CenterHead(4, ("car", "traffic_cone"), CenterHeadSettings(tasks=(("Traffic cone",), ("Car",))))
    assert centre.classes == ((1,), (0,))
    group = ShapeGroupSettings(classes=("Car", "Cyclist"), widths=(8,), strides=(1,))
    settings = SsnHeadSettings(groups=(group,), anchors={name: anchors[name] for name in ("Car", "Cyclist")})
    assert SsnSettings(head=settings).build(("cyclist", "car")).class_names == ("cyclist", "car")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            ("car", "bus"),
            r"^here: sizes of other classes; got car, bus, wanted sizes for Car, Van\. Give here an entry",
        ),
        (("car", "CAR", "Van"), r"differ in their spelling only; got Car for car and CAR"),
        ((), "sizes of other classes"),
    ],
)
def test_other_classes_and_two_spellings_of_one_are_refused(keys: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        of_each_class(dict.fromkeys(keys, 0), ("Car", "Van"), "sizes", "here")
    assert of_each_class({}, (), "sizes", "here") == ()
