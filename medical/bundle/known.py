"""The names and functions that expressions of bundles may use; nothing of them reads, writes or runs anything."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

import torch

from medical.bundle.values import Name, TorchScript

_DTYPES = (
    *("float", "float16", "float32", "float64", "half", "double", "bfloat16", "bool"),
    *("int", "long", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"),
)
NAMES: Mapping[str, Any] = {
    **{f"{module}.{one}": Name(f"{module}.{one}") for module in ("torch", "numpy") for one in _DTYPES},
    **{f"monai.utils.CommonKeys.{key.upper()}": key for key in ("image", "label", "pred", "loss", "metadata")},
    **{f"monai.utils.enums.CommonKeys.{key.upper()}": key for key in ("image", "label", "pred", "loss", "metadata")},
    "numpy.pi": 3.141592653589793,
    "math.pi": 3.141592653589793,
    "torch.backends.cudnn": Name("torch.backends.cudnn"),
    "monai": Name("monai"),
}
"""Names and what they stand for."""

MODULES = frozenset(
    (
        *("glob", "os", "sys", "json", "pathlib", "math", "warnings", "datetime", "typing", "logging", "copy", "re"),
        *("collections", "functools", "itertools", "random", "time", "shutil"),
        *("numpy", "torch", "monai", "ignite", "pandas", "scipy", "nibabel", "itk", "SimpleITK", "skimage", "sklearn"),
        *("torchvision", "einops", "matplotlib", "PIL", "tqdm", "torch_tensorrt", "tensorrt"),
    )
)
"""Public libraries that a bundle may name in its imports; none is imported for it."""

SAME = frozenset({"to", "eval", "cuda", "cpu", "float"})
"""Methods of a network that leave its results as they are: vol3d chooses device and mode itself."""

OF_TENSORS = frozenset({"float", "int", "long", "bool", "abs", "clone", "contiguous"})
"""Methods of tensors in lambdas, without arguments."""


def _range(*bounds: int) -> range:
    return range(*bounds)


def _nothing(*arguments: Any, **words: Any) -> None:
    """Random seeds and settings of a GPU library: the network in evaluation mode does not depend on them."""


def _set_attribute(target: Any, name: str, value: Any) -> None:
    if target != NAMES["torch.backends.cudnn"]:
        raise ValueError("setattr is known for torch.backends.cudnn only")


def _join(*parts: Any) -> str:
    return posixpath.join(*(str(part) for part in parts))


CALLS: Mapping[str, Callable[..., Any]] = {
    **{one.__name__: one for one in (len, int, float, str, bool, list, tuple, set, dict, min, max, sum, abs, round)},
    "sorted": sorted,
    "range": _range,
    "os.path.join": _join,
    "pathlib.Path": PurePosixPath,
    "torch.device": lambda *_, **__: Name("device"),
    "torch.cuda.is_available": lambda: False,  # the device is chosen by vol3d
    "torch.jit.load": lambda path, *_, **__: TorchScript(str(path)),
    "torch.where": torch.where,
    "torch.clamp": torch.clamp,
    "torch.nan_to_num": torch.nan_to_num,
    "torch.logical_and": torch.logical_and,
    "torch.logical_or": torch.logical_or,
    "torch.logical_not": torch.logical_not,
    "torch.sigmoid": torch.sigmoid,
    "monai.utils.set_determinism": _nothing,
    "monai.utils.misc.set_determinism": _nothing,
    "setattr": _set_attribute,
}
"""Functions by their full names."""
