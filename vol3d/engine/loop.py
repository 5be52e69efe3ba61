"""The training loop: steps, evaluations, saves; the same call goes on where a stopped run was."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn

from vol3d import checkpoint, files
from vol3d.config import dump
from vol3d.engine import results, resume
from vol3d.engine.derived import DERIVED_FROM
from vol3d.engine.distributed import Processes, processes
from vol3d.engine.dry_run import dry_run_task, steps_in_time
from vol3d.engine.learner import Learner, StepResult, fresh_model
from vol3d.engine.log import Log
from vol3d.engine.loggers.opened import require_loggers
from vol3d.engine.order import Loader, Plan, open_samples
from vol3d.engine.settings import RunSettings
from vol3d.engine.start_from import derives_from, origin, seen_before
from vol3d.engine.stop import Stopped, StopRequest
from vol3d.engine.task import Evaluation, Samples, TrainingTask
from vol3d.engine.trained_on import TRAINED_ON, TrainedOn
from vol3d.errors import CheckpointError, DataError, UsageError, Vol3dError
from vol3d.lock import LOCK, lock
from vol3d.terminal import Progress, counted, rough, say

ROWS = 1000
"""About how many rows `metrics.csv` gets in a run."""


def train(
    task: TrainingTask,
    out: str | Path,
    *,
    device: str | torch.device | None = None,
    dry_run: bool = False,
    overfit: int | None = None,
    open_data: Callable[[TrainingTask, bool, torch.device], Samples] = open_samples,
) -> Evaluation:
    """Trains `task` in the folder `out`, or goes on with the run that stopped there, and evaluates its best weights.

    Started by `torchrun` or `srun`, the processes train together. A run that has ended returns its evaluation again.

    Args:
        device: None takes CUDA where there is some.
        dry_run: only send one batch through every stage, see `dry_run_task`; `out` is not touched.
        overfit: train and evaluate on this many training cases, to see that the model can learn at all.
        open_data: opens the training split; several runs of the same data may share what it returns.

    Raises:
        Stopped: SIGTERM, SIGUSR1 or Ctrl-C; the state is saved.
        Vol3dError: the data, the settings, the folder or the numbers are at fault.
    """
    folder = Path(out)
    require_loggers(task.settings.train.loggers)
    if overfit is not None:
        task = task.overfit(overfit)
    with processes(device) as group, ExitStack() as stack:
        asked = task.settings.train.amp
        task = task.on(group.device)
        _say_other_precision(asked, task, group)
        if dry_run:
            return dry_run_task(task, group)
        if group.is_main:
            _open(folder, stack)
        group.wait()
        point = resume.read(folder) or resume.ResumePoint()
        about = _about(task, group, overfit)
        if point.about:
            resume.check_same_run(point.about["run"], about["run"], folder)
        if group.is_main and point.best_step >= 0:
            _check_best(folder)  # not after days, when the run needs them
        # Asked before the data are opened, which may take minutes.
        evaluation = _ended(folder) if point.step == point.about.get("steps") else None
        if evaluation is None:
            return _Run(task, folder, group, point, about, open_data).work(stack)
        if group.is_main:
            results.complete(folder)
            say(f"{folder}: this run has ended, {evaluation.score_name} {evaluation.score:.4f}; nothing to do")
        return evaluation


def _about(task: TrainingTask, group: Processes, overfit: int | None) -> dict[str, Any]:
    """What the resume point holds about itself; `run` is what must not change between a stop and its resume."""
    about = checkpoint.describe(task)
    del about["settings"]
    about["run"] = {
        **task.recipe().model_dump(mode="json"),
        "class_names": about["class_names"],
        "processes": group.count,
        "overfit": overfit,
    }
    return about


def _ended(folder: Path) -> Evaluation | None:
    """The evaluation of a run that has ended; one that is damaged is made again, which the weights allow."""
    try:
        return results.read(folder)
    except DataError as error:
        say(f"note: {error}; the best weights are evaluated again")
        return None


def _check_best(folder: Path) -> None:
    try:
        checkpoint.read_checkpoint(folder / checkpoint.WEIGHTS)
    except CheckpointError as error:
        do = f"Put back a copy; or move {resume.LAST} away to start again from the first step."
        raise CheckpointError(f"the run's best weights: {error.what}", where=error.where, do=do) from error


def _open(folder: Path, stack: ExitStack) -> None:
    is_new = not folder.exists()
    files.make_folder(folder)
    if is_new:
        stack.callback(_remove_unused, folder)
    stack.enter_context(lock(folder))
    files.remove_leftovers(folder)


def _say_other_precision(asked: str, task: TrainingTask, group: Processes) -> None:
    amp = task.settings.train.amp
    if amp != asked != "auto" and group.is_main:
        taken = "bfloat16" if amp == "bf16" else "float32"
        say(f"note: a CPU computes {asked} many times slower than float32: {taken} is used (train.amp={amp})")


def _remove_unused(folder: Path) -> None:
    """Removes the folder of a run that was refused before it wrote anything."""
    if {path.name for path in folder.iterdir()} == {LOCK}:
        shutil.rmtree(folder, ignore_errors=True)


class _Run:
    """A run in its folder, from a resume point to the end."""

    def __init__(
        self,
        task: TrainingTask,
        folder: Path,
        group: Processes,
        point: resume.ResumePoint,
        about: dict[str, Any],
        open_data: Callable[[TrainingTask, bool, torch.device], Samples],
    ) -> None:
        self.task, self.folder, self.group, self.point = task, folder, group, point
        self.settings = task.settings.train
        # Before the samples are prepared, which may take hours: weights that do not fit are refused at once.
        self.learner = Learner(task, group, point.state.get("model"))
        self.history = _history(task, point)
        self.trained_on = _trained_on(task, point)
        self.samples = open_data(task, group.is_main, group.device)
        s = self.settings
        self.plan = Plan(len(self.samples), s.batch, s.accumulate, group.count, s.seed)
        self.total = self._steps()
        known = point.about.get("samples", len(self.samples))
        if known != len(self.samples):
            what = "the data set is not the one that this run began with"
            raise UsageError(what, where=folder, got=f"{len(self.samples)} training samples", wanted=known)
        known = {**self.history, TRAINED_ON: self.trained_on.model_dump(mode="json")}
        point.about = about | {"samples": len(self.samples), "steps": self.total, **known}
        self.row_every = max(1, self.total // ROWS)
        self.saved_at = time.monotonic()

    def _steps(self) -> int:
        """Of the whole run; those that `train.hours` leaves time for are counted once, when it begins."""
        if self.settings.hours is None:
            return self.settings.epochs * self.plan.steps
        if "steps" in self.point.about:
            return self.point.about["steps"]
        steps = steps_in_time(self.task, self.group)
        if self.group.is_main:
            epochs, found = rough(steps / self.plan.steps), counted(steps, "step")
            say(f"{self.settings.hours:.3g} h suffice for {found} ({epochs} epochs) and evaluations on this machine")
        return steps

    def work(self, stack: ExitStack) -> Evaluation:
        """Trains to the end and evaluates the best weights."""
        if self.point.state:
            self.learner.restore(self.point.state)
        self.point.state = {}  # not needed twice
        start = self.point.step
        if start and self.group.is_main:
            say(f"{self.folder}: resumed after step {start} of {self.total}")
        workers, pin = self.settings.workers, self.group.device.type == "cuda"
        self.loader = Loader(self.samples, self.plan, self.group.rank, start, self.total, workers, pin)
        recipe = self._recipe()
        if self.group.is_main:
            files.write_text(self.folder / "config.yaml", dump(recipe))
        self.log = stack.enter_context(Log(self.folder, start, self.total, recipe)) if self.group.is_main else None
        self.last: Evaluation | None = None
        self.stop = stack.enter_context(StopRequest())
        self._train()
        return self._finish()

    def _recipe(self) -> RunSettings:
        """The settings of the run, with the fingerprint of the weights that it started from."""
        recipe = self.task.recipe()
        origin = self.history[checkpoint.STARTED_FROM]
        if recipe.start_from is None or origin is None:
            return recipe
        start = recipe.start_from.model_copy(update={"sha256": origin["sha256"]})
        return recipe.model_copy(update={"start_from": start})

    def _train(self) -> None:
        while True:
            if self._evaluation_is_due():
                self._evaluate()
                self._save()
            if self.point.step == self.total:
                return
            result = self.learner.step(self.loader.step(self.point.step), self.point.step, self.total)
            stop, save = self._agree(result)
            self.learner.apply(self.point.step)
            self.point.step += 1
            self._print(result)
            if save or stop:
                self._save()
            if stop:
                self._leave()

    def _agree(self, result: StepResult) -> tuple[bool, bool]:
        """Whether to stop and whether to save, the same in all processes; ends all if the numbers are not finite."""
        save = self.group.is_main and time.monotonic() - self.saved_at > self.settings.save_every_s
        flags = [float(not result.is_finite), float(self.stop.asked is not None), float(save)]
        faults, stops, saves, *terms = self.group.sum([*flags, *result.terms.values()])
        where = f"step {self.point.step}, cases {', '.join(result.ids)}"
        do = "Look at these cases; a lower optim.lr, a longer optim.warmup or train.amp=off may help."
        if not result.is_finite:
            raise Vol3dError("the loss is not finite", where=where, got=result.terms, do=do)
        if faults:
            raise Vol3dError("another process met a loss that is not finite", where=f"step {self.point.step}")
        # A scaler skips such a step by itself and goes on with a smaller scale.
        if not math.isfinite(result.grad_norm) and not self.learner.scaler.is_enabled():
            raise Vol3dError("the gradient is not finite", where=where, got=result.terms, do=do)
        sums = self.point.sums
        for name, value in zip(result.terms, terms, strict=True):
            sums[name] = sums.get(name, 0.0) + value / self.group.count
        return stops > 0, saves > 0

    def _print(self, result: StepResult) -> None:
        step, sums = self.point.step, self.point.sums
        if self.log:
            self.log.screen.step(step, result.loss, result.rate)
        if step % self.row_every and step != self.total:
            return
        means = {name: value / ((step - 1) % self.row_every + 1) for name, value in sums.items()}
        self.point.sums = {}
        if self.log:
            numbers = {"lr": result.rate, "loss": sum(means.values()), **means, "grad_norm": result.grad_norm}
            self.log.numbers(step, -(-step // self.plan.steps), numbers)

    def _evaluation_is_due(self) -> bool:
        if self.point.evaluated == self.point.step or not self.point.step:
            return False
        epoch, rest = divmod(self.point.step, self.plan.steps)
        return (not rest and epoch % self.settings.evaluate_every == 0) or self.point.step == self.total

    def _evaluate(self) -> None:
        """Scores the present weights and keeps them if they are the best; a stop meanwhile saves and leaves."""
        weights = self.learner.best_weights()
        done = True
        if self.log:
            model = fresh_model(self.task, self.group.device, weights).eval()
            try:
                self._keep(model, self._score(model, self.log, pictures=self.point.step == self.total), self.log)
            except _Interrupted:
                done = False
        if not self.group.share(done):
            self._save()
            self._leave()
        self.point.evaluated = self.point.step

    def _score(self, model: nn.Module, log: Log, pictures: bool) -> Evaluation:
        torch.manual_seed(self.settings.seed)
        background = self.settings.background if pictures else None
        with self._cases(log, "evaluate") as progress:
            return self.task.evaluate(model, self.group.device, progress, background)

    @contextmanager
    def _cases(self, log: Log, title: str) -> Iterator[Progress]:
        """A progress function that leaves by `_Interrupted` where a stop is asked for."""
        with log.screen.cases(title) as show:

            def progress(done: int, total: int, name: str) -> None:
                if self.stop.asked is not None:
                    raise _Interrupted
                show(done, total, name)

            yield progress

    def _learned_from(self, log: Log) -> TrainedOn | None:
        """The scans that the weights have learned from; once, since they may have to be read."""
        if not self.trained_on.scans.get("training"):
            with self._cases(log, "training cases") as progress:
                own = self.task.trained_on(progress)
            if own is None:
                return None
            self.trained_on = self.trained_on.joined(own)
            self.point.about[TRAINED_ON] = self.trained_on.model_dump(mode="json")
        return self.trained_on

    def _keep(self, model: nn.Module, evaluation: Evaluation, log: Log) -> None:
        point, score = self.point, float(evaluation.score)
        better = point.best is None or math.isnan(point.best) or score >= point.best  # of equals the longest trained
        if better:
            seen, step, trained_on = self.task.seen(), point.step, self._learned_from(log)
            point.best, point.best_step = score, step
            scans = None if trained_on is None else trained_on.model_dump(mode="json")
            history = {**self.history, TRAINED_ON: scans}
            checkpoint.save_best(self.folder, model, self.task, evaluation, step, seen, history)
            self.last = evaluation
        log.numbers(point.step, point.step // self.plan.steps, {evaluation.score_name: score})
        note = "best so far, kept" if better else f"best {point.best:.4f} at step {point.best_step}"
        if math.isnan(score) and better:
            note = "nothing annotated, no score; the last weights are kept"
        log.screen.say(f"step {point.step}/{self.total}  {evaluation.score_name} {score:.4f}  ({note})")

    def _save(self) -> None:
        state = self.learner.state()
        if self.group.is_main:
            resume.save(self.folder, replace(self.point, state=state))
        self.saved_at = time.monotonic()

    def _leave(self) -> NoReturn:
        """Ends a run that was asked to stop and has saved; the processes agree on the exit code through process 0's."""
        do = "The same command goes on from there."
        code = self.group.share(self.stop.exit_code)
        raise Stopped(f"stopped and saved at step {self.point.step} of {self.total}", exit_code=code, do=do)

    def _finish(self) -> Evaluation:
        """Evaluates the best weights with pictures, and writes what a finished run's folder holds."""
        evaluation = None
        interrupted = False
        if self.log:
            evaluation = self.last if self.point.best_step == self.total else None
            try:
                if evaluation is None:
                    weights, _ = checkpoint.read_checkpoint(self.folder / checkpoint.WEIGHTS)
                    model = fresh_model(self.task, self.group.device, weights).eval()
                    evaluation = self._score(model, self.log, pictures=True)
                results.write(self.folder, evaluation, self.point.best_step)
                self.log.ended(self.point.best_step, evaluation)
            except _Interrupted:
                interrupted = True
        if self.group.share(interrupted):
            self._leave()
        return self.group.share(evaluation)


def _history(task: TrainingTask, point: resume.ResumePoint) -> dict[str, Any]:
    """What a run states of the models that it learns from: those of its start, which may be gone when it goes on."""
    if not point.state:
        return {checkpoint.STARTED_FROM: origin(task), DERIVED_FROM: derives_from(task)}
    return {key: point.about.get(key) for key in (checkpoint.STARTED_FROM, DERIVED_FROM)}


def _trained_on(task: TrainingTask, point: resume.ResumePoint) -> TrainedOn:
    """What a run states of scans when it begins: those of its start; of a run of an earlier release perhaps not all."""
    if TRAINED_ON in point.about:
        return TrainedOn.model_validate(point.about[TRAINED_ON])
    if not point.state or task.learning.settings.start_from is None:
        return seen_before(task)
    return TrainedOn(not_recorded=("start_from",))  # its weights may be gone


class _Interrupted(Exception):
    """Raised through an evaluation to leave it."""
