"""Small model folders in nnU-Net's layout, with random weights under all the names that nnU-Net writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medical.models.residual_unet import UNet
from medical.nnunet.labels import read_labels
from medical.nnunet.plans import read_plans

LABELS: dict[str, Any] = {"background": 0, "front": 1, "back": 2}
REGIONS: dict[str, Any] = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}
PLAIN, RESIDUAL = "PlainConvUNet", "ResidualEncoderUNet"


def network_of(kind: str, dimension: int) -> dict[str, Any]:
    """`architecture` of a configuration: two stages."""
    arguments = {
        "n_stages": 2,
        "features_per_stage": [4, 6],
        "conv_op": f"torch.nn.modules.conv.Conv{dimension}d",
        "kernel_sizes": [[3] * dimension] * 2,
        "strides": [[1] * dimension, [2] * dimension],
        "n_conv_per_stage" if kind == PLAIN else "n_blocks_per_stage": [1, 2],
        "n_conv_per_stage_decoder": [1],
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimension}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    name = f"dynamic_network_architectures.architectures.unet.{kind}"
    return {"network_class_name": name, "arch_kwargs": arguments, "_kw_requires_import": ["conv_op"]}


def configuration(dimension: int = 3, channels: int = 1, kind: str = PLAIN) -> dict[str, Any]:
    """A configuration of 1 mm."""
    spline = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": [8, 8, 6][3 - dimension :],
        "spacing": [1.0] * dimension,
        "normalization_schemes": ["ZScoreNormalization"] * channels,
        "use_mask_for_norm": [False] * channels,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": spline,
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {**spline, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**spline, "order": 1},
        "architecture": network_of(kind, dimension),
    }


def plans_of(configurations: dict[str, Any], transpose: Sequence[int] = (0, 1, 2)) -> dict[str, Any]:
    """A plan."""
    return {
        "dataset_name": "Dataset901_Made",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(transpose),
        "transpose_backward": [list(transpose).index(axis) for axis in range(3)],
        "configurations": configurations,
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {},
    }


def write_model(
    folder: Path,
    plans: dict[str, Any] | None = None,
    name: str = "3d_fullres",
    *,
    labels: dict[str, Any] | None = None,
    channels: Sequence[str] = ("MR",),
    folds: Sequence[int | str] = (0,),
    mirror: Sequence[int] | None = (0, 1, 2),
    trainer: str = "nnUNetTrainer",
    **dataset: Any,
) -> Path:
    """The folder of a model of the configuration `name`."""
    folder.mkdir(parents=True, exist_ok=True)
    plans = plans or plans_of({name: configuration(channels=len(channels))})
    named = {str(number): channel for number, channel in enumerate(channels)}
    document = {"channel_names": named, "labels": labels or LABELS, "file_ending": ".nii.gz", **dataset}
    (folder / "plans.json").write_text(json.dumps(plans), "utf-8")
    (folder / "dataset.json").write_text(json.dumps(document), "utf-8")

    known = read_labels(document, folder)
    read = read_plans(plans, folder, name, len(channels))
    inputs = len(channels) + len(known.foreground) * (read.previous is not None)
    for number, fold in enumerate(folds):
        torch.manual_seed(number)
        network = UNet(read.architecture, inputs, known.outputs)
        for head in network.decoder.seg_layers:
            head.weight.data.mul_(8)
        save_fold(folder / f"fold_{fold}", network, name, mirror, trainer)
    return folder


def save_fold(folder: Path, network: UNet, name: str, mirror: Sequence[int] | None, trainer: str) -> None:
    """`checkpoint_final.pth` with what nnU-Net keeps beside the weights."""
    folder.mkdir(exist_ok=True)
    content = {
        "network_weights": repeated(network.state_dict()),
        "optimizer_state": {"state": {}},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)]},
        "_best_ema": np.float32(0.5),
        "init_args": {"configuration": name, "fold": 0, "device": torch.device("cpu")},
        "trainer_name": trainer,
        "inference_allowed_mirroring_axes": mirror,
    }
    torch.save(content, folder / "checkpoint_final.pth")


def repeated(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under all names that nnU-Net gives them."""
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        names = [name]
        for number, layer in enumerate(("conv", "norm", "nonlin")):
            head, found, tail = name.rpartition(f".{layer}.")
            names += [f"{head}.all_modules.{number}.{tail}"] if found else []
        names += [f"decoder.{one}" for one in names if one.startswith("encoder.")]
        result |= dict.fromkeys(names, tensor)
    return result
