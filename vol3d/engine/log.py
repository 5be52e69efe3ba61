"""What a run prints: `metrics.csv`, TensorBoard events, and a bar on a terminal or plain lines elsewhere."""

from __future__ import annotations

import csv
import io
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vol3d.files import write_text
from vol3d.printable import one_line
from vol3d.terminal import console, is_aloud

LINE_EVERY_S = 20.0


class Metrics:
    """`metrics.csv`: a row for a step, a column for a number; an empty cell was not measured then.

    Rows are appended in one write each, so a killed run leaves whole rows; rows after `step` are cut off at a resume.
    A number seen for the first time adds a column at the right.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.columns = ["step", "epoch"]
        rows = self._kept(step) if path.is_file() else []
        self._rewrite(rows)

    def _kept(self, step: int) -> list[dict[str, str]]:
        with self.path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            self.columns = list(reader.fieldnames or self.columns)
            whole = (row for row in reader if None not in row and None not in row.values())
            return [row for row in whole if row["step"].isdecimal() and int(row["step"]) <= step]

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path, text.getvalue())

    def append(self, step: int, epoch: int, values: dict[str, float]) -> None:
        """Adds the row of `step`."""
        fresh = [name for name in values if name not in self.columns]
        if fresh:
            rows = self._kept(sys.maxsize)
            self.columns += fresh
            self._rewrite(rows)
        cells = {"step": str(step), "epoch": str(epoch), **{name: f"{value:.7g}" for name, value in values.items()}}
        text = io.StringIO()
        csv.DictWriter(text, self.columns, restval="", lineterminator="\n").writerow(cells)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())


class Log:
    """The three of them for the process that writes; close it, or use it as a context manager."""

    def __init__(self, folder: Path, step: int, total: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # a second of imports, of use only here

        self.metrics = Metrics(folder / "metrics.csv", step)
        self.events = SummaryWriter(str(folder / "events"), purge_step=step + 1, flush_secs=30)
        self.screen = Screen(step, total)

    def numbers(self, step: int, epoch: int, values: dict[str, float]) -> None:
        """Writes the finite numbers of a step to the table and the events."""
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        self.metrics.append(step, epoch, values)
        for name, value in values.items():
            self.events.add_scalar(name, value, step)

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.screen.close()
        self.events.close()


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
