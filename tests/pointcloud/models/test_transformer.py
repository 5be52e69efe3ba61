"""Attention against torch's own, the layers' order of steps, position embeddings, boxes from raw outputs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pointcloud.models.layers.attention import Attention, Decoder, EncoderLayer
from pointcloud.models.layers.position import FourierEmbedding, SineEmbedding
from pointcloud.models.three_detr.heads import HeadOutputs, decode_queries
from pointcloud.structures.angle_bins import decode_angle, encode_angle
from pointcloud.structures.bounds import SMALLEST_EXTENT_M, Bounds
from tests.reference import three_detr as twin


def pair(width: int = 12, heads: int = 3) -> tuple[Attention, nn.MultiheadAttention]:
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(width, heads, batch_first=True)
    ours = Attention(width, heads, 0.0)
    nn.init.normal_(theirs.in_proj_bias)
    ours.load_state_dict(theirs.state_dict())  # the layouts are the same
    return ours, theirs


def test_attention_is_torchs() -> None:
    ours, theirs = pair()
    query, key, value = torch.randn(2, 4, 12), torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    torch.testing.assert_close(ours(query, key, value), theirs(query, key, value)[0])
    allowed = torch.rand(2, 4, 7) > 0.4
    allowed[..., 0] = True
    blocked = (~allowed).repeat_interleave(3, dim=0)
    torch.testing.assert_close(ours(query, key, value, allowed), theirs(query, key, value, attn_mask=blocked)[0])


def test_attention_weights_are_torchs_and_sum_to_one() -> None:
    ours, theirs = pair()
    x, allowed = torch.randn(2, 7, 12), torch.rand(2, 7, 7) > 0.4
    allowed |= torch.eye(7, dtype=torch.bool)
    blocked = (~allowed).repeat_interleave(3, dim=0)
    wanted = theirs(x, x, x, attn_mask=blocked, average_attn_weights=False)[1]
    found = ours.weights(x, x, allowed)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(2, 3, 7))
    assert bool((found[~allowed[:, None].expand_as(found)] == 0).all())


def test_a_layer_looks_with_the_mean_of_its_heads() -> None:
    layer, x = EncoderLayer(12, 3, 8, 0.0), torch.randn(2, 5, 12)
    y = layer.norm1(x)
    torch.testing.assert_close(layer.looks(x, 3), layer.attention.weights(y, y).mean(dim=1)[:, 3])


def test_attention_without_queries_gives_none() -> None:
    ours, _ = pair()
    assert ours(torch.randn(2, 0, 12), torch.randn(2, 7, 12), torch.randn(2, 7, 12)).shape == (2, 0, 12)


def test_gradients_of_attention_are_torchs() -> None:
    ours, theirs = pair()
    x = torch.randn(2, 5, 12)
    ours(x, x, x).square().sum().backward()
    theirs(x, x, x)[0].square().sum().backward()
    for (name, own), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_attention_weights_drop_out_in_training_only() -> None:
    attention = Attention(12, 3, 0.5)
    x = torch.randn(1, 6, 12)
    assert not torch.equal(attention(x, x, x), attention(x, x, x))
    attention.eval()
    assert torch.equal(attention(x, x, x), attention(x, x, x))


def test_an_encoder_layer_adds_after_each_step() -> None:
    layer = EncoderLayer(12, 3, 20, 0.3).eval()
    x = torch.randn(2, 5, 12)
    y = layer.norm1(x)
    mixed = x + layer.attention(y, y, y)
    torch.testing.assert_close(layer(x), mixed + layer.feed_forward(layer.norm2(mixed)))


def test_the_decoder_gives_every_layer_through_one_norm() -> None:
    decoder = Decoder(3, 12, 3, 20, 0.0)
    states = decoder(torch.randn(2, 4, 12), torch.randn(2, 9, 12), torch.randn(2, 9, 12))
    assert states.shape == (3, 2, 4, 12)
    torch.testing.assert_close(states.mean(-1), torch.zeros(3, 2, 4), rtol=0, atol=1e-5)


def test_memory_positions_are_in_keys_and_not_in_values() -> None:
    decoder = Decoder(1, 12, 3, 20, 0.0)
    place, memory = torch.randn(1, 4, 12), torch.randn(1, 1, 12)
    # With one token to look at, whatever its key is, its value is what every query gets.
    torch.testing.assert_close(decoder(place, memory, torch.zeros(1, 1, 12)), decoder(place, memory, memory * 5))


@pytest.mark.parametrize("width", [6, 32, 34, 36, 256])
def test_sine_embedding_is_the_slow_twins(width: int) -> None:
    xyz = torch.rand(2, 3, 3)
    found = SineEmbedding(width)(xyz)
    expected = torch.tensor([[twin.sine(point, width) for point in cloud] for cloud in xyz.tolist()])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_fourier_embedding_is_sines_then_cosines_in_float32() -> None:
    embed = FourierEmbedding(8)
    xyz = torch.rand(1, 4, 3)
    angle = 2 * math.pi * xyz @ embed.projection
    torch.testing.assert_close(embed(xyz), torch.cat([angle.sin(), angle.cos()], dim=-1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(embed(xyz), embed(xyz.clone()))
        torch.testing.assert_close(embed(xyz), torch.cat([angle.sin(), angle.cos()], dim=-1))
    assert not list(embed.parameters())
    assert list(embed.state_dict()) == ["projection"]


@given(st.floats(-20, 20), st.sampled_from([1, 2, 6, 12]))
def test_angles_survive_bins(angle: float, bins: int) -> None:
    index, residual = encode_angle(torch.tensor([angle], dtype=torch.float64), bins)
    assert 0 <= int(index) < bins
    assert abs(float(residual)) <= 1 + 1e-9
    logits = nn.functional.one_hot(index, bins).double()
    back = float(decode_angle(logits, residual[:, None].expand(1, bins)))
    expected = 0.0 if bins == 1 else angle
    assert math.cos(back - expected) == pytest.approx(1, abs=1e-9)


def test_bins_are_the_originals(oracle_root: Path) -> None:
    tables = json.loads((oracle_root / "3detr" / "F_tables" / "tables.json").read_text())
    for example in tables["sunrgbd"]["angle2class_examples"]:
        index, residual = encode_angle(torch.tensor(example["angle_rad"], dtype=torch.float64), 12)
        assert int(index) == example["class"]
        assert float(residual) * math.pi / 12 == pytest.approx(example["residual_rad"], abs=1e-6)


def test_boxes_from_raw_outputs() -> None:
    bounds = Bounds(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[4.0, 2.0, 1.0]]))
    zeros = torch.zeros(1, 1, 1, 3)
    bins = torch.tensor([0.0, 1.0, 0.0, 0.0]).view(1, 1, 1, 4)
    outputs = HeadOutputs(torch.zeros(1, 1, 1, 2), zeros, zeros, bins, torch.full((1, 1, 1, 4), 0.5))
    box = decode_queries(outputs, torch.tensor([[[1.0, 1.0, 1.0]]]), bounds)[0, 0, 0]
    clockwise = math.pi / 2 + 0.5 * math.pi / 4
    torch.testing.assert_close(box, torch.tensor([1, 1, 1, 2, 1, SMALLEST_EXTENT_M / 2, -clockwise]))
    still = outputs._replace(angle_logits=bins[..., :1], angle_residual=bins[..., 1:2])
    assert str(float(decode_queries(still, torch.zeros(1, 1, 3), bounds)[0, 0, 0, 6])) == "0.0"


def test_bounds_of_a_flat_scan_keep_places_finite() -> None:
    bounds = Bounds(torch.zeros(1, 3), torch.tensor([[2.0, 1.0, 0.0]]))
    torch.testing.assert_close(bounds.normalize(torch.tensor([[[1.0, 1.0, 0.0]]])), torch.tensor([[[0.5, 1.0, 0.0]]]))


@pytest.mark.parametrize("tokens", [7, 600])
def test_attention_in_bfloat16_is_that_of_float32_but_for_rounding(tokens: int) -> None:
    ours, _ = pair()
    x, allowed = torch.randn(2, tokens, 12), torch.rand(2, tokens, tokens) > 0.4
    allowed[..., 0] = True
    wanted = ours(x, x, x, allowed)
    exact = torch.autograd.grad(wanted.square().sum(), [*ours.parameters()])
    with torch.autocast("cpu", torch.bfloat16):
        found = ours(x, x, x, allowed)
        with torch.no_grad():
            alone = ours(x, x, x, allowed)
    assert found.dtype == alone.dtype == torch.bfloat16
    for one in (found, alone):
        torch.testing.assert_close(one.float(), wanted, rtol=0.03, atol=0.03)
    for own, other in zip(torch.autograd.grad(found.float().square().sum(), [*ours.parameters()]), exact, strict=True):
        assert (own - other).norm() < 0.03 * other.norm()
