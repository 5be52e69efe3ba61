"""UNETR: sizes of the paper, MONAI's numbers with MONAI's weights, and what its settings promise."""

import pytest
import torch
from monai.networks.nets import UNETR
from pydantic import ValidationError
from safetensors.torch import save_file

from medical.models.released import RELEASED_SKIPS, UNUSED_0_7, load_unetr
from medical.models.unetr import UnetrSettings, instance_norm
from medical.models.vit import SelfAttention
from vol3d.errors import CheckpointError, UsageError

SMALL = UnetrSettings(patch=8, width=24, depth=4, heads=3, mlp=32, features=4, skips=(1, 3))


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "window", "count"),
    [(1, 14, (96, 96, 96), 92_784_046), (4, 3, (128, 128, 128), 102_449_715), (1, 3, (48, 64, 48), 92_645_619)],
)
def test_parameter_counts_of_the_published_networks(in_channels, out_channels, window, count):
    with torch.device("meta"):
        network = UnetrSettings().build(in_channels, out_channels, window)
    assert sum(p.numel() for p in network.parameters()) == count
    assert len(network.state_dict()) == 170


def test_every_parameter_takes_part():
    network = SMALL.build(2, 3, (16, 16, 16))
    network(torch.randn(1, 2, 16, 16, 16)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("decoder", ["unetr", "nup", "pup", "mla"])
def test_decoders_keep_the_size_of_the_image(decoder):
    network = SMALL.model_copy(update={"decoder": decoder}).build(1, 5, (16, 24, 16)).eval()
    assert network(torch.randn(2, 1, 16, 24, 16)).shape == (2, 5, 16, 24, 16)


def test_other_image_sizes_resample_the_position_embedding():
    network = SMALL.build(1, 2, (16, 16, 16)).eval()
    image = torch.randn(1, 1, 16, 16, 16)
    tokens, grid = network.embed(image)
    assert grid == (2, 2, 2)
    torch.testing.assert_close(
        tokens - network.embed.projection(image).flatten(2).transpose(1, 2),
        network.embed.position.flatten(2).transpose(1, 2),
    )
    assert network(torch.randn(1, 1, 32, 8, 24)).shape == (1, 2, 32, 8, 24)
    with pytest.raises(ValueError, match="multiples of patch 8, got"):
        network(torch.randn(1, 1, 12, 16, 16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 12}, "power of two"),
        ({"skips": (1,)}, "needs 2 skips"),
        ({"skips": (3, 1)}, "rise within"),
        ({"skips": (1, 9)}, "rise within 1..4"),
        ({"heads": 5}, "multiple of heads"),
        ({"feature_size": 16}, "feature_size"),
    ],
)
def test_settings_refuse(change, message):
    with pytest.raises(ValidationError, match=message):
        UnetrSettings(**(SMALL.model_dump() | change))


def test_window_must_fit_the_patch():
    with pytest.raises(UsageError, match="multiples of"):
        SMALL.build(1, 2, (16, 20, 16))


def test_attention_equals_the_formula():
    torch.manual_seed(0)
    attention = SelfAttention(12, 3, 0.0).double()
    x = torch.randn(2, 5, 12, dtype=torch.double, requires_grad=True)
    q, k, v = attention.qkv(x).view(2, 5, 3, 3, 4).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-1, -2) / 4**0.5).softmax(-1)
    expected = attention.out((weights @ v).transpose(1, 2).reshape(2, 5, 12))
    torch.testing.assert_close(attention(x), expected)
    assert torch.autograd.gradcheck(attention, x)


def test_dropout_is_off_outside_training():
    network = SMALL.model_copy(update={"dropout": 0.5}).build(1, 2, (16, 16, 16)).eval()
    image = torch.randn(1, 1, 16, 16, 16)
    torch.testing.assert_close(network(image), network(image), rtol=0, atol=0)


def test_instance_norm_is_torchs():
    x = torch.randn(2, 3, 4, 5, 6) * 7 + 2
    torch.testing.assert_close(instance_norm(x), torch.nn.InstanceNorm3d(3)(x), rtol=1e-5, atol=1e-5)


# --- released layouts ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def monai_unetr():
    """MONAI's network of the 1.3 and later layout, two channels in, with the paper's ViT cut to a narrow one."""
    torch.manual_seed(1)
    return UNETR(2, 3, (32, 48, 16), feature_size=4, hidden_size=48, mlp_dim=96, num_heads=4).eval()


NARROW = {"window": (32, 48, 16), "heads": 4}


def clean(weights):
    return {key: value for key, value in weights.items() if "cross_attn" not in key}


def save(tmp_path, weights, name="weights.safetensors"):
    path = tmp_path / name
    save_file({key: value.contiguous() for key, value in weights.items()}, path)
    return path


@pytest.mark.parametrize("layout", ["clean", "new", "0.7"])
def test_layouts_give_monais_numbers(tmp_path, monai_unetr, layout):
    weights = monai_unetr.state_dict()
    if layout != "new":
        weights = clean(weights)
        assert len(weights) == 170
    if layout == "0.7":
        weights |= {key: torch.zeros(1) for key in UNUSED_0_7}
        assert len(weights) == 174
    network = load_unetr(save(tmp_path, weights), NARROW).eval()
    assert network.settings.skips == RELEASED_SKIPS
    image = torch.randn(2, 2, 32, 48, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(image), monai_unetr(image), rtol=1e-4, atol=1e-4)


def test_gradients_equal_monais(tmp_path, monai_unetr):
    network = load_unetr(save(tmp_path, clean(monai_unetr.state_dict())), NARROW)
    ours = torch.randn(1, 2, 32, 48, 16, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    network(ours).square().mean().backward()
    monai_unetr(theirs).square().mean().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)


def test_convolutional_patch_embedding_and_wrapped_file(tmp_path):
    torch.manual_seed(2)
    theirs = UNETR(1, 2, 32, feature_size=4, hidden_size=64, mlp_dim=64, num_heads=1, proj_type="conv").eval()
    path = tmp_path / "model.pt"
    torch.save({"epoch": 3, "state_dict": {"module." + k: v for k, v in clean(theirs.state_dict()).items()}}, path)
    image = torch.randn(1, 1, 32, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(load_unetr(path).eval()(image), theirs(image), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w.pop("vit.norm.bias"), "'vit.norm.bias' is missing"),
        (lambda w: w.update({"extra.weight": torch.zeros(1)}), "unknown tensors.*extra.weight"),
        (lambda w: w.update({sorted(UNUSED_0_7)[0]: torch.zeros(1)}), "unknown tensors"),
        (lambda w: w.update({"vit.norm.bias": torch.zeros(7)}), r"'vit.norm.bias'; got \(7,\), wanted \(48,\)"),
        (lambda w: w.pop("vit.blocks.0.mlp.linear1.weight"), "not a UNETR checkpoint"),
    ],
)
def test_strict(tmp_path, monai_unetr, spoil, message):
    weights = clean(monai_unetr.state_dict())
    spoil(weights)
    with pytest.raises(CheckpointError, match=message):
        load_unetr(save(tmp_path, weights), NARROW)


def test_what_the_file_does_not_tell(tmp_path, monai_unetr):
    path = save(tmp_path, clean(monai_unetr.state_dict()))
    with pytest.raises(CheckpointError, match="6 tokens are no cube"):
        load_unetr(path)
    with pytest.raises(CheckpointError, match="window does not fit"):
        load_unetr(path, {"window": (16, 16, 16)})
    with pytest.raises(CheckpointError, match="the file itself determines"):
        load_unetr(path, {"features": 16})


HYBRID = SMALL.model_copy(update={"stem": "convolution", "deep_supervision": 2})


def test_a_convolutional_stem_and_deep_supervision():
    torch.manual_seed(0)
    network = HYBRID.build(2, 3, (16, 24, 16))
    image = torch.randn(2, 2, 16, 24, 16)
    outputs = network.logits(image)
    assert [tuple(logits.shape[1:]) for logits in outputs] == [(3, 16, 24, 16), (3, 8, 12, 8), (3, 4, 6, 4)]
    assert torch.equal(outputs[0], network(image)) and torch.equal(outputs[0], network.eval()(image))
    sum(logits.square().mean() for logits in outputs).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    assert network(torch.randn(1, 2, 32, 8, 24)).shape == (1, 3, 32, 8, 24)  # other windows resample the positions
    with pytest.raises(ValueError, match="multiples of patch 8, got"):
        network(torch.randn(1, 2, 12, 16, 16))


def test_without_them_there_are_no_further_weights():
    names = set(SMALL.build(1, 2, (16, 16, 16)).state_dict())
    assert not [name for name in names if "stem" in name or "deep" in name]
    deep = set(SMALL.model_copy(update={"deep_supervision": 1}).build(1, 2, (16, 16, 16)).state_dict())
    assert deep - names == {"decoder.deep_heads.0.weight", "decoder.deep_heads.0.bias"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"deep_supervision": 3}, "must be below 3 for patch 8"),
        ({"deep_supervision": 0}, "greater than or equal to 1"),
        ({"decoder": "pup", "deep_supervision": 1}, "need the decoder unetr"),
        ({"decoder": "mla", "stem": "convolution"}, "need the decoder unetr"),
    ],
)
def test_options_that_cannot_work_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        UnetrSettings(**(SMALL.model_dump() | change))
