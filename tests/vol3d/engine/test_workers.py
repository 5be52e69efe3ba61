"""What a worker cannot hand over is never waited for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from vol3d import terminal
from vol3d.engine import workers
from vol3d.engine.order import Loader, Plan
from vol3d.engine.task import Batch, Samples
from vol3d.errors import Vol3dError

pytestmark = pytest.mark.skipif(torch.multiprocessing.get_start_method() != "fork", reason="patches what is forked")


class Some(Samples):
    """Batches of a tensor, an empty one, and whatever else is given."""

    def __init__(self, more: Any = None) -> None:
        self.more = more

    def __len__(self) -> int:
        return 3

    def sample(self, index: int, rng: np.random.Generator) -> Any:
        return torch.full((1000,), float(index), dtype=torch.float64)

    def collate(self, samples: Sequence[Any]) -> Batch:
        return Batch(torch.stack(list(samples)), [torch.zeros(0), torch.arange(5)[1:]], ("a", self.more))


def loaded(samples: Samples) -> list[Batch]:
    loader = Loader(samples, Plan(3, 1, 1, 1, 0), 0, 0, 3, workers=1)
    return [batch for step in range(3) for batch, _ in loader.step(step)]


def refuse(storage: torch.UntypedStorage) -> Any:
    raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1_2_0>: No space left on device (28)")


def test_shared_memory_that_is_full_is_gone_around(monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    wanted = loaded(Some())
    monkeypatch.setattr(workers, "reduce_storage", refuse)
    with terminal.speaking():
        found = loaded(Some())
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert [part.tolist() for part in one.targets] == [[], [1, 2, 3, 4]]
    said = capfd.readouterr().err
    assert said.count("note: ") == 1 and "--shm-size" in said and "No space left on device" in said


def test_a_batch_that_cannot_be_sent_ends_in_seconds(monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    began = time.monotonic()
    with terminal.speaking(), pytest.raises(Vol3dError, match=r"worker died or hangs .*train.workers"):
        loaded(Some(more=lambda: None))  # no function without a name can be pickled
    assert time.monotonic() - began < 10
    assert "cannot hand over a batch" in capfd.readouterr().err


def test_no_room_anywhere_ends_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workers, "reduce_storage", refuse)
    monkeypatch.setattr(workers.tempfile, "TemporaryFile", full)
    with pytest.raises(Vol3dError, match=r"worker died or hangs"):
        loaded(Some())
