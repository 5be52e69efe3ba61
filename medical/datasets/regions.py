"""Brain-tumour regions from label names, since label numbers differ between the data sets that have them.

MSD Task01 has 1 edema, 2 non-enhancing, 3 enhancing; BraTS until 2021 has 1 necrotic and non-enhancing core, 2 edema,
4 enhancing; BraTS 2023 has 3 enhancing. MONAI's tutorial for MSD takes label 2 as enhancing, which it is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from medical.datasets.cases import UNUSED
from vol3d.errors import UsageError

EDEMA, CORE, ENHANCING = "edema", "non-enhancing core", "enhancing tumour"
_SHORT = {
    **dict.fromkeys(("ed", "snfh"), EDEMA),
    **dict.fromkeys(("ncr", "net", "netc", "ncrnet", "necrosis"), CORE),
    **dict.fromkeys(("et", "activetumor", "activetumour"), ENHANCING),
}


def tumour_regions(class_names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Region -> names of its classes: whole tumour (WT), tumour core (TC), enhancing tumour (ET), largest first.

    WT is every tumour class, TC is WT without the edema, ET the enhancing part alone. Spelling, case, hyphens and the
    short names of BraTS (ED, NCR, NET, ET, SNFH ...) are understood.

    Args:
        class_names: `class_names[label]`, background first.

    Raises:
        UsageError: a class that is no part of a tumour, or a part that no class stands for.

    >>> tumour_regions(("background", "edema", "non-enhancing tumor", "enhancing tumour"))["TC"]
    ('non-enhancing tumor', 'enhancing tumour')
    """
    parts = {name: tumour_part(name) for name in class_names[1:] if not name.startswith(UNUSED)}
    if set(parts.values()) != {EDEMA, CORE, ENHANCING}:
        raise UsageError(
            "the brain-tumour regions do not follow from the class names",
            where="regions",
            got=list(class_names[1:]),
            wanted="edema, non-enhancing tumor, enhancing tumor (or ED, NCR, ET)",
            do="Name the classes so, or list the regions and their classes yourself.",
        )
    whole = tuple(parts)
    core = tuple(name for name in whole if parts[name] != EDEMA)
    return {"WT": whole, "TC": core, "ET": tuple(name for name in whole if parts[name] == ENHANCING)}


def tumour_part(name: str) -> str | None:
    """The part of a tumour that a class name stands for, or None."""
    letters = re.sub("[^a-z]", "", name.lower())
    if letters in _SHORT:
        return _SHORT[letters]
    if "edema" in letters or "flair" in letters:  # "surrounding non-enhancing FLAIR hyperintensity" is edema too
        return EDEMA
    if "nonenhanc" in letters or "necro" in letters:
        return CORE
    return ENHANCING if "enhanc" in letters else None
