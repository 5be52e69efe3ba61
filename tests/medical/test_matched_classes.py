"""A model's classes on labels of a data set that has other ones: numbers are mapped by name."""

import numpy as np
import pytest

from medical.classes import Classes
from medical.matched_classes import match_classes
from vol3d.errors import CheckpointError, UsageError
from vol3d.scans.volumes.volume import Grid, Segmentation

MODEL = Classes(("background", "liver", "spleen", "unused 3", "kidney"))
TUMOUR = Classes(
    ("background", "edema", "core", "enhancing"),
    {"WT": ("edema", "core", "enhancing"), "TC": ("core", "enhancing"), "ET": ("enhancing",)},
)


def mask(*labels: int) -> Segmentation:
    array = np.array(labels, np.uint8).reshape(-1, 1, 1)
    return Segmentation(array, Grid(array.shape, np.eye(4)), MODEL.names)


def test_labels_are_those_of_the_data_set():
    matched = match_classes(MODEL, ("nothing", "kidney", "unused 2", "tumour", "liver"), "mine")
    assert matched.scored == {"liver": (4,), "kidney": (1,), "tumour": (3,)}
    assert matched.counted == ("liver", "kidney") and matched.alone == (3,)
    assert matched.classes.not_annotated == ("spleen",)
    found, left_out = matched.relabelled(mask(0, 1, 2, 2, 3, 4))
    assert found.labels.ravel().tolist() == [0, 4, 0, 0, 0, 1] and left_out == 3  # unused 3 is nowhere, too
    assert found.class_names == ("nothing", "kidney", "unused 2", "tumour", "liver")
    assert found.labels.dtype == np.uint8


def test_the_same_names_change_nothing():
    matched = match_classes(MODEL, MODEL.names, "mine")
    found = mask(0, 3, 4)
    assert matched.relabelled(found) == (found, 0) and matched.classes.is_all
    assert matched.scored == MODEL.scored and matched.counted == MODEL.counted
    assert match_classes(TUMOUR, TUMOUR.names, "mine").scored == TUMOUR.scored


def test_spelling_does_not_count():
    matched = match_classes(MODEL, ("background", "KIDNEY", "Liver", "spleen"), "mine")
    assert matched.scored == {"Liver": (2,), "spleen": (3,), "KIDNEY": (1,)} and not matched.classes.not_annotated
    assert matched.classes.spelling == {"liver": "Liver", "kidney": "KIDNEY"}
    assert matched.relabelled(mask(0, 1, 4))[0].labels.ravel().tolist() == [0, 2, 1]
    same = match_classes(Classes(("background", "left_kidney")), ("background", "Left kidney"), "mine")
    assert same.relabelled(mask(0, 1))[0].class_names == ("background", "Left kidney")
    assert match_classes(TUMOUR, ("background", "Core", "enhancing"), "mine").scored == {"TC": (1, 2), "ET": (2,)}
    with pytest.raises(UsageError, match="differ in their spelling only"):
        match_classes(MODEL, ("background", "Liver", "LIVER"), "mine")


def test_outputs_are_alike_however_they_are_spelled():
    other = Classes(("background", "Edema", "CORE", "enhancing"), {"wt": ("Edema", "CORE", "enhancing"),
                    "TC": ("CORE", "enhancing"), "ET": ("enhancing",)})  # fmt: skip
    assert TUMOUR.is_alike(other, "x") and not TUMOUR.is_alike(MODEL, "x") and MODEL.is_alike(MODEL, "x")
    assert not Classes(("background", "a", "b")).is_alike(Classes(("background", "B", "A")), "x")


def test_a_name_is_not_matched_with_the_background():
    assert match_classes(MODEL, ("kidney", "liver"), "mine").scored == {"liver": (1,)}
    with pytest.raises(CheckpointError, match=r"mine: .*got lung, wanted one or more of liver"):
        match_classes(MODEL, ("background", "lung"), "mine")
    with pytest.raises(CheckpointError):
        match_classes(MODEL, ("background", "unused 1", "unused 2", "unused 3"), "mine")


def test_a_region_is_there_if_all_of_its_classes_are():
    matched = match_classes(TUMOUR, ("background", "enhancing", "core"), "mine")
    assert matched.scored == {"TC": (2, 1), "ET": (1,)} and matched.classes.not_annotated == ("WT",)
    with pytest.raises(CheckpointError, match="none of the data set's"):
        match_classes(TUMOUR, ("background", "edema"), "mine")
    with pytest.raises(CheckpointError, match=r"a region of the model.*got WT, wanted edema, core, enhancing"):
        match_classes(TUMOUR, ("background", "WT", "enhancing"), "mine")
