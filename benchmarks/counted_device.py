"""A device that counts: what a CUDA device would be asked to do, on a machine without one.

Tensors on `COUNTED` hold a CPU tensor and say that they are elsewhere, so code takes the path of a GPU: compiled CPU
loops are closed to it, `.cpu()` is a copy, `.item()` a wait. Every operation is computed on the CPU and counted.

    kernels   operations that start work on the device: all but views and memory that is only set aside. One operation
              may start several kernels; the count is a lower bound. Triton's kernels cannot run, torch's do.
    waits     moments at which the host stands still until the device has done all it was asked: values read back,
              results of a size that only the device knows, copies that the host waits for.

Importing this module registers the device for the whole process; tests do so in a process of their own.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
    _get_current_dispatch_mode_stack,
)
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend


class _Module:
    """What torch asks of a kind of device."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        """Random numbers come from the CPU."""

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]


_setup_privateuseone_for_python_backend("counted", backend_module=_Module())
sys.modules["triton"] = None  # type: ignore[assignment]  # as if it were not installed
COUNTED = torch.device("counted", 0)

ROOT = Path(__file__).resolve().parents[1]
VIEWS = {
    *("view", "_unsafe_view", "reshape", "expand", "permute", "transpose", "t", "unsqueeze", "squeeze", "select"),
    *("slice", "split", "split_with_sizes", "chunk", "unbind", "detach", "alias", "as_strided", "unfold", "flatten"),
    *("unflatten", "lift_fresh", "_reshape_alias", "is_same_size", "diagonal", "narrow", "view_as_real", "real"),
    *("empty", "new_empty", "empty_strided", "new_empty_strided", "empty_like", "is_pinned"),
}
"""Operations that start nothing on the device."""

SIZED_BY_THE_DEVICE = {"nonzero", "masked_select", "bincount", "equal", "_unique2", "_unique", "unique_dim"}
SIZED_BY_THE_DEVICE |= {"unique_consecutive", "unique_dim_consecutive"}
COPIES = {"_to_copy", "copy"}
BY_MASK = {"index", "index_put", "_index_put_impl", "_unsafe_index_put"}
MAKERS = {torch.tensor, torch.as_tensor, Tensor.new_tensor}


class Elsewhere(Tensor):
    """A CPU tensor that says it lies on `COUNTED`."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Elsewhere:
        """Wraps a CPU tensor."""
        made: Elsewhere = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=COUNTED,
        )
        made.inner = inner
        return made

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"Elsewhere({self.inner})"

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        """True: it stands for a tensor on a GPU."""
        return True

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{function} on the counted device outside of `with Counts()`")


class Counts(TorchDispatchMode):
    """Counts what runs on `COUNTED` inside a `with` block.

    kernels: operation -> how often it started work on the device.
    waits: `operation at file:line` of this project -> how often the host waited for the device there.

    >>> with Counts() as counts:
    ...     there = torch.arange(4, device=COUNTED)
    ...     total = int((there + there).sum())
    >>> total, dict(counts.kernels), sum(counts.waits.values())
    (12, {'arange': 1, 'add': 1, 'sum': 1}, 1)
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self._makers = _Makers()

    def __enter__(self) -> Counts:
        """Counting begins."""
        super().__enter__()
        self._makers.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Counting ends; the figures stay."""
        self._makers.__exit__(*error)
        super().__exit__(*error)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Computes on the CPU, counts, and wraps what lies on the device."""
        kwargs = dict(kwargs or {})
        name = function._schema.name.split("::")[1].rstrip("_")
        leaves = tree_leaves((args, kwargs))
        source = any(isinstance(leaf, Elsewhere) for leaf in leaves)
        target = source
        if kwargs.get("device") is not None:
            target = kwargs["device"].type == COUNTED.type
            kwargs["device"] = torch.device("cpu")
        if source or target:
            self._count(name, args, kwargs, source, target)
        args, kwargs = tree_map_only(Elsewhere, lambda tensor: tensor.inner, (args, kwargs))
        if name == "_to_copy" and source != target:
            kwargs.pop("non_blocking", None)
        out = function(*args, **kwargs)
        if out is not None and name != "_to_copy" and any(out is leaf.inner for leaf in leaves if _is_there(leaf)):
            return next(leaf for leaf in leaves if _is_there(leaf) and leaf.inner is out)  # written in place
        return tree_map_only(Tensor, Elsewhere, out) if target else out

    def _count(self, name: str, args: Any, kwargs: Any, source: bool, target: bool) -> None:
        if name == "_local_scalar_dense":
            self._wait("read")
            return
        if name in VIEWS:
            return
        if name in COPIES and (crosses := _crosses(name, args, source, target)):
            blocking = not (kwargs.get("non_blocking") or (name == "copy" and len(args) > 2 and args[2]))
            if blocking or crosses == "back":
                self._wait(f"copy {crosses}")
            return
        self.kernels[name] += 1
        if name in SIZED_BY_THE_DEVICE or _is_repeat_without_size(name, args, kwargs):
            self._wait(name)
        if name in BY_MASK:
            masks = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
            fills = name != "index" and args[2].numel() == 1  # torch fills such places without a list of them
            for _ in [] if fills else masks:
                self._wait(f"{name} by mask")

    def _wait(self, what: str) -> None:
        self.waits[f"{what} at {_place()}"] += 1


class _Makers(TorchFunctionMode):
    """`torch.tensor(..., device=COUNTED)` and `new_tensor`, which torch does not send through the dispatcher."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function is Tensor.tolist and isinstance(args[0], Elsewhere):
            return args[0].cpu().tolist()
        if function in MAKERS:
            like = args[0] if function is Tensor.new_tensor else None
            device = torch.device(kwargs.get("device") or (like.device if like is not None else "cpu"))
            if device.type == COUNTED.type and not isinstance(args[-1], Elsewhere):
                kwargs["device"] = "cpu"
                if like is not None:
                    kwargs.setdefault("dtype", like.dtype)
                made = torch.tensor(args[1] if like is not None else args[0], **kwargs)
                return made.to(device)
        return function(*args, **kwargs)


def as_one(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
    """`run` as one kernel, whatever it starts here: of what is one on a GPU. No gradient goes through it."""

    def once(*args: Any, **kwargs: Any) -> Any:
        modes = [mode for mode in _get_current_dispatch_mode_stack() if isinstance(mode, Counts)]
        if not modes or not any(map(_is_there, tree_leaves((args, kwargs)))):
            return run(*args, **kwargs)
        modes[-1].kernels[name] += 1
        args, kwargs = tree_map_only(Elsewhere, lambda tensor: tensor.inner, (args, kwargs))
        with _disable_current_modes(), torch.no_grad():
            return tree_map_only(Tensor, Elsewhere, run(*args, **kwargs))

    return once


def _is_there(value: object) -> bool:
    return isinstance(value, Elsewhere)


def _crosses(name: str, args: Any, source: bool, target: bool) -> str | None:
    """The way a copy goes: `back` to the host, `there`, or None if it stays on one side."""
    here, there = (_is_there(args[1]), _is_there(args[0])) if name == "copy" else (source, target)
    return None if here == there else "back" if here else "there"


def _is_repeat_without_size(name: str, args: Any, kwargs: Any) -> bool:
    return name == "repeat_interleave" and _is_there(args[0]) and kwargs.get("output_size") is None and len(args) < 3


def _place() -> str:
    """The line of this project that is being run, outside of this file."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and path != Path(__file__) and ".venv" not in path.parts:
            return f"{path.relative_to(ROOT).as_posix()}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"
