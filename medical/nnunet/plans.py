"""`plans.json` of nnU-Net v2, old and new: everything about a configuration but its weights.

Sizes and spacings are those after `transpose_forward`. What would change the result and is not known is refused by its
name; what only matters to training is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medical.models.unet_blocks import Architecture
from medical.nnunet.architecture import read_architecture
from medical.nnunet.methods import Resampling, read_resampling
from vol3d.errors import CheckpointError

Reader = Literal["SimpleITKIO", "SimpleITKIOWithReorient", "NibabelIO", "NibabelIOWithReorient"]
Scheme = Literal[
    "ZScoreNormalization", "CTNormalization", "NoNormalization", "RescaleTo01Normalization", "RGBTo01Normalization"
]
REORIENTED = "RAS"
"""Where the axes point to after a reader that reorients."""


class _Part(BaseModel):
    """Part of a file that another program wrote: keys that only it needs are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Intensities(_Part):
    """Intensities of the foreground of the training scans, for CT."""

    mean: float
    std: float
    percentile_00_5: float
    percentile_99_5: float


class _Plans(_Part):
    dataset_name: str
    plans_name: str = ""
    image_reader_writer: Reader
    transpose_forward: tuple[int, int, int]
    configurations: dict[str, dict[str, Any]]
    label_manager: Literal["LabelManager"] = "LabelManager"


class _Configuration(_Part):
    preprocessor_name: Literal["DefaultPreprocessor"] = "DefaultPreprocessor"
    patch_size: tuple[int, ...] = Field(min_length=2, max_length=3)
    spacing: tuple[float, ...] = Field(min_length=2, max_length=3)
    normalization_schemes: tuple[Scheme, ...]
    use_mask_for_norm: tuple[bool, ...]
    previous_stage: str | None = None


@dataclass(frozen=True)
class Plans:
    """A configuration of a plan, ready to use.

    Args:
        dataset: name of the data set, `Dataset004_Hippocampus`.
        configuration: its name, `3d_fullres`.
        patch: voxels of a window; the first is 1 in a configuration of slices.
        spacing_mm: of the network's voxels; the first is None in a configuration of slices, which keep their distance.
        transpose: which axis of (z, y, x) each axis of the network is.
        orientation: where i, j, k of a scan are turned to; None leaves them as they are in the file.
        schemes, masked: how each channel is normalised, and whether only over the mask of what is not zero.
        intensities: of each channel; None where the plan has none.
        data, labels, logits: how images, a previous stage's labels, and outputs are resampled.
        architecture: of the network.
        previous: the configuration that a cascade continues; None for others.
    """

    dataset: str
    configuration: str
    patch: tuple[int, int, int]
    spacing_mm: tuple[float | None, float, float]
    transpose: tuple[int, int, int]
    orientation: str | None
    schemes: tuple[str, ...]
    masked: tuple[bool, ...]
    intensities: tuple[Intensities | None, ...]
    data: Resampling
    labels: Resampling
    logits: Resampling
    architecture: Architecture
    previous: str | None

    @property
    def is_2d(self) -> bool:
        """Whether the network sees one slice at a time."""
        return self.architecture.dimension == 2


def read_plans(document: Any, path: Path, configuration: str, channels: int) -> Plans:
    """The plans of one configuration.

    Args:
        document: what was read from `path`.
        channels: of the images.

    Raises:
        CheckpointError: a key that is missing or unknown, no such configuration.
    """
    plans = _valid(_Plans, document, path, "")
    if sorted(plans.transpose_forward) != [0, 1, 2]:
        raise CheckpointError("'transpose_forward' is no order of axes", where=path, got=plans.transpose_forward)
    values = inherited(plans.configurations, configuration, path)
    part = _valid(_Configuration, values, path, f"configurations.{configuration}.")
    architecture = read_architecture(values, f"{path}: {configuration}", len(part.patch_size))
    wanted = len(part.patch_size)
    if len(part.spacing) != wanted or min(part.patch_size) < 1 or min(part.spacing) <= 0:
        raise CheckpointError("'spacing' and 'patch_size' do not fit", where=path, got=(part.spacing, part.patch_size))
    if len(part.normalization_schemes) != channels or len(part.use_mask_for_norm) != channels:
        got = f"{len(part.normalization_schemes)} schemes, {len(part.use_mask_for_norm)} masks"
        raise CheckpointError("not one normalisation a channel", where=path, got=got, wanted=channels)

    two = wanted == 2
    return Plans(
        dataset=plans.dataset_name,
        configuration=configuration,
        patch=(1, *part.patch_size) if two else part.patch_size,  # type: ignore[arg-type]
        spacing_mm=(None, *part.spacing) if two else part.spacing,  # type: ignore[arg-type]
        transpose=plans.transpose_forward,
        orientation=REORIENTED if plans.image_reader_writer.endswith("WithReorient") else None,
        schemes=part.normalization_schemes,
        masked=part.use_mask_for_norm,
        intensities=_intensities(document, part.normalization_schemes, path),
        data=read_resampling(values, "data", path),
        labels=read_resampling(values, "seg", path),
        logits=read_resampling(values, "probabilities", path),
        architecture=architecture,
        previous=part.previous_stage,
    )


def inherited(configurations: Mapping[str, dict[str, Any]], name: str, path: Path) -> dict[str, Any]:
    """A configuration with all that it inherits. Raises CheckpointError for an unknown one, or a circle."""
    chain: list[str] = []
    values: dict[str, Any] = {}
    following: Any = name
    while following is not None:
        if following not in configurations or following in chain:
            what = "a circle of 'inherits_from'" if following in chain else "no such configuration in the plan"
            raise CheckpointError(what, where=path, got=following, wanted=f"one of {', '.join(configurations)}")
        chain.append(following)
        values = {**configurations[following], **values}
        following = configurations[following].get("inherits_from")
    return values


def _intensities(document: Any, schemes: tuple[str, ...], path: Path) -> tuple[Intensities | None, ...]:
    """Of each channel. Raises CheckpointError where CT has none."""
    old, new = "foreground_intensity_properties_by_modality", "foreground_intensity_properties_per_channel"
    known = document.get(new) or document.get(old) or {}
    found: list[Intensities | None] = []
    for channel, scheme in enumerate(schemes):
        if scheme == "CTNormalization":
            found.append(_valid(Intensities, known.get(str(channel)), path, f"{new}.{channel}."))
        else:
            found.append(None)
    return tuple(found)


def _valid(kind: type[Any], values: Any, path: Path, place: str) -> Any:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = place + ".".join(str(part) for part in first["loc"])
        missing = first["type"] == "missing"
        what = f"no '{key}' in the plan" if missing else f"'{key}' is not what nnU-Net writes, or not known here"
        wanted = first.get("ctx", {}).get("expected")
        got = None if missing else first["input"]
        raise CheckpointError(what, where=path, got=got, wanted=wanted) from error
