"""Several processes: the same result as one, bit-equal resume, and all stop when one does."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch._dynamo  # else each process that `launch` forks imports it for itself, which takes a second

from tests.vol3d.engine.test_resume import assert_equal, at_step
from tests.vol3d.engine.toy import toy
from vol3d.engine import resume
from vol3d.engine.distributed import _environment, _first_host, processes
from vol3d.engine.loop import train
from vol3d.errors import UsageError, Vol3dError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs fork and gloo")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def launch(work: Callable[[int], object], log: Path, count: int = 2) -> list[int]:
    """Runs `work(rank)` in `count` processes that know of each other as under torchrun; their wait statuses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids = []
    for rank in range(count):
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(log.with_suffix(f".{rank}"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            here = {
                "RANK": rank,
                "LOCAL_RANK": rank,
                "WORLD_SIZE": count,
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
            }
            os.environ.update({key: str(value) for key, value in here.items()})
            code = 1
            try:
                work(rank)
                code = 0
            except Vol3dError as error:
                os.write(2, str(error).encode())
                code = 10 + error.exit_code
            finally:
                os._exit(code)
        pids.append(pid)
    return [os.waitpid(pid, 0)[1] for pid in pids]


def codes(statuses: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(status) for status in statuses]


@pytest.mark.parametrize("words", [["train.shard=true"], ["train.accumulate=2", "train.workers=1"]])
def test_killed_and_resumed_is_bit_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    task = toy(tmp_path, *words)
    assert codes(launch(lambda rank: train(task, tmp_path / "whole", device="cpu"), tmp_path / "log")) == [0, 0]
    hasty = toy(tmp_path, *words, "train.save_every_s=1e-6")

    def dies(rank: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if rank == 1:
                at_step(patch, 4, lambda: os.kill(os.getpid(), signal.SIGKILL))
            train(hasty, tmp_path / "run", device="cpu")

    began = time.monotonic()
    statuses = launch(dies, tmp_path / "log")
    assert codes(statuses)[1] == -signal.SIGKILL and codes(statuses)[0] != 0
    assert time.monotonic() - began < 60
    point = resume.read(tmp_path / "run")
    assert point and 0 < point.step < 6
    assert codes(launch(lambda rank: train(task, tmp_path / "run", device="cpu"), tmp_path / "log")) == [0, 0]
    assert_equal(tmp_path / "run", tmp_path / "whole")
    with pytest.raises(UsageError, match="processes: 2 -> 1"):
        train(task, tmp_path / "run", device="cpu")


def test_two_processes_learn_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, p, training: x)
    train(toy(tmp_path, "train.batch=6"), tmp_path / "one", device="cpu")
    two = toy(tmp_path, "train.batch=3")
    assert codes(launch(lambda rank: train(two, tmp_path / "two", device="cpu"), tmp_path / "log")) == [0, 0]
    one, other = resume.read(tmp_path / "one"), resume.read(tmp_path / "two")
    assert one and other and one.step == other.step == 12
    for name, value in one.state["model"].items():
        torch.testing.assert_close(value, other.state["model"][name], atol=1e-5, rtol=1e-4)


def test_a_bad_loss_on_one_stops_all(tmp_path: Path) -> None:
    task = toy(tmp_path, "data.fault=nan")
    statuses = launch(lambda rank: train(task, tmp_path / "run", device="cpu"), tmp_path / "log")
    assert codes(statuses) == [11, 11]
    told = sorted((tmp_path / f"log.{rank}").read_text().splitlines()[-1] for rank in range(2))
    assert any("case_05" in line and "not finite" in line for line in told)
    assert any("another process met a loss" in line for line in told)


def test_a_signal_to_one_saves_and_stops_all(tmp_path: Path) -> None:
    task = toy(tmp_path)

    def signalled(rank: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if rank == 1:
                at_step(patch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
            train(task, tmp_path / "run", device="cpu")

    assert codes(launch(signalled, tmp_path / "log")) == [10, 10]
    point = resume.read(tmp_path / "run")
    assert point and point.step == 5


def test_srun_is_understood_and_sbatch_alone_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_NTASKS", "8")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert _environment() == (0, 1, 0)
    step = {"STEP_NUM_TASKS": "8", "PROCID": "5", "LOCALID": "1", "STEP_NODELIST": "gpu[03-05]", "JOB_ID": "61234"}
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert _environment() == (5, 8, 1)
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("gpu03", "21234")


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("gpu[03-05,9],cpu1", "gpu03"),
        ("a-b[1,2]-ib", "a-b1-ib"),
        ("h7.x.org", "h7.x.org"),
    ],
)
def test_the_first_host_of_a_list(nodes: str, first: str) -> None:
    assert _first_host(nodes) == first


def test_one_process_alone() -> None:
    with processes("cpu") as group:
        assert group.is_main and group.sum([1.0, 2.0]) == [1.0, 2.0] and group.share("x") == "x"
        group.wait()


@pytest.mark.slow
def test_torchrun(tmp_path: Path) -> None:
    def torchrun(count: int, out: Path, *words: str) -> subprocess.CompletedProcess[str]:
        module = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "-m"]
        command = [*module, "tests.vol3d.engine.toy", str(out), *words]
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        root = Path(__file__).resolve().parents[3]
        return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False, timeout=120)

    whole = torchrun(2, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    assert len(set(re.findall(r"score (\S+)", whole.stdout))) == 1
    task = toy(tmp_path)
    assert codes(launch(lambda rank: train(task, tmp_path / "same", device="cpu"), tmp_path / "log")) == [0, 0]
    assert_equal(tmp_path / "whole", tmp_path / "same")
    stopped = torchrun(1, tmp_path / "run", "data.fault=nan", "data.fault_at=1", "train.save_every_s=1e-6")
    assert stopped.returncode != 0 and "case_01" in stopped.stderr
