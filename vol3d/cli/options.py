"""Arguments that several verbs share, so that they mean and say the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from vol3d.cli import names
from vol3d.paths import user_path
from vol3d.words import is_setting

Checkpoint = Annotated[
    str,
    typer.Argument(
        help="A shipped model's name, a run's folder, a folder of folds (an ensemble) or a weights file; to predict, "
        "also a model folder of nnU-Net or an ONNX file.",
        autocompletion=names.checkpoints,
        metavar="CHECKPOINT",
    ),
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="cpu, cuda or cuda:N.  Default: CUDA if available.", metavar="NAME"),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="The same as a word KEY=VALUE, as in model.head.nms_iou=0.2.  Repeatable."
    ),
]
Words = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings of the model that are overridden.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Series = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="DICOM: UID, number or description of one series.  Default: all volumes; to view, the only one.",
    ),
]
Topic = Annotated[
    str | None, typer.Option(metavar="NAME", help="Recordings: the topic of the clouds.  Default: the only one.")
]

Behind = Annotated[
    str,
    typer.Option(
        "--background",
        metavar="SHADE",
        help="Of pictures: dark or light (for print and slides); slices of a volume stay black.",
    ),
]


def files_and_settings(words: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Arguments that are not `KEY=VALUE`, or are files of that name, and those that are."""
    kinds: tuple[list[str], list[str]] = [], []
    for word in words or ():
        kinds[is_setting(word) and not user_path(word).exists()].append(word)
    return kinds
