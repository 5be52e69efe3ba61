"""An ONNX graph as a function of tensors, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vol3d.errors import CheckpointError, first_line
from vol3d.exported.card import require_packages

_ERRORS_ONLY = 3  # of onnxruntime's levels; its warnings are about how it rewrites graphs


class Graph:
    """`graph(*inputs)` -> its outputs, on the device of the first input.

    Args:
        content: the ONNX file.
        device: CUDA where onnxruntime has it.
        dynamic: whether the graph takes any number of samples at once; else they go through it one by one.
        where: named in messages.

    Raises:
        CheckpointError: onnxruntime cannot run it.
        Vol3dError: onnxruntime is not installed.
    """

    def __init__(self, content: bytes, device: torch.device, dynamic: bool, where: str | Path) -> None:
        require_packages("onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=providers(device))
        except Exception as error:  # its errors have no common base
            reason = first_line(error)
            do = 'Update onnxruntime, `pip install -U "vol3d[onnx]"`, or export the checkpoint again.'
            raise CheckpointError(f"onnxruntime cannot run it ({reason})", where=where, do=do) from error
        self.inputs = tuple(one.name for one in self.session.get_inputs())
        self.dynamic, self.runtime = dynamic, f"onnxruntime {onnxruntime.__version__}"

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        device, count = inputs[0].device, len(inputs[0])
        arrays = [one.detach().float().cpu().contiguous().numpy() for one in inputs]
        step = count if self.dynamic else 1
        pieces = [self._run([array[row : row + step] for array in arrays]) for row in range(0, count, step)]
        found = [np.concatenate(parts) for parts in zip(*pieces, strict=True)] if len(pieces) > 1 else pieces[0]
        return tuple(torch.from_numpy(one).to(device) for one in found)

    def _run(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        found: list[np.ndarray] = self.session.run(None, dict(zip(self.inputs, arrays, strict=True)))
        return found


def providers(device: torch.device) -> list[str]:
    """What onnxruntime computes with on a device."""
    return ["CUDAExecutionProvider"] if device.type == "cuda" else ["CPUExecutionProvider"]


def has_cuda() -> bool:
    """Whether the installed onnxruntime computes on CUDA."""
    require_packages("onnxruntime")
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()
