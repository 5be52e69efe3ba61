"""The distortions of training windows, composed of MONAI's random transforms, which the caller seeds at each call."""

from __future__ import annotations

import numpy as np
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    RandAdjustContrast,
    RandAffine,
    RandFlip,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandRotate90,
    RandScaleIntensity,
    RandShiftIntensity,
    RandSimulateLowResolution,
    Transform,
)
from torch import Tensor

from medical.augment import AugmentSettings


def spatial(settings: AugmentSettings, window: tuple[int, int, int], mode: str) -> Compose:
    """Turns, scales, shifts and mirrors (c, i, j, k), and cuts the window from its centre.

    Args:
        mode: `bilinear` for images, `nearest` for labels.
    """
    angles = np.deg2rad(settings.rotate_deg)
    # MONAI scales the sampling grid: a factor of 2 there shows the object at half its size.
    factors = (1 / settings.scale[1] - 1, 1 / settings.scale[0] - 1)
    steps: list[Transform] = [
        RandAffine(
            prob=settings.affine,
            rotate_range=[(-angle, angle) for angle in angles],
            scale_range=[factors] * 3,
            translate_range=[(-shift, shift) for shift in settings.shift_voxels],
            spatial_size=window,
            mode=mode,
            padding_mode="zeros",
        )
    ]
    steps += [RandFlip(chance, spatial_axis=axis) for axis, chance in enumerate(settings.flip)]
    return Compose([*steps, RandRotate90(settings.rotate90, max_k=3, spatial_axes=(0, 1))])


def intensity(settings: AugmentSettings) -> Compose:
    """Noise, blur, lower resolution and other intensities of (c, i, j, k), in this order."""
    return Compose(
        [
            RandGaussianNoise(settings.noise, std=0.1),
            RandGaussianSmooth((0.5, 1.0), (0.5, 1.0), (0.5, 1.0), prob=settings.blur),
            RandSimulateLowResolution(settings.low_resolution, zoom_range=(0.5, 1.0)),
            RandAdjustContrast(settings.gamma, gamma=(0.7, 1.5)),
            RandScaleIntensity(settings.scale_by, settings.scale_intensity),
            RandShiftIntensity(settings.shift_by, prob=settings.shift_intensity),
        ]
    )


def plain(x: Tensor) -> Tensor:
    """Without MONAI's metadata, which would follow the tensor through the network."""
    return x.as_tensor().contiguous() if isinstance(x, MetaTensor) else x.contiguous()
