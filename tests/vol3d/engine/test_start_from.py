"""Fine-tuning: what a model takes over, what begins anew, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.vol3d.engine.test_resume import SAVE_ALWAYS, assert_equal, assert_same, at_step
from tests.vol3d.engine.toy import toy
from vol3d import checkpoint, terminal
from vol3d.config import load_task
from vol3d.engine import resume
from vol3d.engine.loop import train
from vol3d.engine.settings import RunSettings, StartSettings
from vol3d.engine.start_from import initial_model, take_over
from vol3d.engine.stop import Stopped
from vol3d.errors import CheckpointError, UsageError

START = StartSettings(checkpoint="other")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    train(toy(folder), folder / "run", device="cpu")
    return folder / "run"


def test_all_weights_are_taken_over(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = toy(tmp_path, f"start_from={source}")
    with terminal.speaking(True):
        model = initial_model(task)
    assert_same(model.state_dict(), checkpoint.read_checkpoint(source / "best.safetensors")[0])
    told = capsys.readouterr().err
    assert "note: 9 tensors (126 parameters) begin as in" in told and "layers, conv, head, position" in told
    assert "anew" not in told


def test_a_run_by_the_clock_tells_its_start_once(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = toy(tmp_path, f"start_from={source}", "train.hours=0.0001")
    with terminal.speaking(True):
        train(task, tmp_path / "run", device="cpu")
    told = capsys.readouterr().err
    assert told.count("begin as in") == 1 and "h suffice for " in told


def test_the_head_of_other_classes_begins_anew(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = toy(tmp_path, f"start_from={source}", "data.classes=[in, edge, out]")
    torch.manual_seed(3)
    with terminal.speaking(True):
        model = initial_model(task)
    torch.manual_seed(3)
    fresh, other = task.model().state_dict(), checkpoint.read_checkpoint(source / "best.safetensors")[0]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, (fresh if name.startswith("head.") else other)[name]), name
    assert "2 tensors (27 parameters) start from random values: head" in capsys.readouterr().err


def test_only_the_named_parts_are_taken_over(source: Path, tmp_path: Path) -> None:
    task = toy(tmp_path, f"start_from={{checkpoint: {source}, parts: [layers.0, position]}}")
    model, other = initial_model(task).state_dict(), checkpoint.read_checkpoint(source / "best.safetensors")[0]
    same = {name for name in model if torch.equal(model[name], other[name])}
    assert same == {"layers.0.weight", "layers.0.bias", "position"}


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (["model.width=16"], CheckpointError, r"the part layers has other sizes .*layers.0.bias \(8,\) for \(16,\)"),
        (["start_from.parts=[neck]"], UsageError, "no such part; got neck, wanted layers, conv, head, position"),
        (["start_from.parts=[neck]"], UsageError, r"position, or a part of these as in layers\.1$"),
        (["start_from.parts={head: neck}"], UsageError, "the model has no such part; got neck"),
        (["start_from.parts={neck: head}"], UsageError, r"run has no such part; got neck"),
        (["start_from.parts={layers.0: head}"], CheckpointError, r"the part head has other sizes"),
        (["start_from=nowhere"], UsageError, "no such checkpoint"),
    ],
)
def test_what_does_not_fit_is_refused(
    source: Path, tmp_path: Path, words: list[str], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        initial_model(toy(tmp_path, f"start_from={{checkpoint: {source}}}", *words))


class Block(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(2, width), nn.BatchNorm1d(width)


class Mine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = nn.ModuleDict({"inner": Block(), "other": Block()}), nn.Linear(3, 2)


class Theirs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.middle, self.bias = Block(), nn.Parameter(torch.ones(2))


def test_a_part_of_another_name_is_taken_over(capsys: pytest.CaptureFixture[str]) -> None:
    mine, theirs = Mine(), Theirs()
    theirs.middle.norm.running_mean += 7
    before = {name: tensor.clone() for name, tensor in mine.state_dict().items()}
    start = StartSettings(checkpoint="x", parts={"middle": "encoder.inner", "bias": "head.bias"})
    found = take_over(mine, theirs, start)
    assert set(found.taken) == {f"encoder.inner.{n}.{k}" for n in ("first", "norm") for k in ("weight", "bias")} | {
        "head.bias"
    }
    for name, tensor in mine.state_dict().items():
        same = name.replace("encoder.inner", "middle").replace("head.bias", "bias")
        source = theirs.state_dict()[same] if name != same else before[name]
        assert torch.equal(tensor, source), name
    assert found.notes("x")[0].value == "x: middle as encoder.inner, bias as head.bias"


@pytest.mark.parametrize("parts", [("middle",), ("encoder.inner",)])
def test_the_other_name_of_a_part_is_looked_up(parts: tuple[str, ...]) -> None:
    message = r"no such part; got .*: write parts: \{middle: encoder\.inner\}\.$"
    with pytest.raises(UsageError, match=message):
        take_over(Mine(), Theirs(), StartSettings(checkpoint="x", parts=parts))
    with pytest.raises(UsageError, match=r"got bias, wanted encoder, head, or a part of these as in encoder.inner$"):
        take_over(Mine(), Theirs(), StartSettings(checkpoint="x", parts=("bias",)))


def test_two_parts_cannot_become_one() -> None:
    with pytest.raises(ValueError, match="two parts cannot become the same"):
        StartSettings(checkpoint="x", parts={"a": "c", "b": "c"})
    assert StartSettings(checkpoint="x", parts=["a"]).pairs == (("a", "a"),)  # type: ignore[arg-type]
    assert StartSettings(checkpoint="x").pairs is None


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_does_not_fit_is_refused_before_samples_are_prepared(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    task = toy(tmp_path, f"start_from={source}", "model.width=16")
    monkeypatch.setattr(type(task), "samples", lambda *_: pytest.fail("the samples were prepared first"))
    with pytest.raises(CheckpointError, match="has other sizes"):
        train(task, tmp_path / "run", device="cpu", dry_run=dry_run)
    assert not (tmp_path / "run").exists(), "a refused run leaves nothing"


def test_a_run_records_what_it_started_from(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, wanted = shutil.copytree(source, tmp_path / "begun"), checkpoint.read_info(source / "best.safetensors")
    record = {"checkpoint": str(begun), "sha256": wanted["sha256"]}

    def stop() -> None:
        raise Stopped("now", exit_code=1)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        at_step(patch, 9, stop)
        train(toy(tmp_path, f"start_from={begun}", SAVE_ALWAYS), tmp_path / "run", device="cpu")
    # Another model in its place meanwhile: the record stays that of the weights that the run began with.
    train(toy(tmp_path, "train.seed=5"), tmp_path / "other", device="cpu")
    shutil.copytree(tmp_path / "other", begun, dirs_exist_ok=True)
    train(toy(tmp_path, f"start_from={begun}", SAVE_ALWAYS), tmp_path / "run", device="cpu")
    assert checkpoint.read_info(tmp_path / "run/best.safetensors")["started_from"] == record
    assert f"sha256: {wanted['sha256']}" in (tmp_path / "run/config.yaml").read_text()
    assert "started_from" not in checkpoint.read_info(source / "best.safetensors")

    with pytest.raises(CheckpointError, match=r"not the weights that start_from\.sha256 names") as error:
        initial_model(load_task(tmp_path / "run/config.yaml", []))
    assert wanted["sha256"] in str(error.value)


def test_an_ensemble_is_refused(source: Path, tmp_path: Path) -> None:
    for fold in ("fold0", "fold1"):
        shutil.copytree(source, tmp_path / "cv" / fold)
    with pytest.raises(UsageError, match=r"cannot start from an ensemble.*Give one of its folds"):
        initial_model(toy(tmp_path, f"start_from={tmp_path / 'cv'}"))


class Net(nn.Module):
    """A trunk of two parts."""

    def __init__(self, neck: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.neck, self.head = neck, head
        self.register_buffer("sizes", torch.rand(2))


def test_parts_of_another_kind_begin_anew_and_statistics_come_along() -> None:
    mine, theirs = (Net(nn.BatchNorm1d(4), head) for head in (nn.Linear(4, 2), nn.Conv1d(4, 2, 1)))
    theirs.neck.running_mean += 5  # type: ignore[operator]
    sizes = mine.get_buffer("sizes").clone()
    found = take_over(mine, theirs, START)
    assert found.parts == (("neck", "neck"),) and set(found.anew) == {"head.weight", "head.bias"}
    assert bool((mine.get_buffer("neck.running_mean") == 5).all())
    assert torch.equal(mine.get_buffer("sizes"), sizes)  # settings made it, not training


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(UsageError, match="other: the models have no part in common; got neck, head, wanted some of 0"):
        take_over(nn.Sequential(nn.Linear(1, 1)), Net(nn.ReLU(), nn.Linear(1, 1)), START)


def test_a_name_alone_is_short_for_a_checkpoint() -> None:
    short = RunSettings.model_validate_json('{"start_from": "a"}', strict=True)
    assert short.start_from == StartSettings(checkpoint="a")


def test_a_fine_tuning_resumes_bit_equal_without_its_source(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With frozen parts, rates of parts, cyclic momentum and averages; the first weights are in the resume point."""
    begun = shutil.copytree(source, tmp_path / "begun")
    words = (f"start_from={begun}", "freeze=[layers.0]", "optim.parts={layers: 0.1}", SAVE_ALWAYS)
    words += ("optim.schedule=one_cycle", "optim.warmup=0.3", "optim.cycle_momentum=[0.95, 0.85]")
    train(toy(tmp_path, *words), tmp_path / "whole", device="cpu")

    def stop() -> None:
        raise Stopped("now", exit_code=1)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        at_step(patch, 9, stop)
        train(toy(tmp_path, *words), tmp_path / "run", device="cpu")
    shutil.rmtree(begun)
    train(toy(tmp_path, *words), tmp_path / "run", device="cpu")
    assert_equal(tmp_path / "run", tmp_path / "whole")

    before, after = (checkpoint.read_checkpoint(run / "best.safetensors")[0] for run in (source, tmp_path / "run"))
    assert {name for name in before if torch.equal(before[name], after[name])} == {"layers.0.weight", "layers.0.bias"}


def test_a_run_of_an_earlier_release_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its resume point knows neither the settings of fine-tuning nor the shares of groups."""
    train(toy(tmp_path, SAVE_ALWAYS), tmp_path / "whole", device="cpu")
    monkeypatch.setattr(resume, "save", lambda folder, point: _save(folder, point))

    def stop() -> None:
        raise Stopped("now", exit_code=1)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        at_step(patch, 9, stop)
        train(toy(tmp_path, SAVE_ALWAYS), tmp_path / "run", device="cpu")
    monkeypatch.undo()
    train(toy(tmp_path, SAVE_ALWAYS), tmp_path / "run", device="cpu")
    one, other = (checkpoint.read_checkpoint(tmp_path / run / "best.safetensors")[0] for run in ("run", "whole"))
    assert_same(one, other)
    with pytest.raises(UsageError, match=r"freeze: not set -> \['layers'\]"):
        resume.check_same_run({"train": 1}, {"train": 1, "freeze": ["layers"]}, tmp_path)


_write = resume.save


def _save(folder: Path, point: resume.ResumePoint) -> None:
    run = point.about["run"]
    for name in ("start_from", "freeze"):
        run.pop(name, None)
    for name in ("parts", "cycle_momentum"):
        run["optim"].pop(name, None)
    for group in point.state.get("optimizer", {}).get("param_groups", ()):
        group.pop("share", None)
    _write(folder, point)
