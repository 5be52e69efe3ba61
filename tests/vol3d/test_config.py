"""Configuration files: what they may say, and how a fault is reported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, field_validator

from tests.vol3d.engine.toy import CONFIG, ToyTask, register
from vol3d import config
from vol3d.config.locate import locate
from vol3d.config.yaml import MAX_BYTES
from vol3d.engine.settings import OptimSettings, RunSettings, Settings
from vol3d.errors import UsageError


class Pillars(Settings):
    name: Literal["pillars"] = "pillars"
    voxel_size: tuple[float, float, float] = (0.16, 0.16, 4.0)
    limit: int = Field(10, gt=0)


class Dense(Settings):
    name: Literal["dense"] = "dense"
    width: int = 3

    @field_validator("width")
    @classmethod
    def _even(cls, width: int) -> int:
        if width == 13:
            raise ValueError("width must not be 13")
        return width


class Data(Settings):
    root: Path
    folds: int | Path = 5
    names: dict[str, int] = Field({})


class Example(RunSettings):
    model: Annotated[Pillars | Dense, Field(discriminator="name")] = Pillars()
    data: Data = Data(root=Path("x"))


def built(folder: Path, text: str, *overrides: str) -> Example:
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return config.build(config.read(path, overrides), Example)


def fault(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(UsageError) as caught:
        built(folder, text, *overrides)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(str(folder / "a.yaml"), "a.yaml")


def test_values_are_read_as_a_reader_would(tmp_path: Path) -> None:
    text = """
model: {name: pillars, voxel_size: [1e-3, .5, 2]}
optim: {lr: 1e-3, clip: null}
train: {epochs: 012, seed: 1_000, amp: off, shard: true}
data: {root: ~/data sets/ü, folds: folds.json, names: {on: 1, no: 2, 3: 3}}
"""
    got = built(tmp_path, text)
    assert got.model.voxel_size == (0.001, 0.5, 2.0)  # type: ignore[union-attr]
    assert (got.optim.lr, got.optim.clip, got.train.epochs, got.train.seed) == (0.001, None, 12, 1000)
    assert got.train.amp == "off" and got.train.shard is True
    assert got.data.root == Path.home() / "data sets/ü" and got.data.folds == Path("folds.json")
    assert got.data.names == {"on": 1, "no": 2, "3": 3}
    assert built(tmp_path, "") == Example()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model:\n  name: pillars\n  voxel_sizes: [1, 2, 3]\n",
            "a.yaml:3: unknown setting 'model.voxel_sizes'; did you mean 'model.voxel_size'?",
        ),
        ("# note\noptimm: {lr: 1}\n", "a.yaml:2: unknown setting 'optimm'; did you mean 'optim'?"),
        ("model:\n  name: dense\n  voxel_size: 1\n", "a.yaml:3: unknown setting 'model.voxel_size'"),
        ("model:\n  name: pilars\n", "a.yaml:2: 'model.name' cannot be 'pilars'; did you mean 'pillars'?"),
        ("model: {width: 3}\n", "a.yaml:1: missing setting 'model.name'"),
        ("data: {folds: 3}\n", "a.yaml:1: missing setting 'data.root'"),
        ("train:\n  epochs: 3\n  epochs: 4\n", "a.yaml:3: 'train.epochs' is set twice"),
        ("train:\n  amp: bf61\n", "a.yaml:2: 'train.amp' cannot be 'bf61'; did you mean 'bf16'?"),
        ("train:\n  epochs: many\n", "a.yaml:2: 'train.epochs' should be a valid integer, got 'many'"),
        ('train:\n  epochs: "4"\n', "a.yaml:2: 'train.epochs' should be a valid integer, got '4'"),
        ("train:\n  epochs: 4.5\n", "a.yaml:2: 'train.epochs' should be a valid integer, got 4.5"),
        ("train:\n  epochs: true\n", "a.yaml:2: 'train.epochs' should be a valid integer, got True"),
        ("train:\n  shard: on\n", "a.yaml:2: 'train.shard' should be a valid boolean, got 'on'"),
        ("train:\n  epochs: 0\n", "a.yaml:2: 'train.epochs' should be greater than or equal to 1, got 0"),
        ("model:\n  name: pillars\n  voxel_size: [1, 2]\n", "a.yaml:3: 'model.voxel_size' has too few values, got 2"),
        ("model: {name: dense, width: 13}\n", "a.yaml:1: 'model.width': width must not be 13"),
        ("optim:\n  lr: .nan\n", "a.yaml:2: a number must be finite; got .nan"),
        ("optim:\n  lr: 1e999\n", "a.yaml:2: a number must be finite; got 1e999"),
        ("- 1\n", "a.yaml: a configuration is a mapping of settings; got list"),
        ("a: &x [1]\nb: *x\n", "a.yaml:2: aliases (*x) are not supported"),
        ("a: !!python/object/apply:os.system [x]\n", "a.yaml:1: typed values"),
        ("a: !!binary aGk=\n", "a.yaml:1: typed values"),
        ("train: [1\n", "a.yaml:2: not valid YAML"),
        ("train:\n\tepochs: 3\n", "a.yaml:2: not valid YAML"),
        ("? [a]\n: 1\n", "a.yaml:1: a setting's name must be a word"),
        ("a: " + "[" * 50_000, "a.yaml:1: nested too deeply"),
        ("".join(f"{' ' * i}a:\n" for i in range(500)), "a.yaml:21: nested too deeply"),
        ("a: " + "9" * 5000, "a.yaml:1: not a number"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    assert fault(tmp_path, text).startswith(message)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    told = fault(tmp_path, "train:\n  epochs: x\n  seeed: 1\noptim: {lr: -1}\n").splitlines()
    assert len(told) == 3
    assert "a.yaml:3: unknown setting 'train.seeed'; did you mean 'train.seed'?" in told


def test_a_union_of_types_is_one_fault(tmp_path: Path) -> None:
    told = fault(tmp_path, "data: {root: x, folds: 1.5}\n")
    assert told.count("a.yaml") == 1 and "'data.folds'" in told


def test_an_alias_bomb_is_refused_at_once(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    assert "aliases" in fault(tmp_path, "\n".join(lines))


def test_overrides(tmp_path: Path) -> None:
    got = built(
        tmp_path,
        "train: {epochs: 3}\nmodel: {name: pillars, limit: 4}\n",
        "train.epochs=7",
        "optim.lr=3e-4",
        "model={name: dense, width: 5}",
        "data.root=a=b/c",
        "optim.clip=null",
    )
    assert (got.train.epochs, got.optim.lr, got.optim.clip, got.data.root) == (7, 3e-4, None, Path("a=b/c"))
    assert got.model == Dense(width=5)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("epochs", "'epochs': an override reads key.path=value"),
        ("=3", "'=3': an override reads key.path=value"),
        ("train..epochs=3", "'train..epochs=3': an override"),
        ("train.epoch=3", "'train.epoch=3': unknown setting 'train.epoch'; did you mean 'train.epochs'?"),
        ("trian.epochs=3", "'trian.epochs=3': unknown setting 'trian'; did you mean 'train'?"),
        ("train.epochs=x", "'train.epochs=x': 'train.epochs' should be a valid integer, got 'x'"),
        ("train.epochs.more=3", "'train.epochs.more=3': 'train.epochs' is a value"),
        ("train.epochs=[", "'train.epochs=[': not valid YAML"),
    ],
)
def test_a_wrong_override_is_quoted(tmp_path: Path, word: str, message: str) -> None:
    assert fault(tmp_path, "train: {epochs: 3}\n", word).startswith(message)


def test_no_such_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the checkout has a folder configs
    monkeypatch.setattr("vol3d.config.locate.recipes", lambda: {"unetr_btcv": tmp_path / "r.yaml"})
    (tmp_path / "r.yaml").write_text("train: {epochs: 9}")
    assert config.read("unetr_btcv").values == {"train": {"epochs": 9}}
    assert config.read("configs/unetr_btcv.yaml").values == {"train": {"epochs": 9}}
    with pytest.raises(UsageError, match="Did you mean 'unetr_btcv'"):
        config.read("unetr_btvc")
    with pytest.raises(UsageError, match="lists all recipes"):
        config.read(tmp_path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\x80\x81\x00")
    with pytest.raises(UsageError, match="not a text file"):
        config.read(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(UsageError, match="too large"):
        config.read(tmp_path / "a.yaml")


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None)
@given(lr=st.floats(1e-300, 1e300), root=words, names=st.dictionaries(words, st.integers(-9, 9), max_size=3))
def test_dump_and_read_give_the_same_settings(
    tmp_path_factory: pytest.TempPathFactory, lr: float, root: str, names: dict[str, int]
) -> None:
    before = Example(optim=OptimSettings(lr=lr), data=Data(root=Path(root), names=names))
    assert built(tmp_path_factory.mktemp("dump"), config.dump(before)) == before


def test_a_task_is_found_by_its_model(tmp_path: Path) -> None:
    register()
    path = tmp_path / "toy.yaml"
    path.write_text(CONFIG)
    task = config.load_task(path, ["model.width=3"])
    assert isinstance(task, ToyTask) and task.settings.model.width == 3
    for text, message in [
        ("model: {name: tyo}", r"toy\.yaml:1: no model called 'tyo'\. Did you mean 'toy'"),
        ("model: {width: 3}", r"missing setting 'model\.name'"),
        ("model: 3", r"missing setting 'model\.name'"),
    ]:
        path.write_text(text)
        with pytest.raises(UsageError, match=message):
            config.load_task(path)


def test_reading_a_configuration_needs_no_torch() -> None:
    code = "import sys, vol3d.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("text", ["0E0", "1e5", "012", "1_000", "on", "null", "~x", ".5", "a: b"])
def test_a_text_that_looks_like_something_else_stays_a_text(tmp_path: Path, text: str) -> None:
    before = Example(data=Data(root=Path(text), names={text: 1}))
    assert built(tmp_path, config.dump(before)) == before


def test_a_name_that_is_no_recipe_gets_those_with_a_word_of_it() -> None:
    with pytest.raises(UsageError, match=r"with a word of this name: [^.]*second_kitti.*`vol3d models` lists all"):
        locate("second_argoverse2")
    with pytest.raises(UsageError, match=r"recipe\. `vol3d models` lists all recipes"):
        locate("xyz")
