"""Masked pre-training: its arithmetic against slow twins, a training that learns and resumes, what begins with it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import vol3d
from medical.masked_task import MaskedTask
from medical.models.masked_unetr import MaskedUnetrSettings, hide, patches, reconstruction_loss
from tests.medical.synthetic import write_msd
from tests.medical.test_task import RECIPE as SEGMENTATION
from vol3d import checkpoint, terminal
from vol3d.config import load_task
from vol3d.engine.learner import Learner
from vol3d.engine.loop import train
from vol3d.engine.resume import read
from vol3d.errors import CheckpointError, UsageError

RECIPE = """
model: {name: masked_unetr, patch: 8, width: 16, depth: 2, heads: 2, mlp: 16, features: 8, skips: [1, 2]}
data: {name: msd, root: ROOT, folds: 2, fold: 0}
window: {size: [16, 24, 16]}
augment: {flip: [0.5, 0, 0], noise: 0.5}
optim: {lr: 1e-2}
train: {epochs: 2, batch: 2, evaluate_every: 2}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masked")
    write_msd(folder / "data", cases=6)
    for name, text in {"recipe": RECIPE, "segmentation": SEGMENTATION}.items():
        (folder / f"{name}.yaml").write_text(text.replace("ROOT", str(folder / "data")))
    return folder / "recipe.yaml"


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    train(load_task(recipe), recipe.parent / "run")
    return recipe.parent / "run"


def slow_loss(prediction: torch.Tensor, image: torch.Tensor, hidden: torch.Tensor, patch: int) -> float:
    errors = []
    for b, *cell in itertools.product(*map(range, hidden.shape)):
        if hidden[(b, *cell)]:
            where = tuple(slice(n * patch, (n + 1) * patch) for n in cell)
            wanted = []
            for channel in image[b]:
                voxels = channel[where].double()
                wanted.append((voxels - voxels.mean()) / (voxels.var(correction=0) + 1e-6).sqrt())
            errors.append(float((prediction[(b, slice(None), *where)] - torch.stack(wanted)).square().mean()))
    return float(np.mean(errors))


def test_the_loss_is_that_of_hidden_patches_only() -> None:
    torch.manual_seed(0)
    image, hidden = torch.randn(2, 2, 4, 8, 4) * 5 + 3, torch.rand(2, 1, 2, 1) > 0.3
    prediction = torch.randn_like(image).requires_grad_()
    loss = reconstruction_loss(prediction, image, hidden)
    assert float(loss.detach()) == pytest.approx(slow_loss(prediction.detach(), image, hidden, 4), rel=1e-5)
    loss.backward()
    assert prediction.grad is not None
    assert torch.equal(patches(prediction.grad, 4).abs().sum(dim=(1, 2)) > 0, hidden)
    air = torch.zeros(1, 1, 4, 4, 4)
    assert float(reconstruction_loss(air, air, torch.ones(1, 1, 1, 1, dtype=torch.bool))) == 0


def test_patches_and_what_is_hidden_are_at_the_same_place() -> None:
    image = torch.arange(2 * 8 * 4 * 4, dtype=torch.float32).reshape(1, 2, 8, 4, 4) + 1
    assert torch.equal(patches(image, 4)[0, 1, :, 1, 0, 0], image[0, 1, 4:].flatten())
    seen = hide(image, torch.tensor([False, True]).reshape(1, 2, 1, 1), 4)
    assert torch.equal(seen[:, :, :4], image[:, :, :4]) and not seen[:, :, 4:].any()


@pytest.mark.parametrize("stem", [None, "convolution"])
def test_what_is_hidden_cannot_be_seen(stem: str | None) -> None:
    sizes = {"patch": 4, "width": 8, "depth": 1, "heads": 1, "mlp": 8, "features": 4, "skips": (1,)}
    settings = MaskedUnetrSettings.model_validate(sizes | {"stem": stem})
    network = settings.build(1, 1, (8, 8, 4)).eval()
    image, hidden = torch.randn(1, 1, 8, 8, 4), torch.zeros(1, 2, 2, 1, dtype=torch.bool)
    hidden[0, 1, 0] = True
    other = image.clone()
    other[0, 0, 4:, :4] += 1
    assert torch.equal(network(hide(image, hidden, 4)), network(hide(other, hidden, 4)))
    assert network(image).shape == image.shape


def test_samples_are_drawn_by_their_generator_alone(recipe: Path) -> None:
    samples = load_task(recipe, ["model.hidden=0.25"]).samples()
    one, again, other = (samples.sample(0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.image, again.image) and torch.equal(one.hidden, again.hidden)
    assert not torch.equal(one.hidden, other.hidden)
    assert one.hidden.shape == (2, 3, 2) and int(one.hidden.sum()) == 3
    batch = samples.collate([one, other])
    assert torch.equal(batch.inputs[0], hide(one.image[None], one.hidden[None], 8)[0]) and len(batch.ids) == 2
    few = load_task(recipe, ["model.hidden=0.01"]).samples().sample(0, np.random.default_rng(1))
    assert int(few.hidden.sum()) == 1


def test_labels_are_not_read_and_further_scans_are(recipe: Path, tmp_path: Path) -> None:
    root = write_msd(tmp_path / "data", cases=6)
    for label in (root / "labelsTr").glob("*.nii.gz"):
        label.write_bytes(b"damaged")
    words = [f"data.root={root}"]
    alone = load_task(recipe, words).samples()
    further = write_msd(tmp_path / "more", cases=9)
    both = load_task(recipe, [*words, f"unlabelled={further}"]).samples()
    assert len(alone) == 3 and len(both) == 6  # of nine six have names of the first six cases
    assert train(load_task(recipe, [*words, "train.epochs=1"]), tmp_path / "run").rows


def test_it_learns(recipe: Path, tmp_path: Path) -> None:
    short = train(load_task(recipe, ["train.epochs=1"]), tmp_path / "short")
    longer = train(load_task(recipe, ["train.epochs=60", "train.evaluate_every=60"]), tmp_path / "long")
    assert short.score_name == "explained_share" and short.score < longer.score < 1
    assert longer.score > 0


def test_a_run_that_was_cut_ends_as_one_that_was_not(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train.save_every_s=1e-9", "train.ema=0.9"]
    whole = train(load_task(recipe, words), tmp_path / "whole")

    class Cut(Exception):
        pass

    apply = Learner.apply

    def stop(learner: Learner, step: int) -> None:
        if step == 1:
            raise Cut
        apply(learner, step)

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr("vol3d.engine.learner.Learner.apply", stop)
        train(load_task(recipe, words), tmp_path / "cut")
    assert train(load_task(recipe, words), tmp_path / "cut").rows == whole.rows
    ends = [read(tmp_path / name).state["model"] for name in ("whole", "cut")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_segmentation_begins_with_the_encoder(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segmentation = run.parent / "segmentation.yaml"
    with terminal.speaking(True):
        train(load_task(segmentation, [f"start_from={run}", "freeze=[embed, blocks]", "train.epochs=1"]), tmp_path)
    said = capsys.readouterr().err
    assert f"begin as in {run}: embed, blocks, norm" in said and "start from random values: decoder" in said
    before, after = (checkpoint.read_checkpoint(one / "best.safetensors")[0] for one in (run, tmp_path))
    encoder = [name for name in before if name.startswith(("network.embed", "network.blocks"))]
    assert encoder and all(torch.equal(before[name], after[name]) for name in encoder)
    info = json.loads((tmp_path / "config.json").read_text())
    assert info["started_from"]["checkpoint"] == str(run)
    with pytest.raises(CheckpointError, match="the part embed has other sizes"):
        train(load_task(segmentation, [f"start_from={run}", "model.width=8", "model.heads=1"]), tmp_path / "other")


def test_it_is_evaluated_and_predicts_nothing(run: Path) -> None:
    loaded = checkpoint.load(run)
    assert isinstance(loaded.task, MaskedTask)
    scores = [loaded.task.evaluate(loaded.models[0], torch.device("cpu"), lambda *_: None).score for _ in range(2)]
    assert scores[0] == scores[1] == pytest.approx(json.loads((run / "config.json").read_text())["score"])
    with pytest.raises(UsageError, match="a pre-trained encoder finds no classes"):
        vol3d.load(run, "cpu").predict(np.zeros((16, 24, 16), np.float32), affine=np.eye(4))


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["loss.dice=0.5"], "loss is about labels, of which pre-training has none"),
        (["unlabelled={root: x, windows: 2}"], "takes the folder only: unlabelled=ROOT"),
        (["model.hidden=1"], "hidden"),
        (["model.name=unetr"], "unknown setting 'model.hidden'"),
        (["unlabelled=nowhere"], "no such folder"),
        (["window.size=[8, 8, 8]"], r"must hold several patches of 8, got \(8, 8, 8\)"),
    ],
)
def test_bad_settings(recipe: Path, words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_task(recipe, [*words, *(["model.hidden=0.5"] if "name" in words[0] else [])]).samples()
