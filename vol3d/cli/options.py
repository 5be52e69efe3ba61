"""Arguments that several verbs share, so that they mean and say the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from vol3d.cli import names

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
        "--set", metavar="KEY=VALUE", help="Override a setting of the model, as in model.head.nms_iou=0.2.  Repeatable."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Series = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="DICOM: UID, number or description of one series.  Default: all volumes; to view, the only one.",
    ),
]
