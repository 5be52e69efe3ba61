"""The LiDAR fixtures: their tensors, and the originals' weights under our names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor


class Fixture:
    """One fixture: `fixture["feat"]`, `fixture.facts["config"]`, `fixture.weights("pts_neck.")`."""

    def __init__(self, root: Path, name: str) -> None:
        path = root / "lidar" / f"{name}.safetensors"
        if not path.is_file():
            pytest.skip(f"no fixture {path}")
        self._tensors = load_file(path)
        self.facts: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())

    def __getitem__(self, name: str) -> Tensor:
        tensor = self._tensors[name]
        return tensor.float() if tensor.dtype == torch.float16 else tensor

    def weights(self, prefix: str = "") -> dict[str, Tensor]:
        """Float32 parameters whose name starts with the prefix, without it."""
        start = "sd." + prefix
        return {name[len(start) :]: self[name] for name in self._tensors if name.startswith(start)}


def close(got: Tensor, wanted: Tensor, atol: float, rtol: float = 1e-4) -> None:
    torch.testing.assert_close(got.detach(), wanted.to(got.dtype), atol=atol, rtol=rtol)


def one_kernel() -> Any:
    """Inside this `with`, convolutions do not choose their kernel by the processor: each rounds differently."""
    return torch.backends.mkldnn.flags(enabled=False)


def load(module: torch.nn.Module, weights: dict[str, Tensor]) -> None:
    """Strictly but for the counters of batch norms, which the fixtures drop."""
    missing, unexpected = module.load_state_dict(weights, strict=False)
    assert unexpected == []
    assert [name for name in missing if not name.endswith("num_batches_tracked")] == []
    module.eval()
