"""What label numbers stand for: classes, nnU-Net's regions, and voxels to ignore."""

from __future__ import annotations

from pathlib import Path

import pytest

from medical.classes import Classes
from medical.datasets.labels import label_table
from vol3d.errors import DataError

JSON = Path("dataset.json")
BRATS = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": 3}


@pytest.mark.parametrize(
    "labels", [{"background": 0, "a": 1, "ignore": 2}, {"0": "background", "1": "a", "2": "Ignore"}, {"b": 0, "a": 1}]
)
def test_ignored_voxels_are_no_class(labels: dict[str, object]) -> None:
    table = label_table(labels, JSON)
    assert len(table.class_names) == 2 and table.regions is None
    assert table.ignore == (2 if len(labels) == 3 else None)


def test_an_ignore_label_far_away_or_between() -> None:
    assert label_table({"b": 0, "a": 1, "ignore": 255}, JSON).ignore == 255
    between = label_table({"b": 0, "ignore": 1, "a": 2}, JSON)
    assert (between.class_names, between.ignore) == (("b", "unused 1", "a"), 1)


@pytest.mark.parametrize("order", [None, [1, 2, 3]])
def test_regions_are_taken_over(order: list[int] | None) -> None:
    table = label_table({**BRATS, "ignore": 4}, JSON, order)
    assert table.class_names == ("background", "rest of whole tumor", "rest of tumor core", "enhancing tumor")
    assert table.regions == {
        "whole tumor": table.class_names[1:],
        "tumor core": table.class_names[2:],
        "enhancing tumor": table.class_names[3:],
    }
    assert table.ignore == 4
    assert Classes(table.class_names, table.regions).written_labels == (1, 2, 3)


def test_without_an_order_the_largest_region_is_the_first() -> None:
    table = label_table({"background": 0, "anterior": 1, "whole": [1, 2]}, JSON)
    assert list(table.regions or ()) == ["whole", "anterior"]
    assert table.class_names == ("background", "anterior", "rest of whole")


@pytest.mark.parametrize(
    ("labels", "order", "message"),
    [
        ({"b": 0, "whole": [1, 2]}, None, r"'whole' adds \[1, 2\].*`regions`"),
        (BRATS, [3, 2, 1], r"regions_class_order \[3, 2, 1\], where they add \[1, 2, 3\].*`regions`"),
        (BRATS, 7, "regions_class_order 7"),
        ({"b": 0, "whole": []}, None, "labels are not understood"),
        ({"b": 0, "a": 1, "ignore": 1}, None, "labels are not understood"),
        ({"b": 0, "a": 1, "ignore": [2, 3]}, None, "labels are not understood"),
        ({"b": 0, "a": 1, "ignore": 2, "Ignore": 3}, None, "labels are not understood"),
        ({"b": 0, "a": 1, "c": -1}, None, "labels are not understood"),
        ({"b": 0, "a": 1, "c": True}, None, "labels are not understood"),
        ({"b": 0, "a": 1, "c": 1.5}, None, "labels are not understood"),
        ({"0": "b", "1": 7}, None, "labels are not understood"),
        ({"b": 0, "a": "²"}, None, "labels are not understood"),
        ({"0": "b", "254": "a"}, None, "large gaps"),
        ({"b": 0, "a": 10**12}, None, "labels are not understood"),
    ],
)
def test_tables_that_are_refused(labels: dict[str, object], order: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        label_table(labels, JSON, order)
