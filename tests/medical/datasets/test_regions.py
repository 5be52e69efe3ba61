"""Brain-tumour regions by label name."""

from __future__ import annotations

import numpy as np
import pytest

from medical.classes import Classes
from medical.datasets.regions import tumour_regions
from vol3d.errors import UsageError

MSD = ("background", "edema", "non-enhancing tumor", "enhancing tumour")
BRATS_2021 = ("background", "NCR", "ED", "unused 3", "ET")
BRATS_2023 = ("background", "NETC", "SNFH", "ET")
LONG = (
    "background",
    "Necrotic and Non-Enhancing tumour core",
    "Surrounding non-enhancing FLAIR hyperintensity",
    "GD-enhancing tumor",
)


def test_msd_regions_not_those_of_monais_tutorial() -> None:
    regions = tumour_regions(MSD)
    assert list(regions) == ["WT", "TC", "ET"]
    classes = Classes(MSD, regions)
    assert classes.scored == {"WT": (1, 2, 3), "TC": (2, 3), "ET": (3,)}
    assert classes.written_labels == (1, 2, 3)
    assert classes.one_hot(np.array([[[2, 3]]]))[2].tolist() == [[[False, True]]]


@pytest.mark.parametrize("names", [BRATS_2023, LONG])
def test_brats_regions(names: tuple[str, ...]) -> None:
    assert Classes(names, tumour_regions(names)).scored == {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}


def test_brats_2021_skips_label_3() -> None:
    assert Classes(BRATS_2021, tumour_regions(BRATS_2021)).scored == {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}


@pytest.mark.parametrize("names", [("background", "liver"), MSD[:3], (*MSD, "ventricle"), ("background",)])
def test_other_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="wanted edema, non-enhancing tumor, enhancing tumor"):
        tumour_regions(names)
