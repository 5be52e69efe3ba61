"""Settings of training with scans that have no labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from vol3d.engine.settings import Settings


class UnlabelledSettings(Settings):
    """Scans without labels, and what is learned from them; `unlabelled: ROOT` is short for `unlabelled: {root: ROOT}`.

    `mean_teacher` (Tarvainen & Valpola, NeurIPS 2017): the average of the student's weights so far is the teacher; the
    student, whose window is distorted, learns the teacher's probabilities for the undistorted one. `pseudo_labels`
    (Lee, 2013): a trained run labels the scans once, before the training, which then takes those labels.
    """

    root: Path = Field(description="a folder of scans, or a data set of the training's layout; its labels are not read")
    method: Literal["mean_teacher", "pseudo_labels"] = "mean_teacher"
    weight: float = Field(1.0, gt=0, description="of the loss of unlabelled windows, once it has risen")
    ramp: int = Field(1000, ge=0, description="batches over which the weight rises, as exp(-5 (1 - t)^2)")
    windows: int = Field(1, ge=1, description="unlabelled windows beside each labelled one")
    threshold: float = Field(
        0.8, ge=0, lt=1, description="voxels whose most probable class is less probable to the teacher do not count"
    )
    temperature: float = Field(1.0, gt=0, description="divides the teacher's logits; below 1 sharpens them")
    decay: float = Field(0.99, gt=0, lt=1, description="mean_teacher: of the average of the student's weights")
    teacher: str | None = Field(None, description="pseudo_labels: the run, folds or shipped model that labels")
    sha256: str | None = Field(None, description="the fingerprint of the teacher's weights; null: whichever they have")
    agreement: bool = Field(
        True, description="pseudo_labels: only voxels with the same label in a second view, of other contrast and noise"
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"root": value} if isinstance(value, (str, Path)) else value

    @model_validator(mode="after")
    def _one_teacher(self) -> UnlabelledSettings:
        if (self.teacher is None) == (self.method == "pseudo_labels"):
            needs = "needs a trained run" if self.teacher is None else "has a teacher of its own"
            raise ValueError(f"{self.method} {needs}: unlabelled.teacher={self.teacher or 'null'}")
        return self
