"""ASPP: what its atrous convolutions see, its strides, and any window."""

import pytest
import torch
from pydantic import ValidationError

from medical.models.aspp import AsppSettings, Pyramid, separable

SMALL = AsppSettings(features=4, blocks=(1, 2, 1, 2), width=8, low_level=4)


def test_parameter_count():
    with torch.device("meta"):
        network = AsppSettings().build(1, 14, (96, 96, 96))
    # Convolutions of ResNet-50 with a third axis, the pyramid, the decoder, and two numbers a channel of each norm.
    bottlenecks = 0
    before = 64
    for count, inner in zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True):
        bottlenecks += before * 4 * inner + before * inner + (count - 1) * 4 * inner * inner  # shortcut, first 1^3
        bottlenecks += count * (27 * inner * inner + 4 * inner * inner)
        bottlenecks += 2 * (4 * inner + count * 6 * inner)  # norms
        before = 4 * inner
    stem = 343 * 64 + 2 * 64
    pyramid = 2048 * 256 + 512 + 3 * (27 * 2048 + 2048 * 256 + 512) + 2048 * 256 + 256 + 5 * 256 * 256 + 512
    decoder = 256 * 48 + 96 + 27 * 304 + 304 * 256 + 512 + 27 * 256 + 256 * 256 + 512 + 256 * 14 + 14
    assert sum(p.numel() for p in network.parameters()) == stem + bottlenecks + pyramid + decoder


@pytest.mark.parametrize("stride", [8, 16])
def test_every_parameter_takes_part_and_the_output_has_the_size_of_the_image(stride):
    torch.manual_seed(0)
    network = SMALL.model_copy(update={"output_stride": stride}).build(2, 3, (32, 32, 32))
    image = torch.randn(2, 2, 32, 48, 19)
    fine, coarse = network.encoder(image)
    assert fine.shape == (2, 16, 8, 12, 5)
    assert coarse.shape[:3] == (2, 128, 32 // stride)
    logits = network(image)
    assert logits.shape == (2, 3, 32, 48, 19)
    logits.square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_an_atrous_convolution_sees_cells_at_its_rate():
    layer = separable(1, 1, 3).eval()
    x = torch.zeros(1, 1, 9, 9, 9, requires_grad=True)
    layer[0](x)[0, 0, 4, 4, 4].backward()
    seen = {tuple(cell) for cell in x.grad[0, 0].nonzero().tolist()}
    assert seen == {(i, j, k) for i in (1, 4, 7) for j in (1, 4, 7) for k in (1, 4, 7)}


def test_the_pyramid_of_one_window_can_be_trained():
    pyramid = Pyramid(4, SMALL).train()
    assert pyramid(torch.randn(1, 4, 2, 2, 2)).shape == (1, 8, 2, 2, 2)


@pytest.mark.parametrize("change", [{"output_stride": 32}, {"rates": (1, 2)}, {"width": 0}])
def test_settings_refuse(change):
    with pytest.raises(ValidationError):
        AsppSettings(**(SMALL.model_dump() | change))
