"""A checkpoint -> one file for other programs, with the measured difference to the original in it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_of
from torch import nn

import vol3d
from vol3d import files
from vol3d.engine.derived import DERIVED_FROM
from vol3d.engine.trained_on import TRAINED_ON
from vol3d.errors import UsageError
from vol3d.exported import measure
from vol3d.exported.card import FORMAT, INFO, KEPT, OPSET, seal
from vol3d.exported.graph import Graph
from vol3d.exported.lower import Precision, lowered
from vol3d.exported.part import Exporter, Part, Run, exporter_of
from vol3d.exported.trace import archive, onnx_graph, reloaded, traced
from vol3d.model import Model

Stage = Callable[[str], None]
SUFFIXES = (".onnx", ".pt2")
_KEPT = ("score", "score_name", "step", TRAINED_ON, DERIVED_FROM, "attribution")
"""What a checkpoint says about itself that holds for the file, too."""


@dataclass(frozen=True, eq=False)
class Written:
    """A network as a file that is not on the disk yet.

    Args:
        run: computes what the file does, from its bytes.
        facts: how it was exported.
        content: the bytes of the file, given what it says about itself.
    """

    run: Run
    facts: dict[str, Any]
    content: Callable[[dict[str, Any]], bytes]


def export(
    model: Model,
    out: Path,
    scans: Sequence[str | Path],
    data: Path | None,
    precision: Precision,
    stage: Stage = lambda text: None,
) -> dict[str, Any]:
    """Writes the model to `out` and returns what the file says about its export, see `vol3d.api.export`."""
    _check(model, out, precision)
    exporter = exporter_of(model.task)
    task, network = exporter.exported_task(model.task), model.models[0].cpu().eval()
    part = exporter.part_of(task, network)

    stage("tracing the network")
    make = _as_onnx if out.suffix == ".onnx" else _as_archive
    written = make(part, model.name, precision)
    stage("comparing with the original")
    differences = [measure.on_random(part, written.run)]
    for scan in scans:
        stage(f"comparing on {scan}")
        differences.append(measure.on_scan(exporter, task, network, part, written.run, scan))
    exported = {**written.facts, "source": _source(model), "differences": differences}
    if data is not None:
        stage(f"scoring both on {data}")
        pair = (_model(model, task, network), _model(model, task, _holding(exporter, task, part, written.run)))
        exported["scores"] = measure.on_data(*pair, data)

    files.make_folder(out.parent)
    files.write_bytes(out, written.content(_info(model, task, exported)))
    return exported


def _check(model: Model, out: Path, precision: Precision) -> None:
    """Raises UsageError for what cannot be exported, before any work."""
    if out.suffix not in SUFFIXES:
        raise UsageError("the name decides the format", where=out, got=out.suffix, wanted=" or ".join(SUFFIXES))
    if out.suffix != ".onnx" and precision != "float32":
        raise UsageError("only ONNX is written in another precision", where=out, got=precision, wanted="float32")
    if len(model.models) > 1:
        do = "Export one of them, RUN/fold0 for example."
        raise UsageError("an ensemble, and a file holds one network", where=model.name, got=len(model.models), do=do)
    if "exported" in model.info[0]:
        raise UsageError("exported already", where=model.name, wanted="a checkpoint")


def _as_onnx(part: Part, name: str, precision: Precision) -> Written:
    program, dynamic = traced(part, name)
    proto = lowered(onnx_graph(program, part, name), precision, name)
    run = Graph(proto.SerializeToString(), torch.device("cpu"), dynamic, name)
    facts = _facts("onnx", part, dynamic, precision) | {"opset": OPSET, "runtime": run.runtime}
    return Written(run, facts, lambda info: seal(proto, info, safetensors_of(dict(part.kept))))


def _as_archive(part: Part, name: str, precision: Precision) -> Written:
    program, dynamic = traced(part, name)
    facts = _facts("torch.export", part, dynamic, precision) | {"runtime": f"torch {torch.__version__}"}

    def content(info: dict[str, Any]) -> bytes:
        texts = {f"{INFO}.json": json.dumps(info, allow_nan=False)}
        if part.kept:
            texts[f"{KEPT}.base64"] = base64.b64encode(safetensors_of(dict(part.kept))).decode()
        return archive(program, texts)

    return Written(reloaded(content({}), dynamic), facts, content)


def _facts(form: str, part: Part, dynamic: bool, precision: Precision) -> dict[str, Any]:
    sizes = [["batch" if dynamic else 1, *one.shape[1:]] for one in part.example]
    inputs = dict(zip(part.inputs, sizes, strict=True))
    return {"form": form, "precision": precision, "dynamic": dynamic, "inputs": inputs, "outputs": list(part.outputs)}


def _source(model: Model) -> dict[str, str]:
    return {"name": Path(model.name).name, "sha256": str(model.info[0]["sha256"])}


def _holding(exporter: Exporter, task: Any, part: Part, run: Run) -> nn.Module:
    return exporter.holding(task, run, part.kept).eval()


def _model(model: Model, task: Any, network: nn.Module) -> Model:
    """The same model with another network, on the CPU."""
    return replace(model, task=task, models=(network,), device=torch.device("cpu"))


def _info(model: Model, task: Any, exported: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says about itself: as a checkpoint does, and how it was exported."""
    first, seen = model.info[0], task.settings.seen
    return {
        "format": FORMAT,
        "task": task.name,
        "settings": task.resolved().model_dump(mode="json"),
        "class_names": list(task.class_names),
        "versions": {"vol3d": vol3d.__version__, "torch": str(torch.__version__)},
        "seen": None if seen is None else seen.model_dump(mode="json"),
        **model.licence_facts,
        **{key: first[key] for key in _KEPT if key in first},
        "exported": dict(exported),
    }
