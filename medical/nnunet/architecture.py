"""The network that a plan describes, by names of an allow-list: no name of a file is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from medical.models.unet_blocks import Architecture, Layer
from vol3d.errors import CheckpointError

NETWORKS: dict[str, Literal["plain", "residual"]] = {"PlainConvUNet": "plain", "ResidualEncoderUNet": "residual"}
NORMS = ("InstanceNorm", "BatchNorm")
ACTIVATIONS = (
    "LeakyReLU", "ReLU", "PReLU", "ELU", "GELU", "SiLU", "Mish",
    "SELU", "CELU", "ReLU6", "Hardswish", "Softplus", "Tanh",
)  # fmt: skip
BLOCKS = ("BasicBlockD", "BottleneckD")
_NETWORK = re.compile(r"dynamic_network_architectures\.architectures\.\w+\.(\w+)")
_BLOCK = re.compile(r"dynamic_network_architectures\.building_blocks\.residual\.(\w+)")
_TORCH = re.compile(r"torch\.nn\.(?:modules\.\w+\.)?(\w+?)([123]d)?")
# What has no meaning for a network that only predicts.
_UNUSED = ("dropout_op", "dropout_op_kwargs", "deep_supervision")
_KEYS = {
    "n_stages", "features_per_stage", "conv_op", "kernel_sizes", "strides", "n_conv_per_stage_decoder", "conv_bias",
    "norm_op", "norm_op_kwargs", "nonlin", "nonlin_kwargs", *_UNUSED,
}  # fmt: skip
_OWN_KEYS = {
    "plain": {"n_conv_per_stage", "nonlin_first"},
    "residual": {"n_blocks_per_stage", "block", "bottleneck_channels", "stem_channels"},
}


def read_architecture(values: Mapping[str, Any], where: str, dimension: int) -> Architecture:
    """The network of a configuration, in the present form or in that of plans before 2.4.

    Args:
        dimension: of the patch.

    Raises:
        CheckpointError: a network, layer or argument that is not known, or numbers that do not fit together.
    """
    if "architecture" in values:
        stated = values["architecture"]
        path = stated.get("network_class_name") if isinstance(stated, dict) else None
        given = stated.get("arch_kwargs") if isinstance(stated, dict) else None
        found = _NETWORK.fullmatch(path) if isinstance(path, str) else None
        name = found[1] if found else path
    else:
        name, given = values.get("UNet_class_name"), _of_old_plans(values, where, dimension)
    if name not in NETWORKS or not isinstance(given, dict):
        raise CheckpointError("an unknown network", where=where, got=name, wanted=f"one of {', '.join(NETWORKS)}")
    kind = NETWORKS[name]
    if unknown := set(given) - _KEYS - _OWN_KEYS[kind]:
        raise CheckpointError(f"unknown arguments of {name}", where=where, got=", ".join(sorted(unknown)))
    try:
        return _Reader(given, where, dimension).read(kind)
    except (KeyError, TypeError, ValueError) as error:
        what = f"no argument {error} of {name}" if isinstance(error, KeyError) else f"wrong arguments of {name}"
        raise CheckpointError(what, where=where, got=None if isinstance(error, KeyError) else error) from error


def _of_old_plans(values: Mapping[str, Any], where: str, dimension: int) -> dict[str, Any]:
    """The arguments that plans without `architecture` stand for."""
    try:
        counts = values["n_conv_per_stage_encoder"]
        base, most = values["UNet_base_num_features"], values["unet_max_num_features"]
        own = "n_conv_per_stage" if values["UNet_class_name"] == "PlainConvUNet" else "n_blocks_per_stage"
        return {
            "n_stages": len(counts),
            "features_per_stage": [min(base * 2**stage, most) for stage in range(len(counts))],
            "conv_op": f"torch.nn.Conv{dimension}d",
            "kernel_sizes": values["conv_kernel_sizes"],
            "strides": values["pool_op_kernel_sizes"],
            own: counts,
            "n_conv_per_stage_decoder": values["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": f"torch.nn.InstanceNorm{dimension}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        }
    except KeyError as error:
        raise CheckpointError(f"neither 'architecture' nor {error} in the plan", where=where) from error


class _Reader:
    """Arguments of a network's class, checked."""

    def __init__(self, given: Mapping[str, Any], where: str, dimension: int) -> None:
        self.given, self.where, self.dimension, self.stages = given, where, dimension, int(given["n_stages"])

    def read(self, kind: Literal["plain", "residual"]) -> Architecture:
        """The architecture; raises what Python raises for values of a wrong form."""
        convolution = self.layer("conv_op", ("Conv",))
        if convolution is None or self.stages < 2:
            raise ValueError(f"conv_op {self.given['conv_op']}, {self.stages} stages")
        features = self.each("features_per_stage", self.stages)
        own = "n_conv_per_stage" if kind == "plain" else "n_blocks_per_stage"
        return Architecture(
            kind,
            self.dimension,
            features,
            self.sizes("kernel_sizes"),
            self.sizes("strides"),
            self.each(own, self.stages),
            self.each("n_conv_per_stage_decoder", self.stages - 1),
            bool(self.given.get("conv_bias", False)),
            self.layer("norm_op", NORMS),
            self.layer("nonlin", ACTIVATIONS),
            bool(self.given.get("nonlin_first", False)),
            self.bottleneck(),
            int(self.given.get("stem_channels") or features[0]),
        )

    def bottleneck(self) -> tuple[int, ...] | None:
        """Channels within bottleneck blocks."""
        block = self.given.get("block")
        found = _BLOCK.fullmatch(block) if isinstance(block, str) else None
        if block is not None and (found is None or found[1] not in BLOCKS):
            raise CheckpointError("an unknown block", where=self.where, got=block, wanted=f"one of {', '.join(BLOCKS)}")
        return self.each("bottleneck_channels", self.stages) if found and found[1] == "BottleneckD" else None

    def each(self, key: str, count: int) -> tuple[int, ...]:
        """A number for each stage, or one for all."""
        value = self.given[key]
        values = tuple(value) if isinstance(value, list) else (value,) * count
        if len(values) != count or not all(isinstance(one, int) and one > 0 for one in values):
            raise ValueError(f"{key} {value}")
        return values

    def sizes(self, key: str) -> tuple[tuple[int, ...], ...]:
        """As many numbers as dimensions for each stage."""
        value = self.given[key]
        stages = value if isinstance(value, list) else [value] * self.stages
        sizes = tuple(tuple(one) if isinstance(one, list) else (one,) * self.dimension for one in stages)
        numbers = [number for size in sizes for number in size]
        fits = len(sizes) == self.stages and {len(size) for size in sizes} == {self.dimension}
        if not fits or not all(isinstance(number, int) and number > 0 for number in numbers):
            raise ValueError(f"{key} {value}")
        return sizes

    def layer(self, key: str, known: tuple[str, ...]) -> Layer | None:
        """A class of torch."""
        path, arguments = self.given.get(key), self.given.get(f"{key}_kwargs") or {}
        if path is None:
            return None
        found = _TORCH.fullmatch(path) if isinstance(path, str) else None
        fits = found is not None and found[1] in known and found[2] in (None, f"{self.dimension}d")
        if not fits or not isinstance(arguments, dict):
            raise CheckpointError(
                f"an unknown '{key}'", where=self.where, got=path, wanted=f"one of {', '.join(known)}"
            )
        return Layer(found[1], arguments)  # type: ignore[index]
