"""Convolution weights of spconv, both ways.

spconv 1 (mmdet3d, OpenPCDet before 2022)   [kz, ky, kx, c_in, c_out]   as here
spconv 2                                    [c_out, kz, ky, kx, c_in]
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from vol3d.errors import CheckpointError, UsageError
from vol3d.sparse.layers import _SparseConvolution


def from_spconv(weight: Tensor, version: int) -> Tensor:
    """A weight of spconv 1 or 2 in the layout of this package, [kz, ky, kx, c_in, c_out].

    Raises:
        UsageError: another version.
        CheckpointError: not five axes.
    """
    _check(weight, version)
    return weight if version == 1 else weight.permute(1, 2, 3, 4, 0).contiguous()


def to_spconv(weight: Tensor, version: int) -> Tensor:
    """A weight [kz, ky, kx, c_in, c_out] of this package in the layout of spconv 1 or 2.

    Raises:
        UsageError: another version.
        CheckpointError: not five axes.
    """
    _check(weight, version)
    return weight if version == 1 else weight.permute(4, 0, 1, 2, 3).contiguous()


def state_from_spconv(module: nn.Module, state: Mapping[str, Tensor], version: int) -> dict[str, Tensor]:
    """A state dict for `module` from one of the same network built with spconv; only sparse convolutions change.

    Raises:
        CheckpointError: a converted weight does not have the module's shape; names it.
    """
    converted = dict(state)
    for name, wanted in _weights(module).items():
        if name in converted:
            converted[name] = from_spconv(converted[name], version)
            if converted[name].shape != wanted.shape:
                got, shape = list(converted[name].shape), list(wanted.shape)
                raise CheckpointError(f"weight does not fit as spconv {version}", where=name, got=got, wanted=shape)
    return converted


def state_to_spconv(module: nn.Module, version: int) -> dict[str, Tensor]:
    """The state dict of `module` with its sparse convolutions in the layout of spconv 1 or 2."""
    weights = _weights(module)
    return {
        name: to_spconv(value, version) if name in weights else value for name, value in module.state_dict().items()
    }


def _weights(module: nn.Module) -> dict[str, Tensor]:
    layers = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, _SparseConvolution)]
    return {f"{name}.weight" if name else "weight": layer.weight for name, layer in layers}


def _check(weight: Tensor, version: int) -> None:
    if version not in (1, 2):
        raise UsageError("no such layout", where="version", got=version, wanted="1 or 2")
    if weight.ndim != 5:
        raise CheckpointError("not a 3D convolution", where="weight", got=list(weight.shape), wanted="five axes")
