"""What the recipes of all detectors in point clouds have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pointcloud.structures.detector import DetectorSettings
from vol3d.engine.settings import RunSettings, Settings
from vol3d.scans.points.options import Axis, LengthUnit

CloudFormat = Literal["csv", "kitti", "mcap", "rrd"]


class ReadSettings(Settings):
    """How a person's files are read and which boxes are written; `auto` is inferred from the file, and noted."""

    columns: tuple[str, ...] | None = Field(None, description="names of the columns of a file that does not name them")
    up: Axis | None = "auto"
    units: LengthUnit = "auto"
    amp: Literal["auto", "off", "bf16"] = Field(
        "auto",
        description="precision; auto: bf16 where the model was trained in it and the device has it, else float32",
    )
    score: float = Field(0.3, ge=0, le=1, description="boxes of a lower score are not written")
    formats: tuple[CloudFormat, ...] = Field((), description="what else is written beside the JSON")
    topic: str | None = Field(None, description="recordings: the topic of the clouds; null: the only one")
    every: int = Field(1, ge=1, description="recordings: one of so many clouds is predicted")
    calib: Path | None = Field(None, description="KITTI's calibration, a file or a folder; null: beside the sweep")

    @property
    def up_of_files(self) -> Axis:
        """The axis up in files of points, of which some kinds usually have the same."""
        return self.up or "auto"


class CloudSettings(RunSettings):
    """Everything about a run; a recipe in `configs/` is one of these. Each task names its models and data."""

    model: DetectorSettings
    data: Any
    repeat: int = Field(1, ge=1, description="how often an epoch shows each scene")
    predict: ReadSettings = ReadSettings()
    class_names: tuple[str, ...] | None = Field(None, min_length=1, description="null: as the data set names them")
