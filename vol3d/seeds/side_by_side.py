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
    waiting, failed = deque(seeds), dict[int, str]()
    refused: Vol3dError | None = None
    workers: list[_Worker] = []
    with StopRequest() as stop:
        try:
            workers = [_Worker(work, jobs) for _ in range(min(jobs, len(seeds)))]
            told_to_stop = False
            while True:
                halted = refused is not None or stop.asked is not None
                workers = [one for one in workers if one.goes_on(waiting, halted)]
                busy = {one.pipe: one for one in workers if one.seed is not None}
                if not busy:
                    break
                if halted and not told_to_stop:
                    told_to_stop = True
                    for one in busy.values():
                        one.process.terminate()  # SIGTERM: it saves
                for pipe in wait(list(busy), POLL_S):
                    worker = busy[pipe]  # type: ignore[index]
                    seed, outcome = worker.receive()
                    if outcome.kind == "refused":
                        refused = refused or outcome.raised
                    elif outcome.kind != "ended" and not (halted and outcome.kind == "stopped"):
                        failed[seed] = outcome.error
                    tell(seed, outcome)
                    if not worker.lives and not halted:
                        workers.append(_Worker(work, jobs))
        finally:
            for one in workers:
                one.close()
    if refused is not None:
        raise refused
    if stop.asked is not None:
        raise Stopped("stopped, all seeds saved", exit_code=stop.exit_code, do="The same command goes on from there.")
    return failed


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
