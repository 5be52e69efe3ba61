"""What VoteNet and H3DNet have in common in mmdetection3d's files: names of layers, options, where proposals gather."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointcloud.models.released.weights import without_bias
from pointcloud.structures.class_sizes import known_size
from pointcloud.structures.weight_names import Rules
from vol3d.errors import CheckpointError

LAYER = r"(?P<layer>\d)\.(?P<kind>conv|bn)\.(?P<field>\w+)"
"""The end of the name of a tensor of a numbered layer."""

_MODES = {"seed": "seeds", "vote": "votes"}


def layer(match: re.Match[str]) -> str:
    """The same end under our names."""
    return f"{match['layer']}.{tensor(match)}"


def tensor(match: re.Match[str]) -> str:
    """Our name of a convolution's or a norm's tensor."""
    return f"{ {'conv': 'linear', 'bn': 'norm'}[match['kind']] }.{match['field']}"


def backbone_rules(theirs: str, ours: str, steps_up: int) -> Rules:
    """Rules for a PointNet++ backbone; the file counts its steps up from the deepest, ours from the output.

    Args:
        theirs, ours: what names begin with, the first as a pattern without groups.
        steps_up: of the backbone.
    """
    return (
        (
            theirs + r"SA_modules\.(?P<level>\d)\.mlps\.0\.layer" + LAYER,
            lambda m: f"{ours}down.{m['level']}.mlp.{layer(m)}",
        ),
        (
            theirs + r"FP_modules\.(?P<level>\d)\.mlps\.layer" + LAYER,
            lambda m: f"{ours}up.{steps_up - 1 - int(m['level'])}.mlp.{layer(m)}",
        ),
    )


def vote_rules(theirs: str, ours: str) -> Rules:
    """Rules for a module that votes, as `backbone_rules`."""
    return (
        (theirs + r"vote_conv\." + LAYER, lambda m: f"{ours}offsets.{layer(m)}"),
        (theirs + r"conv_out\.(\w+)", lambda m: f"{ours}offsets.2.{m[1]}"),
    )


def as_linear(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renamed tensors with biases before a norm moved into its mean, and convolutions of one tap as linear maps."""
    found = dict(tensors)
    for name in [name for name in found if name.endswith(".linear.bias")]:
        one = name.removesuffix(".linear.bias")
        found = without_bias(found, f"{one}.linear", f"{one}.norm")
    return {name: t.flatten(1) if t.ndim > 2 and set(t.shape[2:]) == {1} else t for name, t in found.items()}


def with_one_output(tensors: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
    """As before 0.6: objectness, box, classes in one map, which is our order; `head` is what its names begin with."""
    found = dict(tensors)
    for field in ("weight", "bias"):
        if f"{head}conv_cls.{field}" in found and f"{head}conv_reg.{field}" in found:
            scores, box = found.pop(f"{head}conv_cls.{field}"), found.pop(f"{head}conv_reg.{field}")
            found[f"{head}conv_out.{field}"] = torch.cat([scores[:2], box, scores[2:]])
    return found


def check_stated(stated: Mapping[str, Any], expected: Mapping[str, Any], name: str, path: str | Path) -> None:
    """Compares what decides the numbers and is not seen from the tensors with what the file states of it.

    Raises:
        CheckpointError: an option that is stated differs.
    """
    for key, wanted in expected.items():
        if (got := stated.get(key)) not in (None, wanted):
            raise CheckpointError(f"trained with another `{key}` than {name}", where=path, got=got, wanted=wanted)


def stated_sizes(class_names: tuple[str, ...], turned: bool) -> list[list[float]]:
    """Mean sizes of classes as a config has them."""
    return [list(known_size(one, turned) or ()) for one in class_names]


def stated_classes(meta: Mapping[Any, Any]) -> str | None:
    """What mmcv and mmengine write; None where nothing is said."""
    data = meta.get("dataset_meta")
    data = data if isinstance(data, Mapping) else meta
    names = data.get("classes") or data.get("CLASSES")
    return ", ".join(map(str, names)) if isinstance(names, list | tuple) else None


def proposals_at(options: Mapping[str, Any], keys: tuple[str, ...], path: str | Path) -> str:
    """Where the file's own test gathers proposals; `seeds` where it does not say, as in all published configs.

    Raises:
        CheckpointError: a way that is not known.
    """
    mode = str(next((options[key] for key in keys if key in options), "seed"))
    if mode not in _MODES:
        raise CheckpointError(
            "a way to sample votes that is not known", where=path, got=mode, wanted=" or ".join(_MODES)
        )
    return _MODES[mode]
