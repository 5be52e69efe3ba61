"""Small bundles in the form of the published zoo, a scan for them, and MONAI's own result."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch

UNET = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 3,
    "channels": [4, 8],
    "strides": [2],
    "norm": "batch",
}
NAMES = {"0": "background", "1": "liver", "2": "spleen"}
LOAD = [{"_target_": "LoadImaged", "keys": "image"}, {"_target_": "EnsureChannelFirstd", "keys": "image"}]
ORIENT = {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}
SPACE = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"}
SCALE = {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -100, "a_max": 100, "b_min": 0, "b_max": 1}
SCALE |= {"clip": True}
CROP = {"_target_": "CropForegroundd", "keys": "image", "source_key": "image", "margin": 2}
WINDOWS = {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 2, "overlap": 0.5}
SOFTMAX = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
SIGMOID = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
INVERT: dict[str, Any] = {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"}
INVERT |= {"nearest_interp": False, "to_tensor": True}
ARGMAX = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
THRESHOLD = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}
SAVE = {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "output_dtype": "$numpy.float32"}


def config(
    pre: list[dict[str, Any]] | None = None,
    post: list[dict[str, Any]] | None = None,
    network: dict[str, Any] | None = None,
    inferer: dict[str, Any] | None = None,
    **entries: Any,
) -> dict[str, Any]:
    """`configs/inference.json` with these transforms; further entries are added or replaced."""
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "/no/such/folder",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": network or UNET,
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": pre or [*LOAD, ORIENT, SPACE, SCALE, CROP]},
        "dataset": {"_target_": "Dataset", "data": "$[{'image': i} for i in @datalist]", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 4},
        "inferer": inferer or WINDOWS,
        "postprocessing": {"_target_": "Compose", "transforms": post or [SOFTMAX, INVERT, ARGMAX, SAVE]},
        "handlers": [{"_target_": "StatsHandler", "iteration_log": False}],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "amp": True,
        },
        "checkpointloader": {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/model.pt'",
            "load_dict": {"model": "@network"},
        },
        "initialize": ["$monai.utils.set_determinism(seed=123)", "$@checkpointloader(@evaluator)"],
        "run": ["$@evaluator.run()"],
        **entries,
    }


def metadata(names: dict[str, str] | None = None, channels: dict[str, str] | None = None) -> dict[str, Any]:
    """`configs/metadata.json` with these classes and channels."""
    image = {"type": "image", "modality": "CT", "channel_def": channels or {"0": "image"}}
    pred = {"type": "image", "channel_def": names or NAMES}
    about = {"version": "0.1.0", "task": "Segmentation", "copyright": "Copyright (c) nobody", "intended_use": "tests"}
    return {**about, "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": pred}}}


def write_bundle(root: Path, doc: dict[str, Any], meta: dict[str, Any] | None = None, seed: int = 0) -> Path:
    """A bundle with seeded weights."""
    from monai.bundle import ConfigParser

    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    (root / "configs" / "inference.json").write_text(json.dumps(doc))
    (root / "configs" / "metadata.json").write_text(json.dumps(meta or metadata()))
    torch.manual_seed(seed)
    network = ConfigParser({"net": doc["network_def"]}).get_parsed_content("net")
    with torch.no_grad():  # varied outputs: fresh weights give nearly the same everywhere
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.05 if parameter.ndim == 1 else 0.4))
    torch.save(network.state_dict(), root / "models" / "model.pt")
    return root


def write_scan(path: Path, channels: int = 1, shape: tuple[int, int, int] = (25, 31, 14)) -> Path:
    """A scan with turned axes and uneven spacing, air on some sides and smooth structures inside."""
    rng = np.random.default_rng(3)
    coarse = rng.normal(0, 90, (4, 5, 4, channels))
    grids = np.meshgrid(*(np.linspace(0, n - 1, m) for n, m in zip(coarse.shape, shape, strict=False)), indexing="ij")
    from scipy.ndimage import map_coordinates

    voxels = np.stack([map_coordinates(coarse[..., c], grids, order=1) for c in range(channels)], axis=-1)
    voxels[:4], voxels[:, -5:] = -1000, -1000
    affine = np.array([[0, -1.1, 0, 30], [0, 0, 2.4, -20], [-0.9, 0, 0, 12], [0, 0, 0, 1.0]])
    voxels = voxels[..., 0] if channels == 1 else voxels
    nibabel.save(nibabel.Nifti1Image(voxels.astype(np.float32), affine), path)
    return path


def by_monai(root: Path, scan: Path, overrides: dict[str, Any] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What MONAI's own objects make of a scan: (channels, i, j, k) after all but SaveImaged, and the affine."""
    from monai.bundle import ConfigParser
    from monai.data import MetaTensor

    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "inference.json"))
    parser["bundle_root"] = str(root)
    for key, value in (overrides or {}).items():
        parser[key] = value
    steps = parser["postprocessing"]["transforms"]
    parser["postprocessing"]["transforms"] = [one for one in steps if one["_target_"] != "SaveImaged"]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        network = parser.get_parsed_content("network_def").eval()
        network.load_state_dict(torch.load(root / "models" / "model.pt", weights_only=True))
        case = parser.get_parsed_content("preprocessing")({"image": str(scan)})
        image = case["image"]
        pred = parser.get_parsed_content("inferer")(image[None], network)[0]
        pred = MetaTensor(pred, meta=image.meta, applied_operations=image.applied_operations)
        found = parser.get_parsed_content("postprocessing")({"image": image, "pred": pred})["pred"]
    return found.numpy(), found.affine.numpy()
