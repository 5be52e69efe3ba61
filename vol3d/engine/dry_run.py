"""The dry run: one batch through every stage, and what the whole run would need."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from vol3d import checkpoint
from vol3d.engine import resume
from vol3d.engine.distributed import Processes
from vol3d.engine.learner import Learner, fresh_model
from vol3d.engine.order import Loader, Plan, open_samples
from vol3d.engine.task import Batch, Evaluation, TrainingTask
from vol3d.errors import Vol3dError

_STEPS = 2  # the first one also warms up, the second one is timed


def dry_run_task(task: TrainingTask, group: Processes) -> Evaluation:
    """Data, forward, loss, backward, optimiser, evaluation of one case, saving and loading; nothing is kept.

    Returns:
        The loss of the batch as the score, and the run's size, time and memory in the summary.

    Raises:
        Vol3dError: whatever the run would have stopped at.
    """
    settings = task.settings.train
    learner = Learner(task, group)
    samples = open_samples(task, show=group.is_main)
    plan = Plan(len(samples), settings.batch, settings.accumulate, group.count, settings.seed)
    loader = Loader(samples, plan, group.rank, 0, _STEPS, workers=0)
    for step in range(_STEPS):
        data_s, batches = _timed(lambda step=step: list(loader.step(step)))
        step_s, result = _timed(lambda step=step, batches=batches: _step(learner, batches, step))
    if not result.is_finite:
        raise Vol3dError("the loss is not finite", where=f"cases {', '.join(result.ids)}", got=result.terms)
    case_s, cases, saved_mb, last_mb = _evaluate_and_save(task, learner, group)
    epochs, waits = settings.epochs, max(settings.workers, 1)
    evaluations = -(-epochs // settings.evaluate_every) + 1
    hours = (epochs * plan.steps * max(step_s, data_s / waits) + evaluations * cases * case_s) / 3600
    summary = {
        "training_samples": len(samples),
        "steps": epochs * plan.steps,
        "parameters": sum(p.numel() for p in learner.model.parameters()),
        "loss": result.terms,
        "seconds_data_per_step": data_s,
        "seconds_per_step": step_s,
        "seconds_per_evaluated_case": case_s,
        "evaluated_cases": cases,
        "hours_estimated": hours,
        "mb_weights_gradients_optimiser": _state_bytes(learner) / 1e6,
        "mb_peak": _peak_bytes(group.device) / 1e6,
        "mb_checkpoint": saved_mb,
        "mb_resume_point": last_mb,
    }
    return Evaluation(result.loss, "loss_of_one_batch", summary)


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
    """Leaves an evaluation after its first case."""


def _evaluate_and_save(task: TrainingTask, learner: Learner, group: Processes) -> tuple[float, int, float, float]:
    """Seconds of the first case, number of cases, megabytes of checkpoint and resume point."""
    weights, state = learner.best_weights(), learner.state()
    if not group.is_main:
        return group.share(None)
    model = fresh_model(task, group.device, weights).eval()
    cases = 0

    def progress(done: int, total: int, name: str) -> None:
        nonlocal cases
        cases = total
        if done:
            raise _Enough

    began = time.perf_counter()
    try:
        evaluation = task.evaluate(model, group.device, progress)
    except _Enough:
        evaluation = Evaluation(0.0, "", {})
    case_s = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint.save_best(folder, model, task, evaluation, 1)
        checkpoint.read_checkpoint(folder / checkpoint.WEIGHTS)
        resume.save(folder, resume.ResumePoint(state=state))
        resume.read(folder)
        sizes = [(folder / file).stat().st_size / 1e6 for file in (checkpoint.WEIGHTS, resume.LAST)]
    return group.share((case_s, cases, *sizes))


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
