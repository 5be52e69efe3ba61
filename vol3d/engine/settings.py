"""Settings that every run has, whatever the problem: optimiser, schedule, loop, where to write."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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


Share = Annotated[float, Field(ge=0, lt=1)]


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
    parts: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description="learning rate of parts of the model as a share of `lr`: {encoder: 0.1}"
    )
    cycle_momentum: tuple[Share, Share] | None = Field(
        None,
        description="momentum (betas[0]) at the lowest and at the peak rate of one_cycle, [0.95, 0.85]; null: constant",
    )

    @model_validator(mode="after")
    def _cycles(self) -> OptimSettings:
        if self.cycle_momentum is not None and self.schedule != "one_cycle":
            raise ValueError(f"cycle_momentum needs the schedule one_cycle, got {self.schedule}")
        return self


class TrainSettings(Settings):
    """The loop. One epoch shows every training sample once."""

    epochs: int = Field(100, ge=1, description="passes over the training samples")
    hours: float | None = Field(
        None, gt=0, description="how long the run may take, in place of `epochs`; a step is timed on this machine"
    )
    batch: int = Field(2, ge=1, description="samples per step and process")
    accumulate: int = Field(1, ge=1, description="batches summed into one optimiser step")
    amp: Literal["off", "auto", "bf16", "fp16"] = Field(
        "off",
        description="precision; auto: bf16 where the device has it, else off",
    )
    ema: float | None = Field(None, gt=0, lt=1, description="decay of the averaged weights that are evaluated and kept")
    channels_last: bool | Literal["auto"] = Field(
        "auto",
        description="channels-last memory format of convolutions; auto: in 2D on a CPU, and on a GPU with amp",
    )
    seed: int = Field(0, ge=0)
    workers: int = Field(0, ge=0, description="data-loader processes")
    evaluate_every: int = Field(10, ge=1, description="epochs between evaluations; the last epoch is always evaluated")
    save_every_s: float = Field(300.0, gt=0, description="seconds between saves of the resume point")
    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        ("tensorboard",), description="where numbers go beside metrics.csv: tensorboard, wandb, mlflow"
    )
    background: Literal["dark", "light"] = Field("dark", description="of the report's pictures; light: for print")
    shard: bool = Field(False, description="shard weights and optimiser over the processes (fully_shard), not DDP")

    @field_validator("loggers", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """`wandb,mlflow` is short for `[wandb, mlflow]`, whose brackets some shells take for themselves."""
        words = [word.strip() for word in value.split(",")] if isinstance(value, str) else value
        return tuple(words) if isinstance(words, list) else words


class StartSettings(Settings):
    """Whose weights a model begins with; `start_from: NAME` is short for `start_from: {checkpoint: NAME}`."""

    checkpoint: str = Field(description="a run's folder, its best.safetensors, or the name of a shipped model")
    parts: tuple[str, ...] | dict[str, str] | None = Field(
        None,
        min_length=1,
        description="parts of the model that are taken over, or {theirs: ours} where names differ; null: all of a kind "
        "that both have",
    )
    sha256: str | None = Field(None, description="the fingerprint of those weights; null: whichever they have")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"checkpoint": value} if isinstance(value, str) else value

    @field_validator("parts", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value  # `_short` saw it, so it is no longer read as JSON

    @field_validator("parts")
    @classmethod
    def _each_once(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(set(value.values())) < len(value):
            raise ValueError("two parts cannot become the same part of the model")
        return value

    @property
    def pairs(self) -> tuple[tuple[str, str], ...] | None:
        """Name of each part in the other model, and in this one; None for all of a kind that both have."""
        if self.parts is None:
            return None
        return tuple(self.parts.items()) if isinstance(self.parts, dict) else tuple((name, name) for name in self.parts)


class PredictionSettings(Settings):
    """Base of what a task needs to predict."""

    seen: Seen | None = Field(None, exclude=True, description="of the training scans; read from a checkpoint only")


class RunSettings(PredictionSettings):
    """Base of a task's configuration; a task adds `model`, `data` and whatever else it has."""

    optim: OptimSettings = OptimSettings()
    train: TrainSettings = TrainSettings()
    start_from: StartSettings | None = Field(None, description="fine-tuning: whose weights the model begins with")
    freeze: tuple[str, ...] = Field((), description="parts of the model that stay as they are: [encoder, backbone]")
