"""Classes and regions: which output writes which label."""

from __future__ import annotations

import numpy as np
import pytest

from medical.classes import Classes
from vol3d.errors import UsageError

TUMOUR = ("background", "edema", "non-enhancing", "enhancing")
REGIONS = {"WT": TUMOUR[1:], "TC": TUMOUR[2:], "ET": TUMOUR[3:]}


def test_classes_are_outputs() -> None:
    classes = Classes(("background", "liver", "spleen"))
    assert classes.outputs == 3 and classes.foreground == ("liver", "spleen")
    assert classes.scored == {"liver": (1,), "spleen": (2,)} and classes.written_labels == (0, 1, 2)
    np.testing.assert_array_equal(classes.one_hot(np.array([[[0, 2]]]))[:, 0, 0], [[1, 0], [0, 0], [0, 1]])


def test_regions_overlap_and_write_what_they_add() -> None:
    classes = Classes(TUMOUR, REGIONS)
    assert classes.outputs == 3 and classes.output_names == ("WT", "TC", "ET")
    assert classes.scored == {"WT": (1, 2, 3), "TC": (2, 3), "ET": (3,)}
    assert classes.written_labels == (1, 2, 3)
    np.testing.assert_array_equal(
        classes.one_hot(np.arange(4).reshape(1, 1, 4))[:, 0, 0], [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]
    )


@pytest.mark.parametrize(
    ("names", "regions", "message"),
    [
        (("background",), None, "class names must be unique"),
        (("background", "a", "a"), None, "class names must be unique"),
        (TUMOUR, {}, "no region is listed"),
        (TUMOUR, {"WT": ("oedema",)}, "region 'WT' has unknown classes; got"),
        (TUMOUR, {"TC": TUMOUR[2:], "WT": TUMOUR[1:], "ET": TUMOUR[3:]}, "region 'TC' must add exactly one class"),
        (TUMOUR, {"WT": TUMOUR[1:], "ET": TUMOUR[3:]}, "region 'WT' must add exactly one class"),
    ],
)
def test_bad_lists_are_refused(names: tuple[str, ...], regions: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Classes(names, regions)
