"""ONNX graphs with smaller numbers: 16-bit floats, or 8-bit integers in matrix products."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vol3d.errors import UsageError
from vol3d.exported.trace import quiet

if TYPE_CHECKING:
    from onnx import ModelProto

Precision = Literal["float32", "half", "int8"]
_QUANTISED = ("MatMul", "Gemm")


def lowered(proto: ModelProto, precision: Precision, name: str) -> ModelProto:
    """The graph in another precision; inputs and outputs stay float32.

    `half`: weights and activations as 16-bit floats. `int8`: onnxruntime's dynamic quantisation of matrix products,
    weights once and activations as they come; convolutions stay float32.

    Raises:
        UsageError: `int8` for a network without matrix products.
    """
    if precision == "half":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        return convert_float_to_float16(proto, keep_io_types=True, disable_shape_infer=False)
    return _quantised(proto, name) if precision == "int8" else proto


def _quantised(proto: ModelProto, name: str) -> ModelProto:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    if not any(node.op_type in _QUANTISED for node in proto.graph.node):
        what = "nothing to quantise: the network has no matrix products, and convolutions stay as they are"
        raise UsageError(what, where=name, got="--int8", do="Take --half.")
    with tempfile.TemporaryDirectory() as folder, quiet():
        target = Path(folder) / "int8.onnx"
        quantize_dynamic(proto, target, op_types_to_quantize=list(_QUANTISED), weight_type=QuantType.QInt8)
        return onnx.load_model(target)
