"""What is written beside a mask, by the suffixes of its files."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from medical.results.maps import MAPS
from medical.results.options import MaskSettings
from medical.results.radiomics import write_radiomics
from medical.results.surfaces import MeshFormat, write_surface
from vol3d.notes import Note
from vol3d.prediction import Beside, MaskPrediction
from vol3d.scans.read import is_dicom_source
from vol3d.scans.source import ScanSource

if TYPE_CHECKING:
    from vol3d.view.theme import Background

_NO_SERIES = Note("no-rtstruct", "no RT structure set: the scan is not a DICOM series")


def writers(settings: MaskSettings, class_names: tuple[str, ...], source: ScanSource) -> dict[str, Beside]:
    """Suffix -> what writes it: `.csv`, `.rtstruct.dcm`, and a surface for each class, `.spleen.stl`."""
    found: dict[str, Beside] = {}
    for form in settings.formats:
        if form in ("stl", "ply", "obj"):
            found |= _surfaces(cast(MeshFormat, form), settings, class_names)
        elif form == "rtstruct":
            found[".rtstruct.dcm"] = Beside(_write_rtstruct if is_dicom_source(source.path) else _no_series)
        elif form in MAPS:
            found[f".{form}.nii.gz"] = Beside(MAPS[form])
        elif form == "radiomics":
            found[".radiomics.csv"] = Beside(write_radiomics)
        else:
            found[f".{form}"] = _page(form, settings.background)
    return found


def _page(form: str, background: Background) -> Beside:
    from medical.results.page import write_page, write_picture
    from medical.results.table import write_table

    if form == "csv":
        return Beside(write_table)
    write = partial(write_page if form == "html" else write_picture, background=background)
    return Beside(write, f"background={background}")


def _surfaces(form: MeshFormat, settings: MaskSettings, class_names: tuple[str, ...]) -> dict[str, Beside]:
    found: dict[str, Beside] = {}
    for label, name in enumerate(class_names):
        if label and (not settings.roi or name in settings.roi):
            word = re.sub(r"[^\w-]+", "_", name) or str(label)
            suffix = f".{word}.{form}" if f".{word}.{form}" not in found else f".{word}_{label}.{form}"
            write = partial(write_surface, label=label, form=form, smooth=settings.smooth)
            found[suffix] = Beside(write, f"smooth={settings.smooth}")
    return found


def _write_rtstruct(prediction: MaskPrediction, path: Path) -> tuple[Note, ...]:
    from vol3d.scans.dicom.rtstruct_write import write_rtstruct

    return write_rtstruct(path, prediction.segmentation, prediction.volume.series)


def _no_series(prediction: MaskPrediction, path: Path) -> tuple[Note, ...]:
    return (_NO_SERIES,)
