"""What a run prints: `metrics.csv`, what its loggers get, and a bar on a terminal or plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vol3d.engine.loggers.logger import LoggedRun, State
from vol3d.engine.loggers.opened import open_loggers
from vol3d.engine.metrics import Metrics
from vol3d.engine.settings import RunSettings
from vol3d.engine.stop import Stopped
from vol3d.engine.task import Evaluation
from vol3d.printable import one_line
from vol3d.terminal import console, is_aloud

LINE_EVERY_S = 20.0


class Log:
    """All of them for the process that writes; a context manager.

    Args:
        folder: of the run.
        step, total: steps done, and steps of the whole run.
        recipe: the run's settings; `train.loggers` are the loggers.
    """

    def __init__(self, folder: Path, step: int, total: int, recipe: RunSettings) -> None:
        self.metrics = Metrics(folder / "metrics.csv", step)
        self.screen = Screen(step, total)
        if self.metrics.damaged is not None:
            self.screen.say(f"note: {self.metrics.damaged}")
        run = LoggedRun(folder, step, recipe.model_dump(mode="json"), self.screen.say)
        self.loggers = open_loggers(recipe.train.loggers, run)

    def numbers(self, step: int, epoch: int, values: dict[str, float]) -> None:
        """Writes the finite numbers of a step to the table and the loggers."""
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        self.metrics.append(step, epoch, values)
        for logger in self.loggers:
            logger.scalars(step, epoch, values)

    def ended(self, step: int, evaluation: Evaluation) -> None:
        """Passes on the final scores, of the weights of `step`, and what lies in the folder."""
        for logger in self.loggers:
            logger.ended(step, evaluation)

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.screen.close()
        state: State = "finished" if error is None else "stopped" if isinstance(error, Stopped) else "failed"
        for logger in self.loggers:
            logger.close(state)


class Screen:
    """A progress bar with the time left on a terminal; lines of plain text, one in 20 s at most, in a pipe."""

    def __init__(self, step: int, total: int) -> None:
        self.console = console(error=True)
        self.console.quiet, self.console.soft_wrap = not is_aloud(), True
        self.total, self.first, self.began = total, step, time.monotonic()
        self.printed_at = -math.inf
        self.bar: Progress | None = None
        self.task = TaskID(0)
        if self.console.is_terminal:
            columns = (
                TextColumn("train"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}", markup=False),
            )
            self.bar = Progress(*columns, console=self.console)
            self.task = self.bar.add_task("", total=total, completed=step)
            self.bar.start()

    def step(self, step: int, loss: float, rate: float) -> None:
        """Shows that `step` steps are done."""
        if self.bar:
            self.bar.update(self.task, completed=step, description=f"loss {loss:.4g}  lr {rate:.2g}")
        elif time.monotonic() - self.printed_at > LINE_EVERY_S or step == self.total:
            self.printed_at = time.monotonic()
            left = (self.printed_at - self.began) / max(step - self.first, 1) * (self.total - step)
            self.say(f"step {step}/{self.total}  loss {loss:.4g}  lr {rate:.2g}  left {_duration(left)}")

    def say(self, line: str) -> None:
        """Prints a line; a reader who closed the pipe does not stop the run."""
        self.console.print(one_line(line))

    @contextmanager
    def cases(self, title: str) -> Iterator[Callable[[int, int, str], None]]:
        """A progress function for an evaluation."""
        if not self.bar:
            yield lambda done, total, name: None
            return
        bar = self.bar
        task = bar.add_task(title, total=None)
        try:

            def show(done: int, total: int, name: str) -> None:
                bar.update(task, completed=done, total=total, description=one_line(f"{title} {name}"))

            yield show
        finally:
            bar.remove_task(task)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        if self.bar:
            self.bar.stop()


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
