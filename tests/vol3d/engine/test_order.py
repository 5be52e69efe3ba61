"""Which samples make which step, and how a fault in one of them is reported."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.vol3d.engine.toy import toy
from vol3d.engine.loop import train
from vol3d.engine.order import Loader, Plan
from vol3d.engine.task import Batch
from vol3d.errors import DataError, UsageError, Vol3dError

small = st.integers(1, 5)


@given(samples=st.integers(1, 40), batch=small, accumulate=small, processes=small, seed=st.integers(0, 3))
def test_each_epoch_shows_every_sample_once(
    samples: int, batch: int, accumulate: int, processes: int, seed: int
) -> None:
    plan = Plan(samples, batch, accumulate, processes, seed)
    for epoch in range(2):
        seen = []
        for step in range(epoch * plan.steps, (epoch + 1) * plan.steps):
            weights = 0.0
            for rank in range(processes):
                batches = plan.step(step, rank)
                assert len(batches) == accumulate
                for items, weight in batches:
                    assert 1 <= len(items) <= batch and all(item[0] == epoch for item in items)
                    seen += [index for _, index in items if weight]
                    weights += weight
            assert weights == pytest.approx(processes)
        assert sorted(seen) == list(range(samples))


def test_samples_of_the_last_step_weigh_the_same() -> None:
    plan = Plan(samples=5, batch=2, accumulate=2, processes=1, seed=0)
    (first, a), (second, b) = plan.step(1, 0)
    assert (len(first), a, b) == (1, 1.0, 0.0) and second == first
    plan = Plan(samples=7, batch=2, accumulate=2, processes=1, seed=0)
    assert [(len(items), weight) for items, weight in plan.step(1, 0)] == [
        (2, pytest.approx(2 / 3)),
        (1, pytest.approx(1 / 3)),
    ]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        plan = Plan(50, 1, 1, 1, seed)
        return [plan.step(epoch * 50 + i, 0)[0][0][0][1] for i in range(50)]

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) != order(1, 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_item_is_a_function_of_seed_epoch_and_index(tmp_path: Path, workers: int) -> None:
    samples = toy(tmp_path).samples()
    plan = Plan(len(samples), 3, 1, 1, seed=4)
    loader = Loader(samples, plan, 0, start=6, stop=9, workers=workers)
    for step in range(6, 9):
        ((items, _),) = plan.step(step, 0)
        ((batch, _),) = loader.step(step)
        assert batch.ids == tuple(samples.name(index) for _, index in items)
        wanted = [samples.sample(index, np.random.default_rng([4, epoch, index]))[1] for epoch, index in items]
        assert np.array_equal(batch.inputs.numpy(), np.array(wanted, np.float32))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_fault_in_a_sample_names_the_case(tmp_path: Path, workers: int) -> None:
    words = [f"train.workers={workers}", "data.fault=raise"]
    with pytest.raises(
        DataError, match=r"^case_05: the training sample cannot be made \(ValueError: bad voxel\)"
    ) as caught:
        train(toy(tmp_path, *words), tmp_path / "run", device="cpu")
    assert "_fault" in str(caught.value.__cause__)  # where it happened, for --debug
    with pytest.raises(DataError, match=r"^case_05: cut file\. Copy it again\.$"):
        train(toy(tmp_path, words[0], "data.fault=data_error"), tmp_path / "other", device="cpu")


@pytest.fixture
def _soon_given_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch waits five seconds for each worker of a loader that is given up, whenever that is collected."""
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)
    yield
    gc.collect()


@pytest.mark.usefixtures("_soon_given_up")
def test_a_killed_worker_is_told(tmp_path: Path) -> None:
    with pytest.raises(Vol3dError, match=r"next batch: case_.*a data-loader worker died.*train\.workers"):
        train(toy(tmp_path, "train.workers=2", "data.fault=kill_worker"), tmp_path / "run", device="cpu")


@pytest.mark.usefixtures("_soon_given_up")
def test_a_hanging_worker_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vol3d.engine import order

    monkeypatch.setattr(order, "WORKER_TIMEOUT_S", 0.5)
    monkeypatch.setattr(order, "POLL_S", 0.3)
    with pytest.raises(Vol3dError, match="died or hangs"):
        train(toy(tmp_path, "train.workers=1", "data.seconds=4"), tmp_path / "run", device="cpu")


def test_a_slow_worker_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vol3d.engine import order

    monkeypatch.setattr(order, "POLL_S", 0.02)
    task = toy(tmp_path, "train.workers=1", "data.seconds=0.1", "train.epochs=1")
    assert train(task, tmp_path / "run", device="cpu").score_name == "mean_margin"


def test_an_empty_training_split(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the training split is empty"):
        train(toy(tmp_path, "data.samples=0"), tmp_path / "run", device="cpu")


@pytest.mark.parametrize("fault", [ConnectionResetError("reset by peer"), EOFError(), FileNotFoundError("socket")])
def test_a_worker_killed_in_the_middle_of_a_batch_is_told(tmp_path: Path, fault: Exception) -> None:
    def broken():
        raise fault
        yield

    samples = toy(tmp_path).samples()
    loader = Loader(samples, Plan(len(samples), 2, 1, 1, 0), rank=0, start=0, stop=1, workers=0)
    loader.batches = broken()
    with pytest.raises(Vol3dError, match="a data-loader worker died"):
        list(loader.step(0))


def test_a_pinned_batch_has_its_tensors_pinned_wherever_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[Tensor] = []
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor + 10)

    class Held:
        def pin_memory(self) -> str:
            return "held"

    inputs, targets = [torch.ones(1), {"a": (torch.ones(2), "name")}], (Held(), None)
    found = Batch(inputs, targets, ("x",)).pin_memory()
    assert [tensor.tolist() for tensor in (found.inputs[0], found.inputs[1]["a"][0])] == [[11], [11, 11]]
    assert (found.inputs[1]["a"][1], found.targets, found.ids) == ("name", ("held", None), ("x",))
    assert len(pinned) == 2
