"""One batch through every stage: the dry run, and how many steps a run has time for."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vol3d import checkpoint
from vol3d.engine import resume
from vol3d.engine.distributed import Processes
from vol3d.engine.learner import Learner, StepResult, fresh_model
from vol3d.engine.order import Loader, Plan, open_samples
from vol3d.engine.settings import TrainSettings
from vol3d.engine.task import Batch, Evaluation, Samples, TrainingTask, WindowedProgress
from vol3d.errors import Vol3dError
from vol3d.terminal import counted, say

_STEPS = 2  # the first one also warms up, the second one is timed
_SLOW_S = 20.0  # of a first step after which there is no second one, and of a step that is tried with all its cases

Timed = tuple[float, float, StepResult]
"""Seconds to read the samples of a step, of the step itself, and what came out."""


@dataclass(frozen=True)
class Pace:
    """What two steps, the evaluation of a case, and a save took.

    Args:
        plan: how an epoch is cut into steps.
        result: of the last step.
        data_s, step_s: seconds to read the samples of a step, and of the step itself.
        tried: cases of the step that was timed; with fewer than a step has, the seconds are in proportion.
        case_s, cases: seconds of one evaluated case, and how many an evaluation has.
        case_share: of the case that was timed; the seconds are in proportion.
        saved_mb, last_mb: sizes of the checkpoint and of the resume point.
    """

    plan: Plan
    result: StepResult
    data_s: float
    step_s: float
    case_s: float
    cases: int
    saved_mb: float
    last_mb: float
    case_share: float = 1.0
    tried: int = 0

    @property
    def evaluation_s(self) -> float:
        """Seconds of an evaluation of all cases."""
        return self.case_s * self.cases

    def seconds_of_step(self, workers: int) -> float:
        """Of a step whose samples `workers` processes read beside it."""
        return max(self.step_s, self.data_s / max(workers, 1)) if workers else self.step_s + self.data_s


def dry_run_task(task: TrainingTask, group: Processes) -> Evaluation:
    """Data, forward, loss, backward, optimiser, evaluation of one case, saving and loading; nothing is kept.

    Returns:
        The loss of the batch as the score, and the run's size, time and memory in the summary.

    Raises:
        Vol3dError: whatever the run would have stopped at.
    """
    settings = task.settings.train
    learner = Learner(task, group)
    if group.is_main:
        cases = settings.batch * settings.accumulate
        say(f"trying a step of {counted(cases, 'case')}, the evaluation of one case and a save on {group.device}")
    pace = _measure(task, group, learner)
    steps = settings.epochs * pace.plan.steps if settings.hours is None else _steps_within(settings, pace)
    evaluations = -(-steps // (pace.plan.steps * settings.evaluate_every))
    evaluations += evaluations > 1  # the best weights once more, unless they are the last
    seconds = steps * pace.seconds_of_step(settings.workers) + evaluations * pace.evaluation_s
    summary = {
        "training_samples": pace.plan.samples,
        "cases_per_step": min(pace.plan.per_step, pace.plan.samples),
        "cases_tried": pace.tried,
        "steps": steps,
        "steps_per_epoch": pace.plan.steps,
        "parameters": sum(p.numel() for p in learner.model.parameters()),
        "loss": pace.result.terms,
        "seconds_data_per_step": pace.data_s,
        "seconds_per_step": pace.step_s,
        "seconds_per_evaluated_case": pace.case_s,
        "evaluated_cases": pace.cases,
        "share_of_case_tried": pace.case_share,
        "hours_estimated": seconds / 3600,
        "hours_asked": settings.hours,
        "mb_weights_gradients_optimiser": _state_bytes(learner) / 1e6,
        "mb_peak": _peak_bytes(group.device) / 1e6,
        "mb_checkpoint": pace.saved_mb,
        "mb_resume_point": pace.last_mb,
    }
    return Evaluation(pace.result.loss, "loss_of_one_batch", summary)


def steps_in_time(task: TrainingTask, group: Processes) -> int:
    """How many steps the run has time for in `train.hours`, its evaluations included; the same in all processes.

    Raises:
        Vol3dError: whatever the run would have stopped at.
    """
    pace = _measure(task, group, Learner(task, group, show=False))  # the run itself tells of its start
    return group.share(_steps_within(task.settings.train, pace))


def _steps_within(settings: TrainSettings, pace: Pace) -> int:
    """At least one; an evaluation at the end, and one after every `evaluate_every` epochs."""
    left_s = (settings.hours or 0) * 3600 - pace.evaluation_s
    shared = pace.evaluation_s / (pace.plan.steps * settings.evaluate_every)
    return max(1, int(left_s / (pace.seconds_of_step(settings.workers) + shared)))


def _measure(task: TrainingTask, group: Processes, learner: Learner) -> Pace:
    """Trains `learner` for two steps, or one slow one, evaluates one case and saves it; nothing is kept.

    A step that would take long, by what a single case of it took, is not tried with all its cases.
    """
    settings = task.settings.train
    samples = open_samples(task, group.is_main, group.device)
    plan = Plan(len(samples), settings.batch, settings.accumulate, group.count, settings.seed)
    cases = min(plan.per_step, plan.samples)
    tried, (data_s, step_s, result) = _try_step(learner, plan, samples, cases)
    if not result.is_finite:
        raise Vol3dError("the loss is not finite", where=f"cases {', '.join(result.ids)}", got=result.terms)
    stages = _evaluate_and_save(task, learner, group)
    share = cases / tried
    return Pace(plan, result, share * data_s, share * step_s, *stages, tried)


def _try_step(learner: Learner, plan: Plan, samples: Samples, cases: int) -> tuple[int, Timed]:
    """How many of a step's cases were tried, and how long they took; not all where one in each process is slow."""
    group, single = learner.group, None
    if cases > group.count and group.device.type == "cpu":
        single = _single_case(learner, plan, samples)
    if single is not None and group.share(single[1]) * cases > _SLOW_S * group.count:
        return group.count, single
    for step in range(0 if single is None else 1, _STEPS):  # the single case has warmed up
        timed = _tried(learner, plan, samples, step)
        if group.share(timed[1]) > _SLOW_S:  # what a first step does once is little beside it
            break
    return cases, timed


def _single_case(learner: Learner, plan: Plan, samples: Samples) -> Timed | None:
    """`_tried` of a step with one case in each process; None where the network does not take one, as some norms do."""
    try:
        return _tried(learner, replace(plan, batch=1, accumulate=1), samples, 0)
    except ValueError:
        return None


def _tried(learner: Learner, plan: Plan, samples: Samples, step: int) -> Timed:
    """A step, timed."""
    loader = Loader(samples, plan, learner.group.rank, step, step + 1, workers=0)
    data_s, batches = _timed(lambda: list(loader.step(step)))
    return data_s, *_timed(lambda: _step(learner, batches, step))


def _timed(work: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began, result


def _step(learner: Learner, batches: list[tuple[Batch, float]], step: int) -> Any:
    result = learner.step(batches, step, _STEPS)
    learner.apply(step)
    return result


class _Enough(Exception):
    """Leaves an evaluation after its first case, or within one that takes long."""


class _FirstCase(WindowedProgress):
    """The time of an evaluation's first case; of a long one by its first windows.

    Args:
        seconds: of the case.
        cases: of the evaluation.
        share: of the case that was timed.
    """

    def __init__(self) -> None:
        self.began, self.seconds, self.cases, self.share = time.perf_counter(), 0.0, 0, 1.0

    def __call__(self, done: int, total: int, name: str) -> None:
        self.cases = total
        if done:
            raise _Enough

    def windows(self, done: int, total: int) -> None:
        if 0 < done < total and time.perf_counter() - self.began > _SLOW_S:
            self.share = done / total
            raise _Enough

    def stop(self) -> None:
        self.seconds = (time.perf_counter() - self.began) / self.share


def _evaluate_and_save(
    task: TrainingTask, learner: Learner, group: Processes
) -> tuple[float, int, float, float, float]:
    """Seconds of the first case, number of cases, megabytes of checkpoint and resume point, timed share of the case."""
    weights, state = learner.best_weights(), learner.state()
    if not group.is_main:
        return group.share(None)
    model = fresh_model(task, group.device, weights).eval()
    first = _FirstCase()
    try:
        evaluation = task.evaluate(model, group.device, first)
    except _Enough:
        evaluation = Evaluation(0.0, "", {})
    first.stop()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint.save_best(folder, model, task, evaluation, 1)
        checkpoint.read_checkpoint(folder / checkpoint.WEIGHTS)
        resume.save(folder, resume.ResumePoint(state=state))
        resume.read(folder)
        sizes = [(folder / file).stat().st_size / 1e6 for file in (checkpoint.WEIGHTS, resume.LAST)]
    return group.share((first.seconds, first.cases, *sizes, first.share))


def _state_bytes(learner: Learner) -> int:
    """Weights, gradients (as large as the weights), optimiser state, averages."""
    weights = [p for p in learner.model.parameters() if p.requires_grad]
    moments = [v for state in learner.optimizer.state.values() for v in state.values() if torch.is_tensor(v)]
    averages = [*learner.ema.averages.values()] if learner.ema else []
    return sum(t.numel() * t.element_size() for t in [*weights, *weights, *moments, *averages])


def _peak_bytes(device: torch.device) -> int:
    """Peak memory of the device, or of this process on a CPU (0 where the system does not know)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
