"""Names of classes in the spellings of the field, and the codes that an archive knows them by."""

from __future__ import annotations

import pytest

from vol3d.scans.dicom.codes import concept_of

SPELLINGS = {
    "spleen": ("78961009", None),
    "left_kidney": ("64033007", "Left"),
    "Right Kidney": ("64033007", "Right"),
    "KidneyR": ("64033007", "Right"),
    "lung_upper_lobe_left": ("45653009", "Left"),
    "Left atrium": ("82471001", None),
    "vertebrae_L1": ("66794005", None),
    "postcava": ("64131007", None),
    "oesophagus": ("32849002", None),
    "tumour": ("108369006", None),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_names_of_the_field(name: str) -> None:
    code, side = SPELLINGS[name]
    found = concept_of(name)
    assert found.known and found.type.value == code and found.type.scheme_designator == "SCT"
    assert (found.side.meaning if found.side else None) == side


@pytest.mark.parametrize("name", ["Anterior", "class 7", "left", "", "background", "L5"])
def test_a_name_that_says_no_structure_is_tissue(name: str) -> None:
    found = concept_of(name)
    assert not found.known and found.type.meaning == "Tissue" and found.side is None


def test_a_lesion_is_no_anatomy() -> None:
    assert "Abnormal" in concept_of("edema").category.meaning
    assert concept_of("liver").category.meaning == "Anatomical Structure"
