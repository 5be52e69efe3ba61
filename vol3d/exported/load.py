"""An ONNX file as a model like any other: `vol3d.load("model.onnx")`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load as tensors_of

from vol3d import catalog
from vol3d.checkpoint import SEEN, task_of
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
    if file.info["task"] not in catalog.EXPORTERS:
        wanted = ", ".join(catalog.EXPORTERS)
        raise CheckpointError("unknown task", where=path, got=file.info["task"], wanted=wanted, do="Update vol3d.")
    task = task_of(path, file.info, file.info.get(SEEN), changes)
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
