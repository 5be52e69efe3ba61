"""SNOMED CT codes for the names of classes: what a clinic's archive knows a segment by.

The codes are pydicom's: PS3.16 CID 7192 (anatomical structures), CID 7159 (lesions) and CID 244 (laterality).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

_ANATOMY, _LESIONS = "CID7192", "CID7159"
_SIDES = {"left": "Left", "l": "Left", "lt": "Left", "lh": "Left", "right": "Right", "r": "Right", "rt": "Right"}
_SIDES |= {"rh": "Right"}
_OTHER_WORDS = {
    "tumor": "neoplasm",
    "tumour": "neoplasm",
    "oedema": "edema",
    "oesophagus": "esophagus",
    "vertebrae": "vertebra",
    "bowel": "intestine",
    "postcava": "inferior vena cava",
    "ivc": "inferior vena cava",
}
"""Word of a class's name -> words of pydicom's keyword."""
_EMPTY_WORDS = {"of", "the", "structure", "gland", "urinary"}


class Concept(NamedTuple):
    """Codes of a segment (PS3.3 C.8.20.4): pydicom's `Code`s.

    Args:
        category: anatomical structure, abnormal structure, or tissue where the name is unknown.
        type: what it is.
        side: left or right, None where the name has no side.
    """

    category: Any
    type: Any
    side: Any | None
    known: bool


def concept_of(name: str) -> Concept:
    """The codes that belong to a class's name, in whatever spelling: `kidney_right`, `Right Kidney`, `KidneyR`.

    >>> concept_of("left_kidney").type.meaning, concept_of("left_kidney").side.meaning
    ('Kidney', 'Left')
    >>> concept_of("class 7").known
    False
    """
    from pydicom.sr.codedict import codes

    words = _words(name)
    sides = [_SIDES[word] for word in words if word in _SIDES]
    rest = [word for word in words if word not in _SIDES]
    for some, side in ((words, None), (rest, sides[0] if len(sides) == 1 else None)):
        if found := _known().get(_key(some)):
            return Concept(*found, None if side is None else getattr(codes.SCT, side), True)
    return Concept(codes.SCT.Tissue, codes.SCT.Tissue, None, False)


@cache
def _known() -> dict[frozenset[str], tuple[Any, Any]]:
    """Words of the name -> category and type."""
    from pydicom.sr.codedict import Collection, codes

    found: dict[frozenset[str], tuple[Any, Any]] = {}
    lists = ((_LESIONS, codes.SCT.MorphologicallyAbnormalStructure), (_ANATOMY, codes.SCT.AnatomicalStructure))
    for collection, category in lists:
        for keyword, code in Collection(collection).concepts.items():
            if code.scheme_designator == "SCT":
                found[_key(_words(keyword))] = (category, code)
    return found


def _key(words: list[str]) -> frozenset[str]:
    """The words whatever their order, plural and spelling."""
    spelled = " ".join(_OTHER_WORDS.get(word, word) for word in words).split()
    return frozenset(word.removesuffix("s") for word in spelled if word not in _EMPTY_WORDS)


def _words(name: str) -> list[str]:
    """`KidneyR` -> kidney, r; `L1Vertebra` -> l1, vertebra."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).casefold()
    return [word for word in re.split(r"[\W_]+", parted) if word]
