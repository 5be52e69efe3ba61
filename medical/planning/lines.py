"""The lines of a planned recipe: each value with the number that it came from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from medical.classes import Classes
from medical.datasets.cases import UNUSED, DataSplit
from medical.datasets.folds import DatasetSettings
from medical.models.common import Size
from medical.planning.network import ENOUGH_STEPS, Budget, Network, Scans
from medical.sides import side_axis, sided
from vol3d.config.commented import Line

MOST_STEPS = 250_000  # nnU-Net's 1000 epochs of 250 steps
EVALUATIONS = 5  # in a training
FOREGROUND = 0.33  # share of windows around a foreground voxel (nnU-Net)
ROTATION_DEG = 30.0
THIN = 3.0  # edges of a plane that differ by more are not turned into each other (nnU-Net's limit for 2D distortions)


def network_lines(network: Network, budget: Budget) -> list[Line]:
    """`model`."""
    model, device = network.model, "a GPU" if budget.device.type != "cpu" else "a CPU"
    millions = f"{network.memory.parameters / 1e6:.1f} M parameters"
    lines = [Line("model.name", model.name, millions)]
    if model.name == "unetr":
        coarse = "16 where every axis has 64 voxels, as in the paper, else 8"
        sizes = f"the paper's size on a GPU, the small one of unetr_hippocampus_small on a CPU; this is {device}"
        why = {"patch": coarse, "width": sizes, "skips": "evenly over the blocks, one less than halvings"}
        same = {name: "as width" for name in ("depth", "heads", "mlp", "features")}
        names = ("patch", "width", "depth", "heads", "mlp", "features", "skips")
        return lines + [Line(f"model.{name}", _plain(getattr(model, name)), (why | same)[name]) for name in names]
    stages = len(model.features)
    why = {
        "features": f"{model.features[0]} at full resolution on {device}, doubled at each of {stages} stages up to 320",
        "kernels": "1 along an axis whose spacing is over twice the finest, until halvings have evened it out",
        "strides": "an axis is halved while 4 voxels are left and its spacing is within twice the finest",
        "blocks": "ResEnc's: 1, 3, 4, then 6",
    }
    return lines + [Line(f"model.{name}", _plain(getattr(model, name)), text) for name, text in why.items()]


def data_lines(
    data: DatasetSettings, split: DataSplit, published: bool, classes: Classes, fingerprint: dict[str, Any]
) -> list[Line]:
    """`data`, classes and regions."""
    kind = data.__class__.model_fields["name"].default
    lines = [
        Line("data.name", kind, f"the layout; {len(split.train)} cases train, {len(split.validation)} validate"),
        Line("data.root", str(data.root), "as given to the plan"),
    ]
    if published:
        lines.append(Line("data.fold", None, "the data set's own split; a number chooses a fold"))
    else:
        lines += [
            Line("data.fold", data.fold, "validates; --folds trains them all"),
            Line("data.folds", _plain(data.folds), _folds(data.folds, len(split.labelled))),
        ]
    known = {"name", "root", "fold", "folds"}
    rest = {
        key: value for key, value in data.model_dump(mode="json", exclude_defaults=True).items() if key not in known
    }
    lines += [Line(f"data.{key}", value, "as given to the plan") for key, value in rest.items()]
    lines.append(Line("class_names", list(classes.names), _classes(fingerprint)))
    if classes.regions is not None:
        regions = {name: list(members) for name, members in classes.regions.items()}
        where = "the data set defines them" if split.regions else "found by the names of the classes"
        lines.append(Line("regions", regions, f"overlapping, a sigmoid each; {where}"))
    return lines


def _folds(folds: int | Path, labelled: int) -> str:
    if isinstance(folds, Path):
        return "as given to the plan"
    few = f", as many as the {labelled} labelled cases allow" if folds == labelled else ""
    return f"by nnU-Net's rule{few}"


def _classes(fingerprint: dict[str, Any]) -> str:
    """The volume of each class."""
    volumes = fingerprint["summary"]["volumes"]
    found = [
        f"{name} {row['ml_median']:.3g} ml in {row['cases']} cases" if row["cases"] else f"{name} in no case"
        for name, row in volumes.items()
        if not name.startswith(UNUSED)
    ]
    return "median: " + ", ".join(found)


def scan_lines(
    fingerprint: dict[str, Any], network: Network, scans: Scans, budget: Budget, measured: bool
) -> list[Line]:
    """`preprocess` and `window`."""
    suggested = fingerprint["suggestion"]
    preprocess, reasons = suggested["preprocess"], suggested["reasons"]
    shape = " x ".join(f"{edge:.0f}" for edge in scans.shape)
    free = f"{budget.memory / 1e9:.2g} GB{', half of what is free' * (measured and budget.device.type == 'cpu')}"
    limit = {
        "scans": f"the whole median scan of {shape} voxels, or 256^3",
        "memory": f"largest whose step of two windows fits into {free}; median scan {shape}",
        "time": f"largest of which {ENOUGH_STEPS} steps fit into {budget.hours:g} h; median scan {shape}",
    }[network.limit]
    return [
        Line("preprocess.orientation", preprocess["orientation"], "every scan is turned so; no number decides it"),
        Line("preprocess.spacing_mm", preprocess["spacing_mm"], f"{reasons['spacing_mm']} {_ranges(fingerprint)}"),
        Line("preprocess.intensity", preprocess["intensity"], reasons["intensity"]),
        Line("preprocess.crop_foreground", preprocess["crop_foreground"], reasons["crop_foreground"]),
        Line("window.size", list(network.window), limit),
        Line("window.overlap", 0.5, "nnU-Net's"),
    ]


def _ranges(fingerprint: dict[str, Any]) -> str:
    """Smallest and largest spacing of each axis."""
    spacing = fingerprint["summary"]["spacing_mm"]
    ends = zip(spacing["min"], spacing["max"], strict=True)
    words = [f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}" for low, high in ends]
    return f"The scans have {', '.join(words)} mm."


def training_lines(network: Network, scans: Scans, classes: Classes, budget: Budget) -> list[Line]:
    """Distortions, loss, optimiser, length."""
    steps_of_epoch = math.ceil(scans.cases / network.batch)
    fit = min(int(budget.hours * 3600 / network.seconds), MOST_STEPS)
    epochs = max(1, math.ceil(max(fit, ENOUGH_STEPS) / steps_of_epoch))
    hours = epochs * steps_of_epoch * network.seconds / 3600
    timed = f"{network.seconds:.2g} s a step, measured here on {' x '.join(map(str, network.probe))} voxels"
    names = (*classes.foreground, *(classes.regions or ()))
    sides = sided(names)
    flip = [0.0, 0.0, 0.0]
    flip[side_axis("RAS")] = 0.0 if sides else 0.5
    flipped = f"not mirrored: {', '.join(sides)} would change sides" if sides else "left to right; no class has a side"
    fits = network.memory.of(network.batch) / 1e9
    batch = f"{fits:.2g} GB in float32, counted" + (", the least on a CPU" if budget.device.type == "cpu" else "")
    return [
        Line("crop.foreground", FOREGROUND, "of the windows are centred on a class (nnU-Net's third)"),
        Line("augment.flip", flip, flipped),
        Line("augment.rotate_deg", *_rotation(network.window)),
        *(Line(f"augment.{name}", value, "nnU-Net's distortions") for name, value in _DISTORTIONS.items()),
        Line("loss.background", False, "not counted by Dice (nnU-Net)"),
        Line("loss.over", "batch", "Dice over the batch: a class that one window lacks is not 0 or 1 there"),
        Line("optim.lr", 1e-3, "AdamW, since the training is far shorter than nnU-Net's 250,000 steps of SGD"),
        Line("optim.weight_decay", 0.05, "as in unetr_hippocampus_small"),
        Line("train.epochs", epochs, f"{epochs * steps_of_epoch} steps, about {hours:.2g} h; {timed}"),
        Line("train.batch", network.batch, batch),
        Line("train.amp", budget.amp, "low precision where the device has instructions for it"),
        Line("train.ema", 0.999, "averaged weights are evaluated and kept"),
        Line("train.evaluate_every", max(1, epochs // EVALUATIONS), f"epochs; {EVALUATIONS} evaluations in all"),
    ]


_DISTORTIONS = {
    "affine": 0.36,
    "scale": [0.7, 1.4],
    "noise": 0.1,
    "blur": 0.2,
    "low_resolution": 0.25,
    "gamma": 0.3,
    "scale_intensity": 0.15,
    "scale_by": 0.25,
}
"""Probabilities and ranges of nnU-Net; rotation and scale of 0.2 each are one draw here, of 1 - 0.8^2."""


def _rotation(window: Size) -> tuple[list[float], str]:
    """Largest angle about each axis, which turns the plane of the other two."""
    edges = [sorted(window[other] for other in range(3) if other != axis) for axis in range(3)]
    angles = [ROTATION_DEG if longer <= THIN * shorter else 0.0 for shorter, longer in edges]
    if all(angles):
        return angles, "nnU-Net's distortions"
    return angles, f"0 where a plane of the window is over {THIN:g} times as long as wide: turned, it would be empty"


def _plain(value: Any) -> Any:
    """Tuples as lists, a path as text."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
