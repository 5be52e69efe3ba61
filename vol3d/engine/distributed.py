"""The processes of a run: one, or those that `torchrun` or `srun` started. Process 0 writes, all agree on each step."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from vol3d.errors import UsageError

# Process 0 evaluates while the others wait; a dead process is noticed by its closed connection, not by this.
TIMEOUT = timedelta(hours=24)


@dataclass(frozen=True)
class Processes:
    """This process among those of the run."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def sum(self, values: list[float]) -> list[float]:
        """The sums over all processes, in the same order."""
        if self.count == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def share(self, value: Any) -> Any:
        """Process 0's value, for all."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def wait(self) -> None:
        """Returns when all processes are here."""
        if self.count > 1:
            self.sum([0.0])


@contextmanager
def processes(device: str | torch.device | None = None) -> Iterator[Processes]:
    """Joins the run's other processes, if the environment names any (torchrun's or a SLURM step's variables).

    Args:
        device: None takes the process's own CUDA device, or the CPU where there is none.
    """
    rank, count, local = _environment()
    where = _device(device, local)
    if count == 1:
        yield Processes(0, 1, where)
        return
    if dist.is_initialized():  # a run among several in these processes
        yield Processes(rank, count, where)
        return
    if where.type == "cuda":
        torch.cuda.set_device(where)
    backend = "cpu:gloo,cuda:nccl" if where.type == "cuda" else "gloo"
    dist.init_process_group(backend, rank=rank, world_size=count, timeout=TIMEOUT)
    yield Processes(rank, count, where)
    # Only after a good end: to wait for the others after an error could be for ever, the launcher ends them.
    dist.destroy_process_group()


def is_main() -> bool:
    """Whether this process is the one that talks, before and after a run too."""
    return _environment()[0] == 0


def _device(device: str | torch.device | None, local: int) -> torch.device:
    if device is None:
        return torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    try:
        where = torch.device(device)
    except RuntimeError as error:
        raise UsageError("no such device", where="device", got=device, wanted="cpu, cuda or cuda:N") from error
    if where.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available", where="device", got=device, do="`vol3d doctor` says why.")
    return torch.device("cuda", local) if where.type == "cuda" and where.index is None else where


def _environment() -> tuple[int, int, int]:
    """Rank, number of processes and rank on this machine."""
    env = os.environ
    if "WORLD_SIZE" in env:
        return int(env["RANK"]), int(env["WORLD_SIZE"]), int(env.get("LOCAL_RANK", 0))
    # Set by srun for its step, not by sbatch for the batch script: a script run there directly is one process.
    if "SLURM_STEP_NUM_TASKS" in env:
        env.setdefault("MASTER_ADDR", _first_host(env.get("SLURM_STEP_NODELIST", "localhost")))
        env.setdefault("MASTER_PORT", str(20_000 + int(env.get("SLURM_JOB_ID", 0)) % 20_000))
        return int(env["SLURM_PROCID"]), int(env["SLURM_STEP_NUM_TASKS"]), int(env.get("SLURM_LOCALID", 0))
    return 0, 1, 0


def _first_host(nodes: str) -> str:
    """`gpu[03-05,9],cpu1` -> `gpu03`."""
    match = re.match(r"([^,\[]+)(?:\[(\w+)[^\]]*\]([^,]*))?", nodes)
    return "".join(part or "" for part in match.groups()) if match else nodes
