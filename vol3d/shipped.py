"""What the folder of a shipped or imported model says about it, without loading the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vol3d.engine.derived import Origin, derived_from, derived_note, passed_on
from vol3d.errors import Vol3dError
from vol3d.files import read_json
from vol3d.notes import Note

SOURCE = "released.json"
"""Beside imported weights: whose they are, and their licence."""
_LONGEST_ATTRIBUTION = 4000  # characters: what is longer is the text of a licence, not whom to credit
# Name -> words that only its text has all of.
_LICENCES = {
    "CC-BY-NC-SA 4.0": ("by-nc-sa", "4.0"),
    "CC-BY-NC-SA 3.0": ("by-nc-sa", "3.0"),
    "CC-BY-SA 4.0": ("by-sa", "4.0"),
    "CC-BY 4.0": ("creativecommons.org/licenses/by/4.0",),
    "Apache-2.0": ("apache license", "version 2.0"),
}


@dataclass(frozen=True)
class ShippedModel:
    """A shipped model; None stands for what its files do not say.

    Args:
        name: `vol3d.load` takes it.
        classes: their names.
        score, of: the number that its checkpoint was chosen by, and that number's name.
        trained_on: data set, and whether its scans were real.
        licence: of the weights.
        task: that runs it.
        data_terms: of imported weights, the data that they were trained on, with its terms.
        attribution: whom to credit, and how.
        origins: the licensed models that it derives from.
    """

    name: str
    classes: tuple[str, ...]
    score: float | None
    of: str | None
    trained_on: str | None
    licence: str | None
    task: str | None = None
    data_terms: str | None = None
    attribution: str | None = None
    origins: tuple[Origin, ...] = ()

    @property
    def notes(self) -> tuple[Note, ...]:
        """That the weights may not be used for everything, where that is so."""
        return licence_notes(self.licence, self.data_terms) + derived_note(self.origins)


def licence_notes(licence: str | None, data_terms: str | None = None) -> tuple[Note, ...]:
    """That weights may not be used for everything, where that is so; both arguments as of `ShippedModel`."""
    notes = []
    if licence is not None and "NC" in licence:
        notes.append(Note("non-commercial", "the weights are for non-commercial use only: {value}", value=licence))
    if data_terms is not None:
        text = "the weights were trained on {value}, whose terms may allow less than the licence of the weights"
        notes.append(Note("data-terms", text, value=data_terms))
    return tuple(notes)


def about(folder: Path, info: Mapping[str, Any] | None = None) -> ShippedModel:
    """The model whose weights lie in a folder; `info`: what they say about themselves, where that was read already.

    Terms are those of the files beside the weights; without such files, those of the weights that the training began
    with.

    Raises:
        ValueError: what the weights say of the models that they derive from cannot be read.
    """
    config = _object(folder / "config.json") if info is None else info
    seen, source = seen_of(folder, config), _object(folder / SOURCE)
    return ShippedModel(
        name=folder.name,
        classes=tuple(str(item) for item in config.get("class_names") or ()),
        score=config.get("score"),
        of=config.get("score_name"),
        trained_on=scans_of(seen["data"], bool(seen.get("synthetic"))) if "data" in seen else source.get("data"),
        task=config.get("task"),
        origins=tuple(derived_from(config)),
        **{"licence": None, **_terms(folder, source, config)},
    )


def scans_of(data: str, synthetic: bool) -> str:
    """Which scans a training saw, for a line or a cell.

    >>> scans_of("KITTI", False), scans_of("KITTI", True)
    ('KITTI, real scans', 'KITTI format, generated scans')
    """
    return f"{data} format, generated scans" if synthetic else f"{data}, real scans"


def _terms(folder: Path, source: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Licence, terms of the data and attribution, as far as they are stated."""
    licence = next((file for file in sorted(folder.glob("LICENSE*")) if file.is_file()), None)
    if licence is not None:
        text = " ".join(line.strip() for line in _text(licence).splitlines() if not line.startswith("#")).strip()
        return {"licence": licence_name(licence), "attribution": text if len(text) <= _LONGEST_ATTRIBUTION else None}
    if source:
        credit = ", ".join(str(source[key]) for key in ("publisher", "page") if source.get(key))
        return {"licence": source.get("licence"), "data_terms": source.get("data"), "attribution": credit or None}
    return passed_on(config)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return path.name


def seen_of(folder: Path, info: Mapping[str, Any]) -> dict[str, Any]:
    """The data set that a model was trained on, and ranges of its scans; older weights were measured afterwards."""
    return info.get("seen") or _object(folder / "seen.json")


def licence_name(path: Path) -> str:
    """The licence that a file names, or the file's first line."""
    text = _text(path)
    lines = (line.strip() for line in text.splitlines())
    known = (name for name, words in _LICENCES.items() if all(word in text.lower() for word in words))
    return next(known, None) or next(filter(None, lines), "")


def _object(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except Vol3dError:
        return {}
    return found if isinstance(found, dict) else {}
