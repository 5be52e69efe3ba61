"""Networks for volumes that begin with the weights of others: layers of the classes, windows, channels, scales."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from medical.models.unetr import Unetr
from medical.segmenter import Segmenter
from medical.start_from import output_layers
from tests.medical.models.test_baselines import SMALL
from tests.medical.synthetic import CLASSES, write_msd
from tests.medical.test_task import RECIPE
from vol3d import checkpoint, terminal
from vol3d.config import load_task
from vol3d.engine.distributed import processes
from vol3d.engine.learner import Learner
from vol3d.engine.loop import train
from vol3d.engine.settings import StartSettings
from vol3d.engine.start_from import initial_model, take_over
from vol3d.errors import UsageError

WINDOW = (64, 32, 32)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    write_msd(folder / "data")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.replace("ROOT", str(folder / "data")))
    return path


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    train(load_task(recipe, ["train.epochs=1"]), recipe.parent / "run", device="cpu")
    return recipe.parent / "run"


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_layers_of_the_outputs_are_found_in_every_network(name: str) -> None:
    mine, theirs, larger = (SMALL[name].build(2, count, WINDOW) for count in (3, 2, 4))
    layers = output_layers(mine, larger)
    found = take_over(mine, theirs, StartSettings(checkpoint="x"), layers)
    assert layers and found.anew and len(found.taken) > len(found.anew)
    assert all(name.rpartition(".")[0] in layers for name in found.anew)


def test_another_class_begins_anew(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_msd(tmp_path / "data", class_names=CLASSES[:2])
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("ROOT", str(root)) + f"start_from: {run}\nfreeze: [embed, blocks]\n")
    with terminal.speaking(True):
        train(load_task(path, ["train.epochs=1"]), tmp_path / "run", device="cpu")
    told = capsys.readouterr().err
    assert "begin as in" in told and "2 tensors (18 parameters) start from random values: decoder.head" in told
    before, after = (checkpoint.read_checkpoint(one / "best.safetensors")[0] for one in (run, tmp_path / "run"))
    assert torch.equal(before["network.blocks.0.mlp.0.weight"], after["network.blocks.0.mlp.0.weight"])
    assert not torch.equal(before["network.norm.weight"], after["network.norm.weight"])
    assert after["network.decoder.head.weight"].shape[0] == 2


def test_the_position_embedding_is_resampled_to_another_window(run: Path, recipe: Path) -> None:
    model = initial_model(load_task(recipe, [f"start_from={run}", "window.size=[24, 24, 16]"]))
    theirs = checkpoint.load(run).models[0]
    (mine, other) = (Segmenter.network_of(one) for one in (model, theirs))
    assert isinstance(mine, Unetr) and isinstance(other, Unetr)
    wanted = F.interpolate(other.embed.position, (3, 3, 2), mode="trilinear", align_corners=False)
    assert torch.equal(mine.embed.position, wanted) and mine.embed.grid == (3, 3, 2)
    image = torch.randn(1, 1, 24, 24, 16)
    torch.testing.assert_close(mine.eval()(image), other(image))  # as the other one sees a window of this size


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["preprocess.intensity={name: window, low: 0, high: 200}"], "another scale of intensities; got {name: window"),
        (["channel_names=[a, b]"], "sees other channels; got a, b, wanted"),
        (["start_from=3detr-rooms"], "another task; got 3detr-rooms, a model for detection"),
        (["freeze=[network]"], "no such part; got network, wanted embed, blocks, norm, decoder"),
    ],
)
def test_what_does_not_fit_is_refused(run: Path, recipe: Path, words: list[str], message: str) -> None:
    with processes("cpu") as group, pytest.raises(UsageError, match=message):
        Learner(load_task(recipe, [f"start_from={run}", *words]), group)


def test_unscaled_intensities_must_be_alike(recipe: Path, tmp_path: Path) -> None:
    none = "preprocess.intensity={name: none}"
    train(load_task(recipe, [none, "train.epochs=1"]), tmp_path / "plain", device="cpu")
    words = [none, f"start_from={tmp_path / 'plain'}"]
    assert initial_model(load_task(recipe, words))
    root = write_msd(tmp_path / "bright")
    for path in root.glob("imagesTr/blobs*.nii.gz"):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(100 * image.get_fdata(dtype=np.float32), image.affine), path)
    with pytest.raises(UsageError, match="intensities are on another scale than the other network's: percentile 1 of"):
        initial_model(load_task(recipe, [*words, f"data.root={root}"]))


def test_what_differs_otherwise_is_noted(run: Path, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"start_from={run}", "preprocess.orientation=LPS", "channel_names=[CT]"]
    with terminal.speaking(True):
        initial_model(load_task(recipe, words))
    told = capsys.readouterr().err
    assert "preprocess.orientation=RAS, here it is LPS" in told and "here CT" in told
