"""The network of a bundle: one of MONAI's, with the bundle's sizes and every tensor of its weights."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from medical.bundle.transforms import constructed, require_package
from medical.bundle.values import CODE, Component, is_plain
from vol3d.checkpoint import load_strictly, read_weights
from vol3d.errors import CheckpointError
from vol3d.notes import Note

NETWORKS = (
    "UNet",
    "Unet",
    "BasicUNet",
    "BasicUnet",
    "Basicunet",
    "AttentionUnet",
    "VNet",
    "SegResNet",
    "SegResNetDS",
    "DynUNet",
    "DynUnet",
    "Dynunet",
    "UNETR",
    "SwinUNETR",
    "HighResNet",
)
"""Networks of MONAI that map a window to logits of its size."""
_GONE = {"SwinUNETR": ("img_size",), "UNETR": ("pos_embed",)}
"""Arguments of earlier releases of MONAI that its networks no longer have, and that left no trace in the weights."""
_SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors")


def require_known(component: Component) -> None:
    """Raises CheckpointError for a network that vol3d does not run."""
    known = f"{CODE} Known: {', '.join(NETWORKS)}."
    if component.target.split(".")[0] not in ("monai", component.name) or component.name not in NETWORKS:
        raise component.refused("a network that is not known", got=component.target, do=known)
    require_package(component, "monai.networks.nets")


def build_network(component: Component) -> tuple[nn.Module, tuple[Note, ...]]:
    """The network with fresh weights, and what was left out of its arguments.

    Raises:
        CheckpointError: arguments that it does not take.
    """
    import monai.networks.nets

    words = {name: component.resolve(name) for name in component.words}
    odd = [name for name, value in words.items() if not is_plain(value)]
    if odd:
        raise component.refused("an argument of this kind is not supported", got=", ".join(odd), do=CODE)
    gone = [name for name in _GONE.get(component.name, ()) if name in words]
    if component.name == "UNETR" and "pos_embed" in words:
        words.setdefault("proj_type", words["pos_embed"])
    for name in gone:
        del words[name]
    network: nn.Module = constructed(component, partial(getattr(monai.networks.nets, component.name), **words))
    text = "{value} is no longer an argument of the network, and was left out"
    return network, tuple(Note("bundle-argument", text, value=f"{component.name}.{name}") for name in gone)


def size(component: Component, name: str) -> int:
    """One of a network's numbers, `in_channels`, `out_channels` or `spatial_dims`, as given or by MONAI's default.

    Raises:
        CheckpointError: it is no number.
    """
    import monai.networks.nets

    if name in component.words:
        value = component.resolve(name)
    else:
        parameters = inspect.signature(getattr(monai.networks.nets, component.name)).parameters
        value = parameters[name].default if name in parameters else None
    if type(value) is not int or value < 1:
        raise component.refused(f"no {name}", got=value)
    return value


def load_weights(network: nn.Module, path: Path, key: str = "model") -> None:
    """Loads every tensor of a file, bare or under `key`, into the network.

    Raises:
        CheckpointError: damaged, asks for code, TorchScript, or not the weights of this network.
    """
    if path.suffix not in _SUFFIXES:
        wanted = ", ".join(_SUFFIXES)
        raise CheckpointError("no file of weights", where=path, wanted=wanted, do=CODE)
    if _is_torchscript(path):
        do = "TorchScript is a program, and vol3d runs no code of a bundle. Give the weights as models/model.pt."
        raise CheckpointError("a TorchScript program, not weights", where=path, do=do)
    document = read_weights(path)
    found: Any = document.get(key, document) if isinstance(document, Mapping) else document
    if not isinstance(found, Mapping) or not all(isinstance(one, Tensor) for one in found.values()):
        raise CheckpointError("no weights", where=path, wanted=f"name -> tensor, bare or under '{key}'")
    tensors = {str(name): tensor for name, tensor in found.items()}
    if tensors and all(name.startswith("module.") for name in tensors):  # saved by a parallel training
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    load_strictly(network, tensors, path)


def _is_torchscript(path: Path) -> bool:
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as archive:
            return any("/code/" in name or name.endswith("/constants.pkl") for name in archive.namelist())
    except (BadZipFile, OSError):
        return False


class Planewise(nn.Module):
    """A network of planes applied to windows one voxel thick along an axis.

    Args:
        network: (batch, channels, a, b) -> (batch, outputs, a, b).
        axis: 0, 1 or 2.
    """

    def __init__(self, network: nn.Module, axis: int) -> None:
        super().__init__()
        self.network, self.axis = network, axis

    def forward(self, windows: Tensor) -> Tensor:
        """Logits of each voxel, (batch, outputs, i, j, k)."""
        dim = self.axis + 2
        return self.network(windows.squeeze(dim)).unsqueeze(dim)
