"""Weights & Biases: on its server, or in `wandb/` of the run's folder where there is no login, no network or no wish.

`WANDB_MODE`, `WANDB_PROJECT`, `WANDB_ENTITY`, `WANDB_API_KEY` and the other variables of W&B work as usual.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vol3d.engine.loggers.logger import PROJECT, LoggedRun, State, final_numbers, results
from vol3d.engine.task import Evaluation

TIMEOUT_S = 30.0
"""How long to wait for the server before the run is kept in its folder."""


class WandbLogger:
    """One W&B run for a run; a resumed run has the same id.

    Steps that the server has already, of a run that was killed after its last save, are not sent twice: on a CPU they
    are the same to the bit.
    """

    def __init__(self, run: LoggedRun) -> None:
        import wandb

        self.folder = run.folder
        self.run = _open(run, wandb)
        run.keep_id("wandb", self.run.id)
        if not self.run.offline and self.run.url:
            run.say(f"W&B: {self.run.url}")

    def scalars(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """A point of each curve."""
        self.run.log({"epoch": epoch, **values}, step=step)

    def ended(self, step: int, evaluation: Evaluation) -> None:
        """Scores in the run's summary, the report and tables in its files."""
        self.run.summary.update({"final/step": step, **final_numbers(evaluation)})
        for path in results(self.folder):
            copy = shutil.copyfile(path, Path(self.run.dir) / path.name)
            self.run.save(copy, base_path=self.run.dir, policy="now", glob=False)

    def close(self, state: State) -> None:
        """Waits until everything was sent."""
        if state == "stopped":
            self.run.mark_preempting()
        self.run.finish(exit_code=0 if state == "finished" else 1)


def _open(run: LoggedRun, wandb: Any) -> Any:
    """A run on the server, or in the folder where the server cannot be had; never asks for a login."""
    mode = _mode(wandb)
    if mode != "online":
        return _init(run, wandb, mode)
    if not wandb.login(prompt=False, verify=False):
        run.say("note: not logged in to W&B; `wandb login` once, or WANDB_API_KEY, sends later runs to the server")
    else:
        try:
            return _init(run, wandb, mode)
        except wandb.Error as error:
            run.say(f"note: W&B cannot be reached ({type(error).__name__})")
    run.say(f"note: the W&B run is kept in {run.folder / 'wandb'}; `wandb sync` sends it")
    return _init(run, wandb, "offline")


def _mode(wandb: Any) -> str:
    quiet = wandb.Settings(silent=True, console="off")  # our lines are printed by `say`, and only where that is wanted
    return os.environ.get("WANDB_MODE") or str(wandb.setup(settings=quiet).settings.mode)


def _init(run: LoggedRun, wandb: Any, mode: str) -> Any:
    return wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        name=os.environ.get("WANDB_NAME", run.name),
        id=run.known_id("wandb"),
        resume="allow",
        config=dict(run.settings),
        dir=str(run.folder),
        mode=mode,
        reinit="create_new",  # a run that the caller has open stays theirs
        save_code=False,
        settings=wandb.Settings(silent=True, console="off", init_timeout=TIMEOUT_S),
    )
