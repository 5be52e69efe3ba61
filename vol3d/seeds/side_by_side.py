"""Several seeds at a time, each in a process of its own that starts afresh and takes one seed after the other."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Literal

import torch

from vol3d.engine.stop import Stopped, StopRequest
from vol3d.errors import Vol3dError
from vol3d.seeds.work import OF_THE_USER, SeedTrainer, SeedWork

POLL_S = 0.5


@dataclass(frozen=True)
class Outcome:
    """How the training of a seed ended; `error` where it is not `ended`."""

    kind: Literal["ended", "failed", "refused", "stopped"]
    error: str = ""
    raised: Vol3dError | None = None


Tell = Callable[[int, Outcome], None]


def side_by_side(work: SeedWork, seeds: Sequence[int], jobs: int, tell: Tell) -> dict[int, str]:
    """Trains seeds in `jobs` processes, which share the threads of this one; why those failed that did.

    Ctrl-C, SIGTERM and SIGUSR1 let every process save and end. With a process that is killed its seed fails, and a new
    process goes on with the others.

    Args:
        tell: called after each seed.

    Raises:
        Stopped: the study was asked to stop; all have saved.
        Vol3dError: what is not a seed's fault: wrong settings, a folder in use; the others have saved.
    """
    team = _Team(work, seeds, jobs, tell)
    with StopRequest() as stop:
        try:
            while team.works(stop.asked is not None):
                team.listen()
        finally:
            team.close()
    if team.refused is not None:
        raise team.refused
    if stop.asked is not None:
        raise Stopped("stopped, all seeds saved", exit_code=stop.exit_code, do="The same command goes on from there.")
    return team.failed


class _Team:
    """The processes, the seeds that wait for one, and why those failed that did."""

    def __init__(self, work: SeedWork, seeds: Sequence[int], jobs: int, tell: Tell) -> None:
        self.work, self.jobs, self.tell = work, jobs, tell
        self.waiting, self.failed = deque(seeds), dict[int, str]()
        self.refused: Vol3dError | None = None
        self.halted = False
        self.workers = list[_Worker]()

    def works(self, asked_to_stop: bool) -> bool:
        """Hands out seeds, or has every process save and end; whether any is still at work."""
        if not self.halted and (asked_to_stop or self.refused is not None):
            self.halted = True
            for one in self.workers:
                one.stop()
        alive = [one for one in self.workers if one.lives]
        wanted = min(self.jobs, len(self.waiting) + sum(one.seed is not None for one in alive))
        hired = 0 if self.halted else wanted - len(alive)
        self.workers = [*alive, *(_Worker(self.work, self.jobs) for _ in range(hired))]
        self.workers = [one for one in self.workers if one.goes_on(self.waiting, self.halted)]
        return bool(self.workers)

    def listen(self) -> None:
        """Waits a moment for seeds that end."""
        at_work = {one.pipe: one for one in self.workers}
        for pipe in wait(list(at_work), POLL_S):
            seed, outcome = at_work[pipe].receive()  # type: ignore[index]
            if outcome.kind == "refused":
                self.refused = self.refused or outcome.raised
            elif outcome.kind == "failed" or (outcome.kind == "stopped" and not self.halted):
                self.failed[seed] = outcome.error
            self.tell(seed, outcome)

    def close(self) -> None:
        """Ends every process."""
        for one in self.workers:
            one.close()


class _Worker:
    """A process, its pipe, and the seed that it trains."""

    def __init__(self, work: SeedWork, jobs: int) -> None:
        # A forked child inherits locks that another thread holds, and CUDA does not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        threads = max(1, torch.get_num_threads() // jobs)
        self.process: SpawnProcess = context.Process(target=_serve, args=(work, theirs, threads))
        self.process.start()
        theirs.close()  # so that the pipe ends with the process
        self.seed: int | None = None
        self.lives = True

    def goes_on(self, waiting: deque[int], halted: bool) -> bool:
        """Gives it a seed if it has none; False where there is none left for it, and it ends."""
        if not self.lives:
            return False
        if self.seed is None and waiting and not halted:
            self.seed = waiting.popleft()
            with suppress(OSError):  # it is dead, which `receive` notices
                self.pipe.send(self.seed)
        if self.seed is None:
            self.close()
        return self.seed is not None

    def stop(self) -> None:
        """Has it save and end what it trains."""
        if self.seed is not None:
            self.process.terminate()

    def receive(self) -> tuple[int, Outcome]:
        """Its seed, and how that ended."""
        assert self.seed is not None
        seed, self.seed = self.seed, None
        try:
            return seed, self.pipe.recv()
        except (EOFError, OSError):
            self.lives = False
            self.process.join()
            return seed, Outcome("failed", _how_it_died(self.process.exitcode or 0))

    def close(self) -> None:
        """Ends the process: an idle one by its pipe, one that still works after an error here at once."""
        if self.seed is not None and self.process.is_alive():
            self.process.kill()
        self.pipe.close()
        self.process.join()


def _how_it_died(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit status {code}"
    reason = ", most likely for want of memory: fewer --jobs may help" if -code == signal.SIGKILL else ""
    return f"its process was ended by signal {-code}{reason}"


def _serve(work: SeedWork, pipe: Connection, threads: int) -> None:
    """What a process does: a seed, an answer, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a training answers to it; between two the parent decides
    torch.set_num_threads(threads)
    trainer = SeedTrainer(work)
    with suppress(EOFError, OSError):
        while True:
            pipe.send(_outcome(trainer, pipe.recv()))


def _outcome(trainer: SeedTrainer, seed: int) -> Outcome:
    try:
        error = trainer.attempt(seed)
    except Stopped as stopped:
        return Outcome("stopped", str(stopped))
    except OF_THE_USER as fault:
        return Outcome("refused", str(fault), fault)
    return Outcome("ended") if error is None else Outcome("failed", error)
