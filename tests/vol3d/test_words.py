"""Short words stand for settings, and the words of other toolboxes lead to ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from vol3d.config import load_task
from vol3d.errors import UsageError
from vol3d.words import ELSEWHERE, SHORT, is_setting, spelled_out

RECIPE = "unetr_hippocampus_small"


def hint(*words: str) -> str:
    with pytest.raises(UsageError) as raised:
        load_task(RECIPE, words)
    return str(raised.value)


def test_short_words_are_the_full_ones() -> None:
    short = ["data=elsewhere", "fold=2", "epochs=3", "batch=1", "workers=1", "seed=5", "lr=1e-3", "time=6min"]
    task = load_task(RECIPE, short)
    assert set(SHORT) == {word.partition("=")[0] for word in short}
    settings = task.settings
    assert (settings.data.root, settings.data.fold) == (Path("elsewhere"), 2)
    assert (settings.train.epochs, settings.train.batch, settings.train.workers) == (3, 1, 1)
    assert (settings.train.seed, settings.optim.lr, settings.train.hours) == (5, 1e-3, 0.1)


def test_a_block_stays_a_block() -> None:
    assert load_task(RECIPE, ["data={name: folder, root: mine}"]).settings.data.name == "folder"
    assert spelled_out(["data.fold=1", "model.lr=2", "epochs"]) == ["data.fold=1", "model.lr=2", "epochs"]


@pytest.mark.parametrize(("word", "hours"), [("0.1h", 0.1), ("0.1", 0.1), ("90s", 0.025), ("30 min", 0.5)])
def test_durations(word: str, hours: float) -> None:
    assert load_task(RECIPE, [f"time={word}"]).settings.train.hours == pytest.approx(hours)


@pytest.mark.parametrize("word", ["soon", "-1h", "1d", "", "1e-1h"])
def test_what_is_no_duration(word: str) -> None:
    assert "time=6min" in hint(f"time={word}")
    assert "greater than 0" in hint("time=0")


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("learning_rate=1", "optim.lr"),
        ("train.learning_rate=1", "optim.lr"),
        ("batch_size=4", "train.batch"),
        ("weight_decay=0", "optim.weight_decay"),
        ("depth=4", "model.depth"),
        ("fold_=4", None),
    ],
)
def test_words_of_others_lead_to_ours(word: str, wanted: str | None) -> None:
    said = hint(word)
    assert f"unknown setting '{word.partition('=')[0]}'" in said
    assert wanted is None or f"did you mean '{wanted}'?" in said


def test_hints_name_settings_that_exist() -> None:
    settings = load_task(RECIPE).settings.model_dump()
    for wanted in {*SHORT.values(), *ELSEWHERE.values()}:
        section, _, name = wanted.partition(".")
        assert section in settings and (not name or name in settings[section]), wanted


@pytest.mark.parametrize(
    ("word", "is_one"), [("a=1", True), ("model.depth=[1, 2]", True), ("a/b=1.nii", False), ("scan.nii.gz", False)]
)
def test_what_is_a_setting(word: str, is_one: bool) -> None:
    assert is_setting(word) is is_one
