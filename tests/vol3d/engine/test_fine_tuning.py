"""Parts that are frozen or learn at a rate of their own, and a momentum that moves against the rate."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.vol3d.engine.toy import ToyModel, ToyModelSettings, toy
from vol3d.engine.distributed import processes
from vol3d.engine.learner import Learner
from vol3d.engine.optim import cycled_momentum, learning_rate, make_optimizer, set_schedule
from vol3d.engine.parts import freeze, shares
from vol3d.engine.settings import OptimSettings
from vol3d.errors import UsageError


def model() -> ToyModel:
    torch.manual_seed(0)
    return ToyModel(ToyModelSettings(name="toy"), 2)


def test_a_frozen_part_keeps_weights_and_statistics() -> None:
    net = nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.9)), nn.Linear(3, 2))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    frozen = freeze(net, ["0"])
    optimizer = make_optimizer(net, OptimSettings(lr=0.1))
    net.train()
    for module in frozen:
        module.eval()
    x = torch.randn(8, 3) + 3
    assert torch.equal(net[0](x), net[0](x)), "nothing is dropped in it"
    net(x).square().sum().backward()
    optimizer.step()
    changed = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"1.weight", "1.bias"}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["laiers"], "freeze: the model has no such part; got laiers, wanted layers, conv, head, position, or a part"),
        (["layer"], "no such part; got layer"),
        (["layers", "conv", "head", "position"], "every part is frozen: nothing is left to learn"),
    ],
)
def test_what_cannot_be_frozen(parts: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        freeze(model(), parts)


def test_nothing_frozen_is_nothing() -> None:
    net = model()
    assert freeze(net, []) == [] and all(parameter.requires_grad for parameter in net.parameters())


def test_the_learner_freezes(tmp_path: Path) -> None:
    with processes("cpu") as group:
        learner = Learner(toy(tmp_path, "freeze=[layers.0, position]"), group)
    assert not learner.kept.layers[0].training and learner.kept.layers[1].training  # type: ignore[union-attr, index]
    trained = {id(p) for g in learner.optimizer.param_groups for p in g["params"]}
    names = {name for name, parameter in learner.kept.named_parameters() if id(parameter) not in trained}
    assert names == {"layers.0.weight", "layers.0.bias", "position"}


def test_parts_have_their_share_of_the_rate() -> None:
    net, settings = model(), OptimSettings(lr=1.0, warmup=0.5, parts={"layers": 0.1, "layers.1": 0.5})
    optimizer = make_optimizer(net, settings, shares(net, settings.parts))
    assert set_schedule(optimizer, 0, 4, settings) == pytest.approx(1 / 3)
    rate_of = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in net.named_parameters():
        share = 0.1 if name.startswith("layers.0.") else 0.5 if name.startswith("layers.1.") else 1.0
        assert rate_of[id(parameter)] == pytest.approx(share / 3), name
    with pytest.raises(UsageError, match="no such part"):
        shares(net, {"neck": 0.1})


def test_without_parts_the_groups_are_those_of_before() -> None:
    """A resume point finds its moments by the order of groups and parameters."""
    net = model()
    groups = make_optimizer(net, OptimSettings(weight_decay=0.1)).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert [len(group["params"]) for group in make_optimizer(net, OptimSettings(weight_decay=0.0)).param_groups] == [
        len(group["params"]) for group in groups
    ]


def cycle(warmup: float) -> OptimSettings:
    return OptimSettings(lr=1.0, schedule="one_cycle", warmup=warmup, cycle_momentum=(0.95, 0.85))


@given(total=st.integers(1, 300), warmup=st.floats(0, 0.9))
def test_momentum_falls_while_the_rate_rises_and_rises_while_it_falls(total: int, warmup: float) -> None:
    settings = cycle(warmup)
    momenta = [cycled_momentum(step, total, settings) or 0.0 for step in range(total)]
    rates = [learning_rate(step, total, settings) for step in range(total)]
    assert all(0.85 - 1e-12 <= momentum <= 0.95 + 1e-12 for momentum in momenta)
    by_rate = [momentum for _, momentum in sorted(zip(rates[: round(warmup * total)], momenta, strict=False))]
    assert by_rate == sorted(by_rate, reverse=True)
    falling = momenta[round(warmup * total) :]
    assert falling == sorted(falling)


def test_momentum_is_that_of_torchs_one_cycle() -> None:
    """Which counts the steps of a phase from its first to its last: they differ by less than a step."""
    net, total = nn.Linear(1, 1), 101
    optimizer = torch.optim.AdamW(net.parameters(), betas=(0.95, 0.999))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total, pct_start=0.4)
    theirs = []
    for _ in range(total):
        theirs.append(optimizer.param_groups[0]["betas"][0])
        optimizer.step()
        scheduler.step()
    ours = [cycled_momentum(step, total, cycle(0.4)) for step in range(total)]
    assert ours == pytest.approx(theirs, abs=0.005)
    assert min(theirs) == pytest.approx(0.85, abs=1e-4) and ours[40] == pytest.approx(0.85)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_optimiser_gets_the_momentum(name: str) -> None:
    settings = cycle(0.5).model_copy(update={"name": name})
    optimizer = make_optimizer(model(), settings)
    set_schedule(optimizer, 2, 4, settings)
    for group in optimizer.param_groups:
        assert (group["momentum"] if name == "sgd" else group["betas"][0]) == pytest.approx(0.85)
    assert cycled_momentum(2, 4, OptimSettings()) is None


def test_momentum_cycles_with_the_one_cycle_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cycle_momentum needs the schedule one_cycle, got warmup_cosine"):
        toy(tmp_path, "optim.cycle_momentum=[0.95, 0.85]")
    with pytest.raises(UsageError, match="greater than 0"):
        toy(tmp_path, "optim.parts={layers: 0}")
