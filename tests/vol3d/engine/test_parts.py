"""Schedule, optimiser, averages and log, one by one."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.vol3d.engine.toy import ToyModel, ToyModelSettings, toy
from vol3d.engine.distributed import processes
from vol3d.engine.learner import Learner, _placed
from vol3d.engine.log import Metrics, Screen
from vol3d.engine.optim import Ema, full_state, learning_rate, make_optimizer
from vol3d.engine.settings import OptimSettings
from vol3d.engine.task import Batch
from vol3d.errors import DataError

SCHEDULES = ["warmup_cosine", "whole_cosine", "one_cycle", "poly", "constant"]


def model() -> ToyModel:
    torch.manual_seed(0)
    return ToyModel(ToyModelSettings(name="toy"), 2)


@given(name=st.sampled_from(SCHEDULES), total=st.integers(1, 300), warmup=st.floats(0, 0.9), final=st.floats(0, 1))
def test_schedules_stay_between_zero_and_the_peak(name: str, total: int, warmup: float, final: float) -> None:
    settings = OptimSettings(lr=2.0, schedule=name, warmup=warmup, final=final)  # type: ignore[arg-type]
    rates = [learning_rate(step, total, settings) for step in range(total)]
    rising = round(warmup * total)
    assert all(0 < rate <= 2.0 + 1e-12 for rate in rates)
    assert rates[:rising] == sorted(rates[:rising])
    assert rates[rising:] == sorted(rates[rising:], reverse=True)
    if rising < total and name != "whole_cosine":
        assert rates[rising] == pytest.approx(2.0)


def test_a_whole_cosine_falls_as_if_it_had_never_risen() -> None:
    settings = OptimSettings(lr=2.0, schedule="whole_cosine", warmup=0.5, final=0.0)
    rates = [learning_rate(step, 100, settings) for step in range(100)]
    assert rates[50] == pytest.approx(1.0)  # half of the cosine is over when the warm-up ends
    assert rates[75] == pytest.approx(1 + math.cos(0.75 * math.pi))


def test_schedules_by_hand() -> None:
    def rate(name: str, step: int) -> float:
        settings = OptimSettings(lr=1.0, schedule=name, warmup=0.2, final=0.1)  # type: ignore[arg-type]
        return learning_rate(step, 10, settings)

    assert rate("warmup_cosine", 0) == pytest.approx(1 / 3)
    assert rate("warmup_cosine", 6) == pytest.approx(0.55)  # half way down from 1 to 0.1
    assert rate("poly", 6) == pytest.approx(0.1 + 0.9 * 0.5**0.9)
    assert rate("constant", 9) == 1.0
    assert rate("one_cycle", 0) == pytest.approx(1 + (1 / 25 - 1) * (1 + math.cos(math.pi / 3)) / 2)


def test_decay_can_spare_nothing() -> None:
    groups = make_optimizer(model(), OptimSettings(weight_decay=0.1, decay_all=True)).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_decay_spares_biases_norms_and_positions(name: str) -> None:
    net = model()
    optimizer = make_optimizer(net, OptimSettings(name=name, weight_decay=0.1))  # type: ignore[arg-type]
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for key, parameter in net.named_parameters():
        assert decay[id(parameter)] == (0.0 if key.endswith("bias") or key == "position" else 0.1), key
    frozen = nn.Linear(2, 2).requires_grad_(False)
    frozen.bias.requires_grad_(True)
    assert [len(g["params"]) for g in make_optimizer(frozen, OptimSettings()).param_groups] == [1]


def test_averages_by_hand() -> None:
    net = nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(1.0)
    ema = Ema(net, decay=0.5)
    wanted = 1.0
    for step, value in enumerate([3.0, 5.0, -1.0, 2.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0]):
        net.weight.data.fill_(value)
        ema.update(net, step)
        decay = min(0.5, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * value
    assert ema.averages["weight"].item() == pytest.approx(wanted, rel=1e-6)
    assert full_state(net, ema.averages)["weight"].item() == pytest.approx(wanted, rel=1e-6)
    assert full_state(net)["weight"].item() == 8.0


def test_the_state_has_tied_weights_and_buffers() -> None:
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False), nn.BatchNorm1d(3))
    net[1].weight = net[0].weight
    ema = Ema(net, decay=0.5)
    ema.averages["0.weight"].fill_(7.0)
    state = full_state(net, ema.averages)
    assert state.keys() == net.state_dict().keys()
    assert (state["0.weight"] == 7).all() and (state["1.weight"] == 7).all()
    assert state["2.num_batches_tracked"].dtype == torch.int64
    assert state["0.weight"].data_ptr() != state["1.weight"].data_ptr()  # safetensors refuses shared memory


@pytest.mark.parametrize(("index", "where"), [(1, "b, targets[1].boxes"), (2, "targets[2]"), (None, "targets")])
def test_a_fault_of_a_sample_names_its_case(
    index: int | None, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(*given: object) -> None:
        fault = DataError("a box has no size", where=where.removeprefix("b, "), index=index)
        raise pickle.loads(pickle.dumps(fault))

    monkeypatch.setattr(ToyModel, "loss", loss)
    batch = Batch(torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64), ("a", "b"))
    with processes("cpu") as group, pytest.raises(DataError) as caught:
        Learner(toy(tmp_path), group).step([(batch, 1.0)], 0, 1)
    assert caught.value.where == where and caught.value.index == index


def test_metrics_grow_columns_and_drop_what_a_resume_repeats(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    table = Metrics(path, 0)
    table.append(1, 1, {"loss": 0.5})
    table.append(2, 1, {"loss": 0.25, "dice": 0.75})
    table.append(3, 2, {"loss": 0.125})
    assert path.read_text() == "step,epoch,loss,dice\n1,1,0.5,\n2,1,0.25,0.75\n3,2,0.125,\n"
    with path.open("a") as file:
        file.write("4,2,0.0")  # a row cut by a power failure
    again = Metrics(path, 2)
    again.append(3, 2, {"loss": 0.0625})
    assert path.read_text() == "step,epoch,loss,dice\n1,1,0.5,\n2,1,0.25,0.75\n3,2,0.0625,\n"


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(0, 100)
    screen.step(1, 0.5, 1e-3)
    screen.step(2, 0.4, 1e-3)
    screen.step(100, 0.25, 1e-4)
    screen.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["step 1/100", "step 100/100"]
    assert "\x1b" not in "".join(lines) and "loss 0.25  lr 0.0001" in lines[1]


@pytest.mark.parametrize(
    ("setting", "device", "amp", "dimensions"),
    [
        ("auto", "cpu", "off", {2}),
        ("auto", "meta", "off", set()),
        ("auto", "meta", "bf16", {2}),
        (True, "cpu", "off", {2, 3}),
        (False, "cpu", "bf16", set()),
    ],
)
def test_convolutions_of_volumes_are_channels_last_only_where_that_is_asked_for(
    tmp_path: Path, setting: bool | str, device: str, amp: str, dimensions: set[int]
) -> None:
    task = toy(tmp_path, f"train.channels_last={str(setting).lower()}", f"train.amp={amp}")
    model = nn.Sequential(
        nn.Conv2d(3, 5, 3),
        nn.ConvTranspose2d(5, 3, 3),
        nn.Conv3d(3, 5, 3),
        nn.ConvTranspose3d(5, 3, 3),
        nn.Linear(3, 2),
    )
    for layer in _placed(model, task, torch.device(device))[:4]:
        last = torch.channels_last if layer.weight.ndim == 4 else torch.channels_last_3d
        assert layer.weight.is_contiguous(memory_format=last) == (layer.weight.ndim - 2 in dimensions)
