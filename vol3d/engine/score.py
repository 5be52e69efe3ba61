"""A loaded model on a data set: which of its cases are scored, and what is written of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vol3d import catalog
from vol3d.config import build, dump, from_words
from vol3d.engine import results
from vol3d.engine.settings import Settings
from vol3d.engine.task import Evaluation, Part, ScoringTask
from vol3d.engine.trained_on import REMARKS, TRAINED_ON, seen_facts
from vol3d.errors import UsageError
from vol3d.files import make_folder, remove_leftovers, write_text
from vol3d.scans.results.submission import require_own, seal
from vol3d.terminal import Progress

if TYPE_CHECKING:
    from vol3d.model import Model
    from vol3d.view.theme import Background


def score(
    model: Model,
    root: Path,
    dataset: str | None,
    fold: int | None,
    part: Part | None,
    out: Path | None,
    submission: Path | None,
    progress: Progress,
    data_settings: Sequence[str] = (),
    background: Background = "dark",
) -> Evaluation:
    """The evaluation that `vol3d.api.evaluate` describes; its summary states what was scored, and with what."""
    trained = _scoring(model)
    _check_part(part, _layout(trained, dataset))
    if part == "test":
        _check_test(submission, out)
    task, chosen = on_data(trained, root, dataset, fold, part, data_settings)
    if submission is not None:
        task = task.with_submission(submission)
        require_own(submission)
    if out is not None:
        results.require_own(out)
        make_folder(out)
    for place in (out, out and out / results.PICTURES, submission, submission and submission.parent):
        if place is not None:
            remove_leftovers(place, of_the_dead=True)
    evaluation = task.evaluate(model.network(), model.device, progress, pictures=None if out is None else background)
    if submission is not None:
        seal(submission, model.record)
    evaluation.summary.update(split=chosen, data=str(root), checkpoint=model.name, models=len(model.models))
    evaluation.summary.update(model.licence_facts)
    if chosen != "test":
        _add(evaluation.summary, _seen(model, task, progress))
    if out is not None:
        write_text(out / results.CONFIG, dump(task.settings))
        results.write(out, evaluation, step=0)
    return evaluation


def _add(summary: dict[str, Any], facts: dict[str, Any]) -> None:
    """Adds facts to a summary, and their remarks after those that it has."""
    remarks = [*summary.get(REMARKS, ()), *facts.get(REMARKS, ())]
    summary.update(facts | ({REMARKS: remarks} if remarks else {}))


def _seen(model: Model, task: ScoringTask, progress: Progress) -> dict[str, Any]:
    """What a score must be read with where the model has learned from scored scans; they are read for it once more."""
    if not any(TRAINED_ON in one for one in model.info):
        return {}
    return seen_facts(model.info, task.scored_keys(progress))


def _scoring(model: Model) -> ScoringTask:
    """Raises UsageError for a model that predicts only."""
    if not isinstance(model.task, ScoringTask):
        do = "Predict the scans, and score the results."
        raise UsageError(f"a model of {model.task.name}, which predicts only", where=model.name, do=do)
    return model.task


def on_data(
    task: ScoringTask,
    root: Path,
    dataset: str | None,
    fold: int | None,
    part: Part | None,
    settings: Sequence[str] = (),
) -> tuple[ScoringTask, Part]:
    """The task on the data set at `root`, and the part of it that is scored.

    Raises:
        UsageError: no such data set or part, or one without folds; `settings` that it does not have.
        CheckpointError: the data set has none of the model's classes.
    """
    trained_on: Any = task.data
    kind = _layout(task, dataset)
    _check_part(part, kind)
    if fold is not None and "fold" not in kind.model_fields:
        raise UsageError("this data set has no folds", where="--fold", got=fold, do="Use --split, or leave both out.")

    same = dataset is None and _same_folder(trained_on.root, root)
    # A fold means one of those that the model was trained with, wherever the data lie now.
    known = trained_on.model_dump() if same or (fold is not None and dataset is None) else {}
    asked = {"root": root} if fold is None else {"root": root, "fold": fold}
    data = kind(**known | asked)
    if settings:
        whole = [f"{name}={json.dumps(value)}" for name, value in data.model_dump(mode="json").items()]
        data = build(from_words([*whole, *settings]), kind)
    chosen = part or _usual_part(data, fold is not None or same)
    return task.for_dataset(data, chosen), chosen


def _layout(task: ScoringTask, dataset: str | None) -> type[Settings]:
    """The settings of the data set that is scored: of the name, or of the kind that the model was trained on."""
    if dataset is None:
        return type(task.data)
    kind: type[Settings] = catalog.load(catalog.find(dataset, catalog.DATASETS, "data set").target)
    return kind


def _check_part(part: Part | None, kind: type[Settings]) -> None:
    """Raises UsageError unless the data set can have the part; one without a benchmark has no test set to submit."""
    submits = getattr(kind, "submission", None) is not None
    known = ("validation", "train", "all", "test") if submits else ("validation", "train", "all")
    if part is not None and part not in known:
        wanted = f"{', '.join(known[:-1])} or {known[-1]}"
        raise UsageError("no such split", where="--split", got=part, wanted=wanted)


def _check_test(submission: Path | None, out: Path | None) -> None:
    """Raises UsageError unless a test set is asked for what it can give: a submission, and no scores."""
    if submission is None:
        do = "Add --submission PATH, which writes what the benchmark takes."
        raise UsageError("the test set has no labels to score with", where="--split", got="test", do=do)
    if out is not None:
        raise UsageError("the test set has no scores to write", where="--out", got=out, do="Leave it out.")


def _usual_part(data: Any, seen: bool) -> Part:
    """Validation where training and validation cases are known apart, by folds or by the data set itself; else all."""
    return "validation" if seen or _names_validation(data) else "all"


def _names_validation(data: Any) -> bool:
    """Whether the data set itself defines which scenes are for validation: the others were trained on, in any copy."""
    return "fold" not in type(data).model_fields and bool(data.split().validation)


def _same_folder(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve()
    except OSError:
        return False
