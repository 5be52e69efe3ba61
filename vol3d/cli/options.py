"""Arguments that several verbs share, so that they mean and say the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vol3d.cli import names
from vol3d.errors import UsageError
from vol3d.files import make_folder as make_folder

if TYPE_CHECKING:
    import torch

Checkpoint = Annotated[
    str,
    typer.Argument(
        help="A shipped model's name, a run's folder, a folder of folds (an ensemble) or a weights file.",
        autocompletion=names.checkpoints,
        metavar="CHECKPOINT",
    ),
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="cpu, cuda or cuda:N.  Default: CUDA where there is some.", metavar="NAME"),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Replace a setting of the model, as in model.head.nms_iou=0.2.  Repeatable."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


def pick_device(name: str | None) -> torch.device:
    """The device called `name`; None takes CUDA where there is some.

    Raises:
        UsageError: no such device on this machine.
    """
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"cannot use this device ({reason})", where="--device", got=name, wanted="cpu or cuda"
        ) from error
    return device
