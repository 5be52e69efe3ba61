"""UNETR weights as others released them: MONAI's names, old and new, read strictly into our network.

Three layouts are known, all with the same 170 tensors that the forward pass uses:

- clean: nothing else;
- MONAI 0.7 (the authors' `UNETR_model_best_acc.pth`): four more that it never uses, named in `UNUSED_0_7`;
- MONAI 1.3 and newer: seven more in each block, an unused cross-attention.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from medical.models.common import Size
from medical.models.unetr import Unetr, UnetrSettings
from vol3d.checkpoint import read_weights
from vol3d.errors import CheckpointError

UNUSED_0_7 = frozenset(
    {
        "vit.patch_embedding.cls_token",
        "encoder2.blocks.0.1.conv3.conv.weight",
        "encoder2.blocks.1.1.conv3.conv.weight",
        "encoder3.blocks.0.1.conv3.conv.weight",
    }
)
CROSS_ATTENTION = re.compile(r"vit\.blocks\.\d+\.(norm_cross_attn\.(weight|bias)|cross_attn\..+)")

# Tensors whose shapes are the sizes of the network.
POSITION = "vit.patch_embedding.position_embeddings"
MLP = "vit.blocks.0.mlp.linear1.weight"
IMAGE_PATH = "encoder1.layer.conv1.conv.weight"
HEAD = "out.conv.conv.weight"
NEEDED = (POSITION, MLP, IMAGE_PATH, HEAD)

STATE_WINDOW = "State the window: --set window.size=[48,64,48], or settings={'window': (48, 64, 48)} in Python."
RELEASED_SKIPS = (4, 7, 10)
"""The released code takes the skips after blocks 4, 7 and 10, counted from 1; the paper says 3, 6 and 9."""


def load(name: str, path: str | Path, settings: Mapping[str, Any] | None = None) -> Unetr:
    """`load_unetr`, as the catalogue calls the reader of any released model by its name."""
    return load_unetr(path, settings)


def load_unetr(path: str | Path, settings: Mapping[str, Any] | None = None) -> Unetr:
    """A released UNETR checkpoint as our network, with the original's numbers.

    Args:
        path: a file of tensors, bare or under `state_dict`; a `module.` or `backbone.` prefix is taken off.
        settings: what the file does not hold: `window` (voxels) if it is not a cube, `heads` unless
            each has 64 channels.

    Raises:
        CheckpointError: a tensor is missing, unknown or of a wrong shape; the message lists them.
    """
    weights = _bare(read_weights(path))
    given = settings or {}
    sizes = _settings(weights, given, path)
    in_channels, out_channels = weights[IMAGE_PATH].shape[1], weights[HEAD].shape[0]
    network = sizes.build(in_channels, out_channels, _window(weights, given, path))
    names = monai_names(sizes, shortcut=in_channels != sizes.features)
    _refuse_unknown(set(weights) - set(names.values()), path)
    own = network.state_dict()
    found = {key: _shaped(weights.get(name), own[key], name, path) for key, name in names.items()}
    network.load_state_dict(found, strict=True)
    return network


def monai_names(settings: UnetrSettings, shortcut: bool) -> dict[str, str]:
    """Our name -> MONAI's, for each of the 170 tensors (ViT-B). `shortcut`: the image path has a projected shortcut."""
    names = {"embed.position": "vit.patch_embedding.position_embeddings"}
    for kind in ("weight", "bias"):
        names[f"embed.projection.{kind}"] = f"vit.patch_embedding.patch_embeddings.{kind}"
        names[f"norm.{kind}"] = f"vit.norm.{kind}"
        names[f"decoder.head.{kind}"] = f"out.conv.conv.{kind}"
    for n in range(settings.depth):
        ours, theirs = f"blocks.{n}", f"vit.blocks.{n}"
        names[f"{ours}.attention.qkv.weight"] = f"{theirs}.attn.qkv.weight"
        for kind in ("weight", "bias"):
            names[f"{ours}.norm1.{kind}"] = f"{theirs}.norm1.{kind}"
            names[f"{ours}.attention.out.{kind}"] = f"{theirs}.attn.out_proj.{kind}"
            names[f"{ours}.norm2.{kind}"] = f"{theirs}.norm2.{kind}"
            names[f"{ours}.mlp.0.{kind}"] = f"{theirs}.mlp.linear1.{kind}"
            names[f"{ours}.mlp.3.{kind}"] = f"{theirs}.mlp.linear2.{kind}"
    names |= _residual("decoder.image_path", "encoder1.layer", shortcut)
    for level in range(1, settings.levels):
        ours, theirs = f"decoder.skip_paths.{level - 1}", f"encoder{level + 1}"
        names[f"{ours}.0.weight"] = f"{theirs}.transp_conv_init.conv.weight"
        for step in range(settings.levels - 1 - level):
            names[f"{ours}.{2 * step + 1}.weight"] = f"{theirs}.blocks.{step}.0.conv.weight"
            names |= _residual(f"{ours}.{2 * step + 2}", f"{theirs}.blocks.{step}.1", shortcut=False)
    for level in range(settings.levels):
        ours, theirs = f"decoder.merges.{level}", f"decoder{level + 2}"
        names[f"{ours}.up.weight"] = f"{theirs}.transp_conv.conv.weight"
        names |= _residual(f"{ours}.block", f"{theirs}.conv_block", shortcut=True)
    return names


def _residual(ours: str, theirs: str, shortcut: bool) -> dict[str, str]:
    names = {f"{ours}.conv{n}.weight": f"{theirs}.conv{n}.conv.weight" for n in (1, 2)}
    if shortcut:
        names[f"{ours}.shortcut.weight"] = f"{theirs}.conv3.conv.weight"
    return names


def _bare(document: Mapping[str, Any]) -> dict[str, Tensor]:
    """The file's tensors without what wrappers put around them; both kinds of patch embedding named alike."""
    weights = document.get("state_dict", document)  # training scripts wrap the weights
    bare = {}
    for key, value in weights.items():
        for prefix in ("module.", "backbone."):
            key = key.removeprefix(prefix)
        # `.1` is the linear layer of MONAI's "perceptron" embedding; "conv" has none.
        bare[key.replace("patch_embeddings.1.", "patch_embeddings.")] = value
    return bare


def _settings(weights: Mapping[str, Tensor], given: Mapping[str, Any], path: str | Path) -> UnetrSettings:
    """Sizes from the tensors' shapes."""
    missing = [name for name in NEEDED if name not in weights]
    if missing:
        raise CheckpointError("not a UNETR checkpoint", where=path, wanted=f"a tensor '{missing[0]}'")
    unknown = set(given) - {"window", "heads"}
    if unknown:
        raise CheckpointError("the file itself determines these settings", where=path, got=sorted(unknown))
    width = weights[POSITION].shape[2]
    return UnetrSettings(
        width=width,
        depth=1 + max(int(key.split(".")[2]) for key in weights if key.startswith("vit.blocks.")),
        heads=given.get("heads", max(1, width // 64)),
        mlp=weights[MLP].shape[0],
        features=weights[IMAGE_PATH].shape[0],
        skips=RELEASED_SKIPS,
    )


def _window(weights: Mapping[str, Tensor], given: Mapping[str, Any], path: str | Path) -> Size:
    """Voxels of the training window: as given, else the cube that the number of tokens makes."""
    count = weights[POSITION].shape[1]
    edge = round(count ** (1 / 3))
    if edge**3 != count and "window" not in given:
        raise CheckpointError(f"{count} tokens are no cube", where=path, do=STATE_WINDOW)
    window = tuple(given.get("window", (16 * edge,) * 3))
    if len(window) != 3 or math.prod(window) != count * 16**3:
        wanted = f"{count} patches of 16^3"
        raise CheckpointError("window does not fit the position embedding", where=path, got=window, wanted=wanted)
    return window


def _refuse_unknown(extra: set[str], path: str | Path) -> None:
    rest = {name for name in extra if not CROSS_ATTENTION.fullmatch(name)}
    if rest == UNUSED_0_7:
        return
    if rest:
        raise CheckpointError("unknown tensors", where=path, got=sorted(rest)[:8], wanted="MONAI's UNETR, old or new")


def _shaped(value: Tensor | None, own: Tensor, name: str, path: str | Path) -> Tensor:
    """MONAI's tensor in the shape of ours."""
    if value is None:
        raise CheckpointError(f"tensor '{name}' is missing", where=path)
    if name.endswith("position_embeddings"):
        value = value.transpose(1, 2).reshape(own.shape)  # (1, N, width) -> (1, width, i, j, k)
    elif name.endswith("patch_embeddings.weight") and value.ndim == 2:
        out, channels, *patch = own.shape
        value = value.reshape(out, *patch, channels).permute(0, 4, 1, 2, 3)  # flattened as (p1 p2 p3 c)
    if value.shape != own.shape:
        raise CheckpointError(f"tensor '{name}'", where=path, got=tuple(value.shape), wanted=tuple(own.shape))
    return value
