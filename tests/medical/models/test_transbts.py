"""TransBTS: sizes of the authors' network, windows, and its learned positions."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from medical.models.transbts import TransBtsSettings
from medical.models.vit import LearnedPositions
from vol3d.errors import UsageError

SMALL = TransBtsSettings(features=8, width=16, depth=2, heads=2, mlp=16)


def test_parameter_count_of_the_authors_network():
    with torch.device("meta"):
        network = TransBtsSettings().build(4, 4, (128, 128, 128))
    # The authors' code has 32,987,588; the forward pass never uses a norm of 1,024 and a linear map of 262,656.
    assert sum(p.numel() for p in network.parameters()) == 32_987_588 - 1_024 - 262_656


def test_every_parameter_takes_part():
    network = SMALL.build(2, 3, (16, 16, 16))
    network(torch.randn(1, 2, 16, 16, 16)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_any_window_of_whole_cells():
    network = SMALL.build(1, 2, (16, 16, 16)).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 1, 8, 24, 16)).shape == (2, 2, 8, 24, 16)
    with pytest.raises(UsageError, match=r"got \(16, 12, 16\), wanted multiples of \(8, 8, 8\)"):
        network(torch.zeros(1, 1, 16, 12, 16))


def test_dropout_is_off_outside_training():
    network = SMALL.model_copy(update={"dropout": 0.5, "image_dropout": 0.5}).build(1, 2, (16, 16, 16)).eval()
    image = torch.randn(1, 1, 16, 16, 16)
    torch.testing.assert_close(network(image), network(image), rtol=0, atol=0)


def test_settings_refuse():
    with pytest.raises(ValidationError, match="multiple of heads, got 16 and 3"):
        TransBtsSettings(**(SMALL.model_dump() | {"heads": 3}))


@pytest.mark.parametrize(("cell", "grid", "mode"), [((8, 8, 4), (2, 3, 4), "trilinear"), ((8, 8), (2, 3), "bilinear")])
def test_positions_of_another_grid_are_resampled(cell, grid, mode):
    positions = LearnedPositions(5, (16, 24, 16), cell)
    torch.nn.init.normal_(positions.position)
    assert positions.grid == grid and positions.at(grid) is positions.position
    other = positions.grid_of((32, 8, 8))
    wanted = F.interpolate(positions.position, other, mode=mode, align_corners=False)
    torch.testing.assert_close(positions.at(other), wanted)
    positions.resize(other)
    assert positions.grid == other and positions.position.requires_grad
    torch.testing.assert_close(positions.at(other), wanted)
