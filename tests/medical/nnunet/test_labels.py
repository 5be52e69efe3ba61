"""What labels of a `dataset.json` mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from medical.nnunet.labels import read_labels
from vol3d.errors import CheckpointError

FILE = Path("dataset.json")


def test_classes_by_number():
    labels = read_labels({"labels": {"background": 0, "b": 2, "a": 1, "ignore": 3}}, FILE)
    assert labels.names == ("background", "a", "b") and labels.outputs == 3 and labels.foreground == (1, 2)
    assert labels.regions is None


def test_regions_keep_the_order_of_the_file():
    stated = {"background": 0, "whole": [1, 2, 3], "enhancing": 3, "core": [2, 3]}
    labels = read_labels({"labels": stated, "regions_class_order": [1, 3, 2]}, FILE)
    assert labels.regions == ("whole", "enhancing", "core") and labels.written == (1, 3, 2) and labels.outputs == 3
    assert labels.names == ("background", "whole without enhancing and core", "core", "enhancing without core")
    assert labels.foreground == (1, 2, 3) and labels.members == ((1, 2, 3), (3,), (2, 3))


def test_a_label_that_no_region_paints_has_a_name_all_the_same():
    stated = {"background": 0, "whole": [1, 2], "core": 2}
    labels = read_labels({"labels": stated, "regions_class_order": [1, 4]}, FILE)
    assert labels.names == ("background", "whole without core", "label 2", "label 3", "core")
    assert labels.members == ((1, 4), (4,)), "what masks have, not what the file lists"


def test_a_region_may_paint_background():
    stated = {"background": 0, "vessel": [1, 2], "lumen": 2}
    labels = read_labels({"labels": stated, "regions_class_order": [1, 0]}, FILE)
    assert labels.names == ("background", "vessel without lumen") and labels.written == (1, 0) and labels.outputs == 2


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({}, "no 'background'"),
        ({"labels": {"0": "background", "1": "liver"}}, "nnU-Net v1"),
        ({"labels": {"background": 1, "a": 0}}, "the background is not label 0"),
        ({"labels": {"background": 0, "a": 2}}, "labels have gaps"),
        ({"labels": {"background": 0, "a": "x"}}, "the label 'a' is no number"),
        ({"labels": {"background": 0, "a": -1}}, "the label 'a' is no number"),
        ({"labels": {"background": 0, "a": [1, 2], "b": 2}}, "no fitting 'regions_class_order'"),
        ({"labels": {"background": 0, "a": [1, 2], "b": 2}, "regions_class_order": [1]}, "2 labels, one for each"),
        ({"labels": {"background": 0, "a": [1, 2], "b": 2}, "regions_class_order": ["1", "2"]}, "one for each"),
    ],
)
def test_what_is_refused(dataset, message):
    with pytest.raises(CheckpointError, match=message):
        read_labels(dataset, FILE)
