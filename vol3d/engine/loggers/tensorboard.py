"""TensorBoard: event files in `events/`."""

from __future__ import annotations

from collections.abc import Mapping

from vol3d.engine.loggers.logger import LoggedRun, State
from vol3d.engine.task import Evaluation


class TensorBoardLogger:
    """Events up to `run.step` stay; later ones, of a run that was killed after its last save, are hidden."""

    def __init__(self, run: LoggedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter  # a second of imports, of use only here

        self.writer = SummaryWriter(str(run.folder / "events"), purge_step=run.step + 1, flush_secs=30)

    def scalars(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """A curve for each name."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def ended(self, step: int, evaluation: Evaluation) -> None:
        """Nothing: the score is a curve, and tables are not what event files are for."""

    def close(self, state: State) -> None:
        """Flushes the file."""
        self.writer.close()
