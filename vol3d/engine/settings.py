"""Settings that every run has, whatever the problem: optimiser, schedule, loop, where to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from vol3d.engine.seen import Seen
from vol3d.paths import user_path


class Settings(BaseModel):
    """Base of every configuration: frozen, unknown keys refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _at_home(cls, value: Any) -> Any:
        """`~` in a path is the home folder."""
        return user_path(value) if isinstance(value, Path) else value


class OptimSettings(Settings):
    """AdamW with decoupled weight decay, or SGD with Nesterov momentum; norms, biases and positions do not decay."""

    name: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(1e-4, gt=0, description="peak learning rate")
    weight_decay: float = Field(1e-5, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = Field(0.99, ge=0, lt=1, description="SGD only")
    decay_all: bool = Field(False, description="weight decay on norms, biases and position embeddings too")
    schedule: Literal["warmup_cosine", "whole_cosine", "one_cycle", "poly", "constant"] = "warmup_cosine"
    warmup: float = Field(0.05, ge=0, lt=1, description="share of all steps with a rising rate")
    final: float = Field(0.0, ge=0, le=1, description="last rate as a share of the peak")
    clip: float | None = Field(1.0, gt=0, description="largest gradient norm; null: no clipping")


class TrainSettings(Settings):
    """The loop. One epoch shows every training sample once."""

    epochs: int = Field(100, ge=1)
    batch: int = Field(2, ge=1, description="samples per step and process")
    accumulate: int = Field(1, ge=1, description="batches summed into one optimiser step")
    amp: Literal["off", "bf16", "fp16"] = "off"
    ema: float | None = Field(None, gt=0, lt=1, description="decay of the averaged weights that are evaluated and kept")
    channels_last: bool = Field(False, description="channels-last memory format, faster for convolutions on CPU")
    seed: int = Field(0, ge=0)
    workers: int = Field(0, ge=0, description="data-loader processes")
    evaluate_every: int = Field(10, ge=1, description="epochs between evaluations; the last epoch is always evaluated")
    save_every_s: float = Field(300.0, gt=0, description="seconds between saves of the resume point")
    shard: bool = Field(False, description="shard weights and optimiser over the processes (fully_shard), not DDP")


class RunSettings(Settings):
    """Base of a task's configuration; a task adds `model`, `data` and whatever else it has."""

    optim: OptimSettings = OptimSettings()
    train: TrainSettings = TrainSettings()
    seen: Seen | None = Field(None, exclude=True, description="of the training scans; read from a checkpoint only")
