"""The choice of a backend: automatic, forced, listed."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tests.vol3d.sparse.scenes import random_tensor
from vol3d.errors import UsageError
from vol3d.sparse import SubMConv3d, backend, backends, set_backend, use_backend

CPU = torch.device("cpu")


def chosen(dtype: torch.dtype = torch.float32) -> str:
    return backend.for_features(CPU, dtype).NAME


def test_automatic_choice_on_the_cpu() -> None:
    assert [chosen(t) for t in (torch.float32, torch.bfloat16, torch.float16)] == ["numba"] * 3
    assert chosen(torch.float64) == "torch"


def test_all_are_listed_with_a_reason() -> None:
    states = {state.name: state for state in backends()}
    assert list(states) == ["triton", "spconv", "numba", "torch"]
    assert states["numba"] == ("numba", True, "used for CPU") and states["torch"].available
    if not torch.cuda.is_available():
        assert not states["triton"].available and not states["spconv"].available
    assert all(state.reason for state in states.values())


def test_forced_for_a_block_and_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with use_backend("torch"):
        assert chosen() == "torch"
    assert chosen() == "numba"
    try:
        set_backend("torch")
        assert chosen() == "torch"
    finally:
        set_backend(None)
    monkeypatch.setenv(backend.VARIABLE, "torch")
    assert chosen() == "torch"


def test_the_backward_pass_uses_the_backend_of_the_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    from vol3d.sparse.backends import torch_backend

    x, layer = random_tensor(50, 4), SubMConv3d(4, 4)
    with use_backend("torch"):
        out = layer(x)
    calls = []
    original = torch_backend.weight_gradient
    monkeypatch.setattr(torch_backend, "weight_gradient", lambda *a: calls.append(1) or original(*a))
    out.features.sum().backward()
    assert calls == [1]


@pytest.mark.parametrize("force", [set_backend, lambda name: use_backend(name).__enter__()])
def test_unknown_backend(force) -> None:
    with pytest.raises(UsageError, match=r"no such backend; got 'cudnn', wanted triton \| spconv \| numba \| torch"):
        force("cudnn")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is at hand")
def test_backend_that_is_not_available() -> None:
    with pytest.raises(UsageError, match="use_backend: backend triton is not available: "), use_backend("triton"):
        pass


def test_unknown_backend_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(backend.VARIABLE, "fast")
    with pytest.raises(UsageError, match="VOL3D_SPARSE_BACKEND: no such backend; got 'fast'"):
        chosen()


def test_import_loads_no_compiler() -> None:
    code = "import vol3d.sparse, sys; sys.exit(any(m in sys.modules for m in ('numba', 'triton', 'spconv')))"
    assert subprocess.run([sys.executable, "-c", code], timeout=100).returncode == 0
