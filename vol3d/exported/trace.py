"""A part of a model as a program of torch.export, and that as ONNX or as a `.pt2` archive."""

from __future__ import annotations

import inspect
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from vol3d.errors import UsageError, first_line
from vol3d.exported.card import OPSET, require_packages
from vol3d.exported.part import Part, Run

if TYPE_CHECKING:
    from onnx import ModelProto

MOST_SAMPLES = 1024  # at once
PROTOBUF_BYTES = 2**31 - 1
"""A protobuf message, and so an ONNX file with its weights in it, is no larger."""


def traced(part: Part, name: str) -> tuple[ExportedProgram, bool]:
    """The program, and whether it takes any number of samples; where the network fixes that, it takes one at a time.

    Raises:
        UsageError: torch.export cannot follow the network; names it and the reason.
    """
    batch = Dim("batch", min=1, max=MOST_SAMPLES)
    free: Any = tuple({0: batch} for _ in part.example)
    kinds = {one.kind for one in inspect.signature(part.module.forward).parameters.values()}
    if inspect.Parameter.VAR_POSITIONAL in kinds:  # `*inputs` are one argument to torch.export
        free = (free,)
    try:
        return _program(part, part.example, free), True
    except Exception:  # as many kinds as there are reasons; without the free size, most are gone
        single = tuple(one[:1] for one in part.example)
    try:
        return _program(part, single, None), False
    except Exception as error:
        reason = first_line(error)
        raise UsageError(f"torch.export cannot follow this network ({reason})", where=name) from error


def _program(part: Part, example: tuple[Tensor, ...], shapes: Any) -> ExportedProgram:
    with quiet(), torch.no_grad():
        return torch.export.export(part.module.eval(), example, dynamic_shapes=shapes)


def onnx_graph(program: ExportedProgram, part: Part, name: str) -> ModelProto:
    """The program as ONNX of opset `OPSET`, weights included.

    Raises:
        UsageError: an operation that ONNX does not have, or too large for one file.
        Vol3dError: the packages of the extra `onnx` are not installed.
    """
    require_packages("onnx", "onnxscript", "onnxruntime")
    size = sum(value.nbytes for value in program.state_dict.values())
    if size > PROTOBUF_BYTES:
        raise UsageError("too large for one ONNX file", where=name, got=f"{size} bytes", wanted=PROTOBUF_BYTES)
    try:
        with quiet(), torch.no_grad():
            written = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                opset_version=OPSET,
            )
    except Exception as error:
        reason = first_line(error)
        raise UsageError(f"ONNX cannot express this network ({reason})", where=name) from error
    assert written is not None
    proto: ModelProto = written.model_proto
    _without_traces(proto)
    return proto


def _without_traces(proto: ModelProto) -> None:
    """Removes the lines of source code that torch notes at each node, with this machine's paths."""
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        del value.metadata_props[:]
    del proto.graph.metadata_props[:]


def archive(program: ExportedProgram, texts: dict[str, str]) -> bytes:
    """The program as the bytes of a `.pt2` file with texts in it."""
    content = io.BytesIO()
    with quiet():
        torch.export.save(program, content, extra_files=texts)
    return content.getvalue()


def reloaded(content: bytes, dynamic: bool) -> Run:
    """What a `.pt2` file that was just written computes; files of others are not read, since they may hold pickles."""
    with quiet():
        module = torch.export.load(io.BytesIO(content)).module()

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        pieces = [inputs] if dynamic else list(zip(*(one.split(1) for one in inputs), strict=True))
        with torch.no_grad():
            found = [as_tuple(module(*piece)) for piece in pieces]
        return tuple(torch.cat(parts) for parts in zip(*found, strict=True))

    return run


def as_tuple(found: Any) -> tuple[Tensor, ...]:
    """One output or several, as several."""
    return (found,) if isinstance(found, Tensor) else tuple(found)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters note about themselves and about packages that nobody asked for."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
