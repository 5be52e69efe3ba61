"""TransUNet: sizes of the authors' network, and slices that do not know each other."""

import pytest
import torch
from pydantic import ValidationError

from medical.models.transunet import Encoder, StandardisedConvolution, TransUnetSettings
from vol3d.errors import UsageError

SMALL = TransUnetSettings(
    features=32, blocks=(1, 2, 1), width=12, depth=2, heads=2, mlp=16, bottom=8, decoder=(8, 6, 4, 4)
)


@pytest.mark.parametrize(("channels", "count"), [(1, 105_277_081), (3, 105_277_081), (4, 105_277_081 + 49 * 64)])
def test_parameter_count_of_the_authors_network(channels, count):
    with torch.device("meta"):
        network = TransUnetSettings().build(channels, 9, (224, 224, 1))
    assert sum(p.numel() for p in network.parameters()) == count


def test_every_parameter_takes_part():
    torch.manual_seed(0)
    network = SMALL.build(1, 3, (32, 32, 1))
    network(torch.randn(2, 1, 32, 32, 1)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_slices_are_segmented_apart():
    network = SMALL.build(2, 3, (32, 48, 1)).eval()
    image = torch.randn(2, 2, 32, 48, 3)
    with torch.no_grad():
        together = network(image)
        apart = torch.cat([network(image[..., k : k + 1]) for k in range(3)], dim=-1)
    assert together.shape == (2, 3, 32, 48, 3)
    torch.testing.assert_close(together, apart)


def test_any_window_of_whole_cells():
    network = SMALL.build(1, 2, (32, 32, 1)).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 1, 16, 64, 2)).shape == (1, 2, 16, 64, 2)
    with pytest.raises(UsageError, match=r"got \(32, 24, 1\), wanted multiples of \(16, 16, 1\)"):
        network(torch.zeros(1, 1, 32, 24, 1))


def test_maps_of_the_encoder():
    last, skips = Encoder(SMALL, 3)(torch.randn(1, 3, 32, 64))
    assert last.shape == (1, 512, 2, 4)
    assert [tuple(skip.shape) for skip in skips] == [(1, 32, 16, 32), (1, 128, 8, 16), (1, 256, 4, 8)]


def test_weights_are_standardised_for_each_output():
    torch.manual_seed(1)
    layer = StandardisedConvolution(2, 3, 3, padding=1)
    x = torch.randn(1, 2, 5, 5)
    weight = layer.weight - layer.weight.mean(dim=(1, 2, 3), keepdim=True)
    weight = weight / (weight.square().mean(dim=(1, 2, 3), keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(layer(x), torch.nn.functional.conv2d(x, weight, layer.bias, padding=1))


def test_settings_refuse():
    with pytest.raises(ValidationError, match="multiple of heads, got 12 and 5"):
        TransUnetSettings(**(SMALL.model_dump() | {"heads": 5}))
