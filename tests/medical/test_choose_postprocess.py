"""Post-processing from the folds: the counts equal Dice of real masks, and nothing that lowers a class is chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medical.choose_postprocess import _write, choose_postprocess, count, decide
from medical.classes import Classes
from medical.datasets.cases import IGNORED
from medical.metrics import dice
from medical.postprocess import PostprocessSettings, postprocess
from tests.medical.synthetic import write_msd
from vol3d import checkpoint
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.engine.task import Evaluation
from vol3d.errors import CheckpointError, UsageError
from vol3d.scans.volumes.volume import Grid, Segmentation

PLAIN = Classes(("background", "a", "b"))
NESTED = Classes(("background", "rim", "core"), {"whole": ("rim", "core"), "core": ("core",)})


def segmentation(labels: np.ndarray, classes: Classes) -> Segmentation:
    return Segmentation(labels.astype(np.uint8), Grid(labels.shape, np.eye(4)), classes.names, None, ())


def random_case(seed: int, ignored: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    found, truth = (rng.choice(3, (9, 8, 7), p=(0.85, 0.1, 0.05)).astype(np.uint8) for _ in range(2))
    if ignored:
        truth[rng.random(truth.shape) < 0.2] = IGNORED
    return found, truth


@pytest.mark.parametrize("classes", [PLAIN, NESTED])
@pytest.mark.parametrize("chosen", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("ignored", [False, True])
def test_counts_give_the_dice_of_masks_that_were_made(classes, chosen, ignored):
    found, truth = random_case(1, ignored)
    mask = segmentation(found, classes)
    got = count(mask, truth, classes).dice(chosen)
    made = postprocess(mask, PostprocessSettings(largest_component=tuple(classes.foreground[n] for n in chosen)))
    known = truth != IGNORED
    for value, labels in zip(got, classes.scored.values(), strict=True):
        assert value == pytest.approx(dice(np.isin(made.labels, labels) & known, np.isin(truth, labels) & known))


def test_an_empty_case_has_no_dice():
    nothing = np.zeros((3, 3, 3), np.uint8)
    counts = count(segmentation(nothing, PLAIN), nothing, PLAIN)
    assert np.isnan(counts.dice(())).all()
    choice = decide([counts], PLAIN, 1)
    assert choice.classes == () and np.isnan(choice.before).all()


def two_pieces(second_is_true: bool) -> tuple[np.ndarray, np.ndarray]:
    """Class 1 in a large and a small piece; class 2 right."""
    found = np.zeros((12, 6, 6), np.uint8)
    found[:4, :4, :4], found[7:9, :2, :2], found[11] = 1, 1, 2
    truth = found.copy()
    if not second_is_true:
        truth[7:9] = 0
    return found, truth


def test_only_what_raises_a_class_is_chosen():
    wrong = count(*_given(two_pieces(False)), PLAIN)
    right = count(*_given(two_pieces(True)), PLAIN)
    choice = decide([wrong], PLAIN, 1)
    assert choice.classes == ("a",) and choice.after[0] == 1 > choice.before[0] and choice.after[1] == 1
    assert decide([right], PLAIN, 1).classes == ()
    mixed = decide([wrong, right], PLAIN, 2)
    gains = wrong.dice((0,))[0] - wrong.dice(())[0] + right.dice((0,))[0] - right.dice(())[0]
    assert (mixed.classes == ("a",)) == (gains > 0) and mixed.cases == 2


def _given(pair: tuple[np.ndarray, np.ndarray]) -> tuple[Segmentation, np.ndarray]:
    return segmentation(pair[0], PLAIN), pair[1]


def test_a_region_that_would_fall_forbids_it():
    found, truth = np.zeros((12, 6, 6), np.uint8), np.zeros((12, 6, 6), np.uint8)
    found[:4], found[8:10] = 2, 2  # the second piece is rim, called core
    truth[:4], truth[8:10] = 2, 1
    choice = decide([count(segmentation(found, NESTED), truth, NESTED)], NESTED, 1)
    assert choice.alone["core"][1] > choice.before[1] and choice.alone["core"][0] < choice.before[0]
    assert choice.classes == ()


RECIPE = """
model: {name: unetr, patch: 8, width: 16, depth: 2, heads: 2, mlp: 16, features: 8, skips: [1, 2]}
data: {name: msd, root: ROOT, folds: 2, fold: 0}
window: {size: [16, 24, 16]}
train: {epochs: 1, batch: 2}
"""


def save_fold(root: Path, fold: int | str, folder: Path) -> None:
    """A checkpoint that was not trained: its noise is in many pieces."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(RECIPE.replace("ROOT", str(root)))
    task = load_task(folder / "recipe.yaml", [f"data.fold={fold}"])
    torch.manual_seed(0)
    checkpoint.save_best(folder, task.model(), task, Evaluation(0.0, "", {}), 1)


def test_the_decision_is_in_every_fold(tmp_path: Path, capsys):
    root = write_msd(tmp_path / "data", cases=4)
    for fold in (0, 1):
        save_fold(root, fold, tmp_path / "cv" / f"fold{fold}")
    before = [checkpoint.read_info(path)["sha256"] for path in checkpoint.resolve(tmp_path / "cv")]
    words = ["postprocess", str(tmp_path / "cv"), "--device", "cpu"]
    assert main([*words, "--dry-run"]) == 0
    assert "nothing was written" in capsys.readouterr().err
    assert [checkpoint.read_info(path)["sha256"] for path in checkpoint.resolve(tmp_path / "cv")] == before

    root.rename(tmp_path / "moved")
    assert main([*words, "--data", str(tmp_path / "moved"), "--json"]) == 0
    choice = choose_postprocess(tmp_path / "cv", tmp_path / "moved", torch.device("cpu"), lambda *_: None, False)
    assert choice.cases == 4 and choice.folds == 2
    loaded = checkpoint.load(tmp_path / "cv")
    assert loaded.task.settings.postprocess.largest_component == choice.classes
    assert all(after >= was for was, after in zip(choice.before, choice.after, strict=True))

    other = () if choice.classes else loaded.task.class_names[1:]  # as if the disk had been full at the second fold
    _write(tmp_path / "cv" / "fold1" / "best.safetensors", other)
    with pytest.raises(CheckpointError, match=r"fold1.*another 'postprocess'"):
        checkpoint.load(tmp_path / "cv")


def test_what_validates_nothing_decides_nothing(tmp_path: Path):
    save_fold(write_msd(tmp_path / "data", cases=4), "all", tmp_path / "run")
    with pytest.raises(UsageError, match="no case validated this model"):
        choose_postprocess(tmp_path / "run", None, torch.device("cpu"), lambda *_: None)
    with pytest.raises(UsageError, match="no such run"):
        choose_postprocess(Path("unetr-hippocampus"), None, torch.device("cpu"), lambda *_: None)
