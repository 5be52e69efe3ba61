"""An ONNX file as a model like any other: `vol3d.load("model.onnx")`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors
import torch
from pydantic import ValidationError
from safetensors.torch import load as tensors_of

from vol3d import catalog
from vol3d.config import changed
from vol3d.config.chosen import LATER
from vol3d.engine.seen import Seen
from vol3d.errors import CheckpointError
from vol3d.exported.card import read
from vol3d.exported.graph import Graph, has_cuda
from vol3d.exported.part import exporter_of
from vol3d.model import Model
from vol3d.terminal import say


def load(path: Path, device: torch.device, changes: Sequence[str]) -> Model:
    """The model in a file that `vol3d export` wrote; see `vol3d.foreign.Load`.

    Where onnxruntime has no CUDA, all is computed on the CPU, which is printed.
    """
    file = read(path)
    task = _task(path, file.info, changes)
    if device.type == "cuda" and not has_cuda():
        say(f"{path.name}: this onnxruntime has no CUDA; computed on the CPU (onnxruntime-gpu has it)")
        device = torch.device("cpu")
    graph = Graph(file.graph, device, file.info["exported"]["dynamic"], path)
    try:
        kept = tensors_of(file.kept)
    except safetensors.SafetensorError as error:
        raise CheckpointError("damaged: the weights outside the graph cannot be read", where=path) from error
    model = exporter_of(task).holding(task, graph, kept).to(device).eval()
    return Model(str(path), task, (model,), device, (file.info,))


def _task(path: Path, info: dict[str, Any], changes: Sequence[str]) -> Any:
    if info["task"] not in catalog.EXPORTERS:
        wanted = ", ".join(catalog.EXPORTERS)
        raise CheckpointError("unknown task", where=path, got=info["task"], wanted=wanted, do="Update vol3d.")
    task_type = catalog.load(catalog.TASKS[info["task"]])
    try:
        text = json.dumps(info["settings"])
        settings = task_type.settings_type.model_validate_json(text, strict=True, context={LATER: True})
        seen = None if info.get("seen") is None else Seen.model_validate(info["seen"])
    except ValidationError as error:
        raise CheckpointError(f"its settings do not fit this release: {error}", where=path) from error
    settings = changed(settings, changes, str(path)) if changes else settings
    return task_type(settings.model_copy(update={"seen": seen}))
