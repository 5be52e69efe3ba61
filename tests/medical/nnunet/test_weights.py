"""Checkpoints: every name is accounted for, and no code is run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from medical.models.residual_unet import UNet
from medical.nnunet.architecture import read_architecture
from medical.nnunet.weights import distinct, network, read_checkpoint
from tests.medical.nnunet.made import PLAIN, RESIDUAL, network_of, repeated, write_model
from vol3d.errors import CheckpointError

FILE = Path("checkpoint_final.pth")


def architecture(kind: str = PLAIN, dimension: int = 3, **changes: Any):
    stated = network_of(kind, dimension)
    return read_architecture(
        {"architecture": {**stated, "arch_kwargs": {**stated["arch_kwargs"], **changes}}}, "a", dimension
    )


@pytest.mark.parametrize("kind", [PLAIN, RESIDUAL])
@pytest.mark.parametrize("dimension", [2, 3])
def test_networks_map_windows_to_logits_of_their_size(kind, dimension):
    model = UNet(architecture(kind, dimension), 2, 3).eval()
    size = (1 if dimension == 2 else 4, 8, 6)
    assert model(torch.zeros(2, 2, *size)).shape == (2, 3, *size)


BOTTLENECK = {"block": "dynamic_network_architectures.building_blocks.residual.BottleneckD"}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (PLAIN, {}),
        (PLAIN, {"nonlin_first": True, "nonlin": "torch.nn.PReLU", "nonlin_kwargs": None}),
        (PLAIN, {"norm_op": None, "conv_bias": False}),
        (RESIDUAL, {"nonlin": None}),
        (RESIDUAL, {**BOTTLENECK, "bottleneck_channels": 3, "stem_channels": 5}),
    ],
)
def test_tensors_repeat_under_other_names(kind, changes):
    model = UNet(architecture(kind, **changes), 1, 2)
    own = model.state_dict()
    found = distinct(repeated(own), FILE)
    assert set(found) == set(own) and len(repeated(own)) > 2 * len(own)
    wrapped = {f"_orig_mod.{name}": tensor for name, tensor in repeated(own).items()}
    assert set(distinct(wrapped, FILE)) == set(own)


def test_a_read_checkpoint_gives_the_same_logits(tmp_path):
    write_model(tmp_path, folds=(0,))
    checkpoint = read_checkpoint(tmp_path / "fold_0" / FILE)
    assert (checkpoint.configuration, checkpoint.trainer, checkpoint.mirror) == (
        "3d_fullres",
        "nnUNetTrainer",
        (0, 1, 2),
    )
    torch.manual_seed(0)
    made = UNet(architecture(), 1, 3)
    for head in made.decoder.seg_layers:
        head.weight.data.mul_(8)
    image = torch.randn(1, 1, 8, 8, 6)
    read = network(architecture(), checkpoint, 1, 3)
    assert torch.equal(read(image), made.eval()(image)) and not read.training


def test_running_means_tell_batch_norm(tmp_path):
    write_model(tmp_path)
    file = tmp_path / "fold_0" / FILE
    content = torch.load(file, weights_only=False)
    trained = UNet(architecture(norm_op="torch.nn.BatchNorm3d"), 1, 3)
    content["network_weights"] = repeated(trained.state_dict())
    torch.save(content, file)
    read = network(architecture(), read_checkpoint(file), 1, 3)
    assert isinstance(read.encoder.stages[0][0].convs[0].norm, torch.nn.BatchNorm3d)


@pytest.mark.bad_input
def test_a_repetition_of_other_numbers_is_refused():
    tensors = repeated(UNet(architecture(), 1, 2).state_dict())
    name = "decoder.encoder.stages.0.0.convs.0.conv.weight"
    for wrong in ({**tensors, name: tensors[name] + 1}, {**tensors, "decoder.encoder.stem.weight": tensors[name]}):
        with pytest.raises(CheckpointError, match="a tensor that repeats no other"):
            distinct(wrong, FILE)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("init_args"), "no checkpoint of nnU-Net v2"),
        (lambda content: content.update(network_weights={"a": 1}), "weights that are no tensors"),
        (lambda content: content["init_args"].pop("configuration"), "the configuration is not stated"),
        (lambda content: content.update(inference_allowed_mirroring_axes=(0, 3)), "are no axes; got"),
        (
            lambda content: content["network_weights"].pop("decoder.seg_layers.0.weight"),
            "1 missing: decoder.seg_layers",
        ),
    ],
)
def test_what_a_file_may_lack(tmp_path, change, message):
    write_model(tmp_path)
    file = tmp_path / "fold_0" / FILE
    content = torch.load(file, weights_only=False)
    change(content)
    torch.save(content, file)
    with pytest.raises(CheckpointError, match=message):
        network(architecture(), read_checkpoint(file), 1, 3)


class Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code was run",)


@pytest.mark.bad_input
def test_a_cut_file_and_one_with_code_are_refused(tmp_path, capsys):
    file = write_model(tmp_path) / "fold_0" / FILE
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"damaged|no file of weights"):
        read_checkpoint(file)
    file.write_bytes(pickle.dumps({"network_weights": Code()}, protocol=2))
    with pytest.raises(CheckpointError, match="refused"):
        read_checkpoint(file)
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.bad_input
def test_arguments_that_torch_does_not_take(tmp_path):
    write_model(tmp_path)
    checkpoint = read_checkpoint(tmp_path / "fold_0" / FILE)
    with pytest.raises(CheckpointError, match=r"cannot be built.*sharpness"):
        network(architecture(nonlin_kwargs={"sharpness": 1}), checkpoint, 1, 3)
