"""Classes with a side, in the spellings of the field, and what mirroring does to them."""

import pytest

from medical.sides import flip_notes, mirror_notes, side_axis, sided

HALVES = ("background", "Left hippocampus", "Right hippocampus")


@pytest.mark.parametrize(
    "pair",
    [
        ("left_kidney", "right_kidney"),
        ("kidney_left", "kidney_right"),
        ("Left hippocampus", "Right hippocampus"),
        ("L_kidney", "R_kidney"),
        ("Lung_L", "Lung_R"),
        ("kidney (L)", "kidney (R)"),
        ("lh-cortex", "rh-cortex"),
        ("ctx.lh", "ctx.rh"),
        ("LeftLung", "RightLung"),
        ("KidneyL", "KidneyR"),
        ("lkidney", "rkidney"),
        ("Lt Kidney", "Rt Kidney"),
        ("LEFT", "RIGHT"),
        ("rib_L1", "rib_R1"),
        ("Ren dex", "Ren sin"),
    ],
)
def test_spellings(pair):
    assert sided(("background", "liver", *pair)) == pair


@pytest.mark.parametrize("names", [("liver", "spleen"), ("L1", "L2"), ("anterior", "posterior"), ("leftover",)])
def test_classes_without_a_side(names):
    assert sided(("background", *names)) == ()


def test_one_side_alone_has_a_side():
    assert sided(("background", "left kidney", "liver")) == ("left kidney",)
    assert sided(("Left lateral ventricle",)) == ("Left lateral ventricle",)


def test_a_chamber_of_the_heart_has_a_side_only_beside_its_counterpart():
    assert sided(("background", "left_atrium", "Left Ventricle", "left atrial appendage")) == ()
    assert sided(("left_ventricle", "right_ventricle", "left_atrium")) == ("left_ventricle", "right_ventricle")


@pytest.mark.parametrize(("orientation", "axis"), [("RAS", 0), ("LPS", 0), ("ASL", 2), ("PLI", 1)])
def test_the_axis_follows_the_orientation(orientation, axis):
    assert side_axis(orientation) == axis
    flip = [0.0, 0.0, 0.0]
    flip[axis] = 0.5
    (note,) = flip_notes(HALVES, orientation, tuple(flip), 0.0)
    assert note.setting == "augment.flip" and note.value == "Left hippocampus, Right hippocampus"
    assert f"axis {'ijk'[axis]}" in str(note) and note.numbers == {"axis": axis}
    (note,) = mirror_notes(HALVES, orientation, (axis,))
    assert note.setting == "mirror" and "Left hippocampus" in str(note)
    others = tuple({0, 1, 2} - {axis})
    assert mirror_notes(HALVES, orientation, others) == ()
    assert flip_notes(HALVES, orientation, tuple(0.5 - value for value in flip), 0.0) == ()


def test_quarter_turns_make_one_flip_another():
    assert flip_notes(HALVES, "RAS", (0, 0.5, 0), 0.1) and not flip_notes(HALVES, "RAS", (0, 0, 0.5), 0.1)
    assert not flip_notes(HALVES, "ASR", (0.5, 0.5, 0), 0.1)


def test_nothing_to_exchange():
    assert not flip_notes(("background", "liver"), "RAS", (1, 1, 1), 1.0) and not mirror_notes(("a", "b"), "RAS", (0,))
