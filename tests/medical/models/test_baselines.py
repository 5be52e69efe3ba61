"""Every network of the catalogue for volumes: forward, backward, save and load, and a window that does not fit."""

import pytest
import torch

from medical.models.baselines import (
    AttentionUnetSettings,
    DynUnetSettings,
    SegResNetSettings,
    SwinUnetrSettings,
    UnetSettings,
)
from medical.models.residual_unet import PlainUnetSettings, ResidualUnetSettings
from medical.models.unetr import UnetrSettings
from tests.medical.models import test_aspp, test_cotr, test_transbts, test_transunet
from vol3d.catalog import MODELS, load
from vol3d.errors import UsageError

SMALL = {
    "unetr": UnetrSettings(patch=8, width=16, depth=2, heads=2, mlp=16, features=2, skips=(1, 2)),
    "transbts": test_transbts.SMALL,
    "cotr": test_cotr.SMALL,
    "aspp": test_aspp.SMALL,
    "transunet": test_transunet.SMALL,
    "unet": UnetSettings(channels=(4, 8, 16), strides=(2, 2)),
    "attention_unet": AttentionUnetSettings(channels=(4, 8, 16), strides=(2, 2)),
    "residual_unet": ResidualUnetSettings(
        features=(4, 6, 8),
        kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3)),
        strides=((1, 1, 1), (2, 2, 1), (2, 2, 2)),
        blocks=(1, 2, 1),
    ),
    "plain_unet": PlainUnetSettings(
        features=(4, 8), kernels=((3, 3, 3), (3, 3, 3)), strides=((1, 1, 1), (2, 2, 2)), convolutions=(1, 2)
    ),
    "dynunet": DynUnetSettings(
        kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3)), strides=((1, 1, 1), (2, 2, 1), (2, 2, 1)), filters=(4, 8, 8)
    ),
    "swin_unetr": SwinUnetrSettings(features=12, depths=(1, 1, 1, 1)),
    "segresnet": SegResNetSettings(features=8, down=(1, 1), up=(1,)),
}


@pytest.mark.parametrize("name", [name for name, entry in MODELS.items() if entry.task == "segmentation"])
def test_each_network(name):
    settings = SMALL[name]
    assert type(settings) is load(MODELS[name].target) and settings.name == name
    torch.manual_seed(0)
    network = settings.build(2, 3, (64, 32, 32))
    image = torch.randn(1, 2, 64, 32, 32)
    logits = network(image)
    assert logits.shape == (1, 3, 64, 32, 32)
    logits.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    twin = settings.build(2, 3, (64, 32, 32)).eval()
    twin.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(twin(image), network.eval()(image))


@pytest.mark.parametrize("name", SMALL)
def test_a_window_that_does_not_fit_is_refused_before_the_network_runs(name):
    window = (33, 32, 32)
    try:
        network = SMALL[name].build(1, 2, window)
    except UsageError as error:
        assert "got (33, 32, 32), wanted multiples of" in str(error)
    else:
        assert network(torch.zeros(1, 1, *window)).shape == (1, 2, *window)


def test_dynunet_halves_each_axis_on_its_own():
    SMALL["dynunet"].build(1, 2, (32, 32, 7))
    with pytest.raises(UsageError, match="multiples of"):
        SMALL["dynunet"].build(1, 2, (30, 32, 7))


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        (UnetSettings, {"strides": (2,)}, "5 channels need 4 strides"),
        (AttentionUnetSettings, {"channels": (4, 8)}, "2 channels need 1 strides"),
        (DynUnetSettings, {"filters": (8,)}, "one entry a level"),
        (ResidualUnetSettings, {"blocks": (1, 2)}, "6 stages need as many blocks, got 2"),
        (PlainUnetSettings, {"features": (8, 16)}, "2 stages need as many kernels, got 6"),
        (ResidualUnetSettings, {"kernels": ((3, 3, 2),) * 6}, r"kernels must be odd, got \(3, 3, 2\)"),
        (ResidualUnetSettings, {"blocks": (0,) * 6}, "must be at least 1, got 0"),
    ],
)
def test_settings_refuse(settings, change, message):
    with pytest.raises(ValueError, match=message):
        settings(**change)
