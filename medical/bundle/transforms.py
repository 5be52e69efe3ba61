"""What transforms of a configuration have in common: names, keys and arguments, and MONAI's objects for them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medical.bundle.values import CODE, Arguments, Component, Function, Name, is_plain
from vol3d.errors import CheckpointError, DataError

MONAI = "monai.transforms"
_PER_KEY = frozenset({"mode", "padding_mode", "method", "dtype"})
_FLOATS = frozenset({"float", "float32", "float64", "double"})


class Keyed(str):
    """Names of the arguments that a transform may have, apart by spaces."""


def array_name(part: Component, package: str) -> str:
    """`Spacing` for `Spacingd`, `SpacingD`, `monai.transforms.SpacingDict`.

    Raises:
        CheckpointError: a class of another package.
    """
    require_package(part, package)
    for suffix in ("Dict", "D", "d"):
        if part.name.endswith(suffix):
            return part.name.removesuffix(suffix)
    return part.name


def require_package(part: Component, package: str) -> None:
    """Raises CheckpointError for a class that is named with another module than those of `package`."""
    module = part.target.rpartition(".")[0]
    if module and module != package and not module.startswith(f"{package}."):
        raise part.refused("code that is not known", got=part.target, wanted=f"a class of {package}", do=CODE)


def flattened(value: Any) -> list[Component]:
    """The transforms of a `Compose`, of a list of them, or of Composes in Composes, in their order.

    Raises:
        CheckpointError: something else among them, or a Compose that does not run them one by one.
    """
    if isinstance(value, list | tuple):
        return [part for one in value for part in flattened(one)]
    if value is None:
        return []
    if not isinstance(value, Component):
        raise CheckpointError("no transform", got=value, wanted="Compose, or a list of transforms", do=CODE)
    if value.name != "Compose":
        return [value]
    require_package(value, MONAI)
    arguments = Arguments(value)
    parts = flattened(arguments.take("transforms"))
    arguments.only("lazy", False, None)
    arguments.only("map_items", True, 1)
    arguments.only("unpack_items", False)
    arguments.drop("log_stats", "overrides")
    arguments.done()
    return parts


def keys_of(arguments: Arguments) -> tuple[str, ...]:
    """The keys that a transform is applied to."""
    keys = arguments.require("keys")
    found = (keys,) if isinstance(keys, str) else tuple(keys or ())
    if not found or not all(isinstance(key, str) for key in found):
        raise arguments.component.refused("no keys", got=keys)
    return found


def one_of(value: Any, count: int) -> list[Any]:
    """The value of an argument for each of `count` keys."""
    if not isinstance(value, list | tuple):
        return [value] * count
    return [value[min(number, len(value) - 1)] for number in range(count)] if value else [None] * count


def plain(part: Component, value: Any, functions: bool = False) -> Any:
    """A value that MONAI may be given. Raises CheckpointError for any but plain ones, and lambdas if `functions`."""
    if is_plain(value) or (functions and isinstance(value, Function)):
        return value
    raise part.refused("an argument of this kind is not supported", got=value, do=CODE)


def plain_words(arguments: Arguments, names: str) -> dict[str, Any]:
    """Those of these arguments that are given."""
    given = [name for name in arguments.rest() if name in names.split()]
    return {name: plain(arguments.component, arguments.take(name)) for name in given}


def check_dtype(arguments: Arguments) -> None:
    """Takes `dtype`; raises CheckpointError for a type that would change the voxels."""
    for dtype in one_of(arguments.take("dtype"), 1):
        word = dtype.text.rsplit(".", 1)[-1] if isinstance(dtype, Name) else dtype
        if word is not None and str(word).rsplit(".", 1)[-1] not in _FLOATS:
            raise arguments.component.refused("this type is not supported", got=word, wanted="float32")


def monai_transform(part: Component, allowed: str) -> tuple[tuple[str, ...], list[Callable[[Tensor], Any]]]:
    """The keys of a dictionary transform, and MONAI's array transform for each of them."""
    import monai.transforms

    arguments = Arguments(part)
    keys = keys_of(arguments)
    words = plain_words(arguments, allowed)
    if "dtype" not in allowed.split():
        check_dtype(arguments)
    arguments.only("lazy", False)
    arguments.drop("allow_missing_keys", "meta_keys", "meta_key_postfix")
    arguments.done()
    make = getattr(monai.transforms, array_name(part, MONAI))
    transforms = []
    for number in range(len(keys)):
        own = {key: one_of(value, len(keys))[number] if key in _PER_KEY else value for key, value in words.items()}
        transforms.append(constructed(part, partial(make, **own)))
    return keys, transforms


def constructed(part: Component, make: Callable[[], Any]) -> Any:
    """An object of MONAI. Raises CheckpointError where it does not take these arguments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make()
        except Exception as error:  # TypeError, ValueError, RuntimeError, AssertionError, ImportError ...
            text = " ".join(str(error).split())[:200]
            raise part.refused(f"MONAI does not take these arguments ({type(error).__name__}: {text})") from error


def call(function: Callable[..., Any], *values: Any) -> Any:
    """What MONAI makes of values. Raises DataError where it cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of settings of the bundle, which its user did not choose
        try:
            return function(*values)
        except CheckpointError as error:  # a lambda that uses what is not known
            raise DataError(error.what, got=error.got, do=error.do) from error
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            raise DataError(f"cannot be applied to this scan ({type(error).__name__}: {text})") from error


def meta(values: Tensor, affine: np.ndarray) -> Tensor:
    """(channels, i, j, k) as MONAI's tensor with a place."""
    from monai.data import MetaTensor

    return MetaTensor(values, affine=torch.from_numpy(np.array(affine, dtype=np.float64)))


def bare(values: Any) -> Tensor:
    """What a transform gave, as float32 without MONAI's record of its place."""
    values = values.as_tensor() if hasattr(values, "as_tensor") else values
    return torch.as_tensor(values, dtype=torch.float32)
