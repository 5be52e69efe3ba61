"""What a person wants of a mask besides the mask."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from medical.results.radiomics import require_pyradiomics
from vol3d.class_names import chosen_names
from vol3d.engine.settings import PredictionSettings, Settings
from vol3d.errors import UsageError

MaskFormat = Literal["stl", "ply", "obj", "rtstruct", "csv", "png", "html", "probabilities", "entropy", "radiomics"]
FORMATS: tuple[str, ...] = get_args(MaskFormat)


class MaskSettings(Settings):
    """Which results are written, and of which classes."""

    roi: tuple[str, ...] = Field((), description="classes that stay in the mask; empty: all")
    formats: tuple[MaskFormat, ...] = Field((), description="what else is written beside the mask")
    smooth: int = Field(0, ge=0, le=200, description="rounds of Taubin's smoothing of surfaces")
    background: Literal["dark", "light"] = Field("dark", description="of pictures; light: for print and slides")
    fast: bool = Field(False, description="windows that overlap by at most a quarter, and no mirrored views")
    coarser: float = Field(
        1.0, ge=1, le=4, description="the network sees voxels this many times as long; it was not trained for that"
    )

    @property
    def wants_probabilities(self) -> bool:
        """Whether a format needs what the labels are decided from."""
        return "probabilities" in self.formats or "entropy" in self.formats


class VolumeSettings(PredictionSettings):
    """Base of what every model of volumes needs to predict."""

    predict: MaskSettings = MaskSettings()


def chosen_formats(words: str) -> tuple[MaskFormat, ...]:
    """`stl,html` as formats.

    Raises:
        UsageError: none of them.
        Vol3dError: radiomics, and pyradiomics is not installed.
    """
    names = tuple(dict.fromkeys(word.strip().lower() for word in words.split(",") if word.strip()))
    for name in names:
        if name not in FORMATS:
            raise UsageError("no format of masks", where="--format", got=name, wanted=", ".join(FORMATS))
    if "radiomics" in names:
        require_pyradiomics()  # before minutes of work
    return names  # type: ignore[return-value]


def chosen_classes(words: str, class_names: tuple[str, ...]) -> tuple[str, ...]:
    """`spleen,liver` as classes, in the order of their labels.

    Raises:
        UsageError: none of them, no class, or a name that stands for several.
    """
    names = chosen_names([word.strip() for word in words.split(",") if word.strip()], class_names[1:], "--roi")
    for name in names:
        if name not in class_names[1:]:
            raise UsageError("no class of the model", where="--roi", got=name, wanted=", ".join(class_names[1:]))
    if not names:
        raise UsageError("no class is left", where="--roi", wanted=", ".join(class_names[1:]))
    return tuple(name for name in class_names[1:] if name in names)
