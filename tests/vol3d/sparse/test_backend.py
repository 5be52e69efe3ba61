"""The choice of a backend: automatic, forced, listed."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from tests.vol3d.sparse.conftest import ON_CPU
from tests.vol3d.sparse.scenes import random_tensor
from vol3d.errors import UsageError
from vol3d.sparse import SubMConv3d, backend, list_backends, set_backend, use_backend
from vol3d.sparse.backends import numba_backend, numba_trial, torch_backend

CPU = torch.device("cpu")


def chosen(dtype: torch.dtype = torch.float32) -> str:
    return backend.for_features(CPU, dtype).NAME


def test_automatic_choice_on_the_cpu() -> None:
    assert [chosen(t) for t in (torch.float32, torch.bfloat16, torch.float16)] == ["numba"] * 3
    assert chosen(torch.float64) == "torch"


def test_all_are_listed_with_a_reason() -> None:
    states = {state.name: state for state in list_backends()}
    assert list(states) == ["triton", "spconv", "numba", "torch"]
    assert states["numba"] == ("numba", True, "used for CPU") and states["torch"].available
    if not torch.cuda.is_available():
        assert not states["triton"].available and not states["spconv"].available
    assert all(state.reason for state in states.values())


def test_every_backend_for_the_cpu_goes_through_the_common_tests() -> None:
    modules = [backend._load(state.name)[0] for state in list_backends() if state.available]
    assert {module.NAME for module in modules if module.unfit(CPU, torch.float32) is None} == set(ON_CPU)


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
    known = re.escape(" | ".join(backend.NAMES))
    with pytest.raises(UsageError, match=f"no such backend; got 'cudnn', wanted {known}"):
        force("cudnn")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is at hand")
def test_backend_that_is_not_available() -> None:
    with pytest.raises(UsageError, match="use_backend: backend triton is not available: "), use_backend("triton"):
        pass


def test_unknown_backend_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(backend.VARIABLE, "fast")
    with pytest.raises(UsageError, match="VOL3D_SPARSE_BACKEND: no such backend; got 'fast'"):
        chosen()


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Backends are imported and tried anew in the test, and once more after it."""
    backend._load.cache_clear()
    numba_backend.unavailable.cache_clear()
    yield
    backend._load.cache_clear()
    numba_backend.unavailable.cache_clear()


@pytest.mark.parametrize("fault", [AttributeError("module 'numba.core' has no attribute 'cgutils'"), ImportError("no")])
def test_torch_computes_where_a_backend_cannot_be_imported(
    forgetful: None, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def broken(name: str) -> ModuleType:
        if name.endswith("numba_backend"):
            raise fault
        return importlib.import_module(name)

    monkeypatch.setattr(backend, "importlib", SimpleNamespace(import_module=broken))
    assert chosen() == "torch" and backend.for_maps(CPU) is torch_backend
    state = next(state for state in list_backends() if state.name == "numba")
    assert not state.available and state.reason.endswith(str(fault))
    with pytest.raises(UsageError, match="set_backend: backend numba is not available: "):
        set_backend("numba")


def test_torch_computes_where_numba_does_not_compile_the_kernels(
    forgetful: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise TypeError("inttoptr: opaque pointers")

    monkeypatch.setattr(numba_trial, "_call_each", broken)
    assert chosen() == "torch" and backend.for_maps(CPU) is torch_backend
    layer = SubMConv3d(4, 4)
    assert layer(random_tensor(50, 4)).features.shape == (50, 4)
    assert (
        "numba",
        False,
        "numba does not compile its kernels: TypeError: inttoptr: opaque pointers",
    ) in list_backends()
    monkeypatch.setattr(numba_trial, "_call_each", lambda *_: 2)
    numba_backend.unavailable.cache_clear()
    assert "wrong numbers on this CPU" in str(numba_backend.unavailable())


def test_numba_is_bounded_by_the_minor_release_that_is_tested() -> None:
    root = Path(__file__).parents[3]
    tested = re.search(r"^numba==0\.(\d+)\.", (root / "constraints.txt").read_text(), re.M)
    bound = re.search(r'"numba>=0\.60,<0\.(\d+)"', (root / "pyproject.toml").read_text())
    assert tested and bound and int(bound[1]) == int(tested[1]) + 1


def test_import_loads_no_compiler() -> None:
    code = "import vol3d.sparse, sys; sys.exit(any(m in sys.modules for m in ('numba', 'triton', 'spconv')))"
    assert subprocess.run([sys.executable, "-c", code], timeout=100).returncode == 0
