"""Which code computes: numba (CPU), Triton (CUDA), spconv (CUDA, if installed), torch (anything).

All give the same results up to rounding. The choice follows the device and the type of the features; it can be forced
for a block (`with use_backend("torch"):`), for the process (`set_backend("torch")`), or by `VOL3D_SPARSE_BACKEND`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor

from vol3d.errors import UsageError
from vol3d.sparse.kernel_map import KernelMap, MapBuilder

NAMES = ("triton", "spconv", "numba", "torch")  # in order of preference
VARIABLE = "VOL3D_SPARSE_BACKEND"


class Convolver(Protocol):
    """What a backend module offers for features; `torch_backend` documents each function.

    A new backend is a module `backends/<name>_backend.py` and its name in `NAMES`.
    """

    NAME: str
    USES: str  # what it is chosen for, as `list_backends` states it

    def unavailable(self) -> str | None: ...

    def unfit(self, device: torch.device, dtype: torch.dtype) -> str | None: ...

    def convolve(self, features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor: ...

    def weight_gradient(self, features: Tensor, grad: Tensor, kernel_map: KernelMap) -> Tensor: ...


class BackendState(NamedTuple):
    """One line of `vol3d doctor`."""

    name: str
    available: bool
    reason: str


_chosen: ContextVar[str | None] = ContextVar("vol3d_sparse_backend", default=None)
_process_choice: str | None = None


def list_backends() -> list[BackendState]:
    """Every backend, whether it can be used on this machine, and why or why not."""
    states = []
    for name in NAMES:
        module, missing = _load(name)
        reason = missing or module.unavailable()
        states.append(BackendState(name, reason is None, reason or f"used for {module.USES}"))
    return states


def set_backend(name: str | None) -> None:
    """Forces a backend for the whole process; None chooses by device and type again.

    Raises:
        UsageError: unknown, or not available on this machine.
    """
    global _process_choice
    _process_choice = None if name is None else _usable(name, "set_backend")


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Forces a backend inside a `with` block, backward passes of what was computed there included.

    Raises:
        UsageError: unknown, or not available on this machine.
    """
    token = _chosen.set(_usable(name, "use_backend"))
    try:
        yield
    finally:
        _chosen.reset(token)


def for_features(device: torch.device, dtype: torch.dtype) -> Convolver:
    """The backend for features of this device and type.

    Raises:
        UsageError: a forced backend does not do them.
    """
    if (name := _forced()) is not None:
        module = _load(name)[0]
        if reason := module.unfit(device, dtype):
            raise UsageError(
                f"backend {name} cannot compute this: {reason}", where="features", got=f"{dtype}, {device}"
            )
        return module
    for name in NAMES:
        module, missing = _load(name)
        if missing is None and module.unavailable() is None and module.unfit(device, dtype) is None:
            return module
    raise UsageError("no backend computes this", where="features", got=f"{dtype}, {device}", wanted="a floating type")


def for_maps(device: torch.device) -> MapBuilder:
    """The builder of kernel maps on this device: a forced backend if it builds any there, else the fastest."""
    for name in (_forced(), *NAMES):
        if name is None:
            continue
        module, missing = _load(name)
        ready = missing is None and hasattr(module, "neighbours") and module.unavailable() is None
        if ready and module.unfit(device, torch.float32) is None:
            return cast(MapBuilder, module)
    raise UsageError("no backend builds kernel maps here", where="coordinates", got=device)


def _forced() -> str | None:
    if (name := _chosen.get() or _process_choice) is not None:
        return name
    text = os.environ.get(VARIABLE)
    return _usable(text, VARIABLE) if text else None


def _usable(name: str, where: str) -> str:
    if name not in NAMES:
        raise UsageError("no such backend", where=where, got=repr(name), wanted=" | ".join(NAMES))
    module, missing = _load(name)
    if reason := missing or module.unavailable():
        raise UsageError(f"backend {name} is not available: {reason}", where=where)
    return name


@cache
def _load(name: str) -> tuple[Convolver, str | None]:
    """The module of a backend and None, or the torch module and why the one asked for cannot be imported.

    An import may raise anything: compilers' internals change from release to release, and torch always computes.
    """
    try:
        return cast(Convolver, importlib.import_module(f"vol3d.sparse.backends.{name}_backend")), None
    except ImportError as error:
        reason = f"{error}"
    except Exception as error:
        reason = f"its import fails: {type(error).__name__}: {error}"
    return cast(Convolver, importlib.import_module("vol3d.sparse.backends.torch_backend")), reason
