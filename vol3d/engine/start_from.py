"""Fine-tuning: a model that begins with the weights of another one, as far as both are alike.

What belongs to other classes begins anew, and so does a part of another kind, the head of another model; both are
noted. A part of the same kind but of other sizes is refused: a training that silently begins from nothing is worse
than one that does not begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from vol3d import checkpoint
from vol3d.class_names import spelled_as
from vol3d.engine.common_classes import spelling_note
from vol3d.engine.derived import Origin, origins
from vol3d.engine.parts import check_parts, lies_in, parts_of
from vol3d.engine.settings import StartSettings
from vol3d.engine.task import TrainingTask
from vol3d.engine.trained_on import TrainedOn, inherited
from vol3d.errors import CheckpointError, UsageError
from vol3d.notes import Note
from vol3d.terminal import say

_WHERE = "start_from.parts"


def initial_model(task: TrainingTask, show: bool = True) -> nn.Module:
    """The model that a new training starts from: fresh, or with the weights of the one that the settings name.

    Args:
        show: print what was taken over, converted and begun anew.

    Raises:
        UsageError: an ensemble, another task, no such part, other features.
        CheckpointError: no checkpoint, another one than the settings say, or a part of other sizes.
    """
    task = task.learning
    model, start = task.model(), task.settings.start_from
    if start is None:
        return model

    loaded = checkpoint.load(start.checkpoint)
    if len(loaded.models) != 1:
        do = "Give one of its folds."
        raise UsageError("a run cannot start from an ensemble", where="start_from", got=start.checkpoint, do=do)
    if loaded.task.name not in {task.name, *task.starts_from}:
        got, wanted = f"{start.checkpoint}, a model for {loaded.task.name}", f"one for {task.name}"
        raise UsageError("the weights are those of another task", where="start_from", got=got, wanted=wanted)
    found = loaded.info[0]["sha256"]
    if start.sha256 not in {None, found}:
        do = "Put the old weights back, or leave start_from.sha256 out to begin with these."
        what = "not the weights that start_from.sha256 names"
        raise CheckpointError(what, where=start.checkpoint, got=found, wanted=start.sha256, do=do)

    (other,) = loaded.models
    notes = task.adapt(loaded.task, other)
    outputs = task.other_outputs(model, loaded.task)
    if not outputs:  # the same classes, perhaps in another spelling
        notes += spelling_note(spelled_as(loaded.task.class_names, task.class_names, "start_from"), "the other model's")
    takeover = take_over(task.trunk(model), loaded.task.trunk(other), start, outputs)
    for note in (*notes, *takeover.notes(start.checkpoint)) if show else ():
        say(f"note: {note}")
    return model


def origin(task: TrainingTask) -> dict[str, str] | None:
    """Whose weights a new training starts from: its `checkpoint` as the settings name it, and its `sha256`."""
    start = task.learning.settings.start_from
    if start is None:
        return None
    (path,) = checkpoint.resolve(start.checkpoint)
    return {"checkpoint": start.checkpoint, "sha256": checkpoint.read_info(path)["sha256"]}


def derives_from(task: TrainingTask) -> list[dict[str, Any]]:
    """The licensed models that a new training learns from, ready for JSON; see `vol3d.engine.derived`."""
    start, found = task.learning.settings.start_from, list[Origin]()
    if start is not None:
        found += origins("start_from", _named(start.checkpoint), checkpoint.said_by(start.checkpoint))
    for teacher in task.teachers():
        found += origins("teacher", _named(teacher), checkpoint.said_by(teacher))
    return [one.to_dict() for one in found]


def _named(where: str) -> str:
    """A shipped model's name, or that of a run's folder."""
    path = Path(where)
    return path.absolute().parent.name if path.suffix else path.name


def seen_before(task: TrainingTask) -> TrainedOn:
    """The scans that the weights which a new training starts from have learned from."""
    start = task.learning.settings.start_from
    return TrainedOn() if start is None else inherited("start_from", checkpoint.said_by(start.checkpoint))


@dataclass(frozen=True)
class Takeover:
    """What a model took over.

    Args:
        taken: parameters by name.
        anew: parameters that keep their fresh values.
        parts: those that were looked at, by their names in the other model and in this one.
    """

    taken: dict[str, nn.Parameter]
    anew: dict[str, nn.Parameter]
    parts: tuple[tuple[str, str], ...]

    def notes(self, source: str) -> tuple[Note, ...]:
        """What was taken over from `source`, and what begins anew, with names and counts."""
        text = "{tensors} tensors ({parameters:,} parameters) begin as in {value}"
        taken = ((theirs, ours) for theirs, ours in self.parts if any(lies_in(name, ours) for name in self.taken))
        parts = (ours if theirs == ours else f"{theirs} as {ours}" for theirs, ours in taken)
        value = f"{source}: {', '.join(parts)}"
        found = [Note("started-from", text, "start_from", value, numbers=_counts(self.taken))]
        if self.anew:
            text = "{tensors} tensors ({parameters:,} parameters) start from random values: {value}"
            found.append(Note("randomly-initialised", text, value=self._named_anew(), numbers=_counts(self.anew)))
        return tuple(found)

    def _named_anew(self) -> str:
        """Whole parts by their names, else the layers."""
        begun = {_outermost(name) for name in self.taken}
        layers = (name.rpartition(".")[0] if _outermost(name) in begun else _outermost(name) for name in self.anew)
        return checkpoint.listed(list(dict.fromkeys(layers)))


def _counts(parameters: dict[str, nn.Parameter]) -> dict[str, float]:
    return {"tensors": len(parameters), "parameters": sum(p.numel() for p in parameters.values())}


def take_over(mine: nn.Module, theirs: nn.Module, start: StartSettings, outputs: Sequence[str] = ()) -> Takeover:
    """Copies weights and running statistics of the parts that both models have, in place.

    Args:
        mine, theirs: the trunks of both models.
        start: which parts, and how ours are called; those of other kinds are left out unless they are named.
        outputs: layers that stand for other classes, and begin anew; in their parts other layers may differ, too.

    Raises:
        UsageError: no such part, or none in common.
        CheckpointError: a part of other sizes.
    """
    pairs = _common(mine, theirs, start)
    own, state = mine.state_dict(), theirs.state_dict()
    renewed = {name for name in own if any(fnmatchcase(name, f"{layer}.*") for layer in outputs)}
    loose = {_outermost(name) for name in renewed}
    copied = dict[str, Tensor]()
    for their_name, part in pairs:
        other = _renamed(state, their_name, part)
        same, differing = _compared(part, own, other)
        if differing and _outermost(part) not in loose:
            _refuse(part, differing, own, other, start)
        copied |= {name: other[name] for name in same - renewed}
    mine.load_state_dict(own | copied)

    taken, anew = dict[str, nn.Parameter](), dict[str, nn.Parameter]()
    for name, parameter in mine.named_parameters():
        (taken if name in copied else anew)[name] = parameter
    return Takeover(taken, anew, pairs)


def _renamed(state: dict[str, Tensor], part: str, name: str) -> dict[str, Tensor]:
    """The tensors of a part, called as if the part had another name."""
    return {name + one[len(part) :]: tensor for one, tensor in state.items() if lies_in(one, part)}


def _outermost(name: str) -> str:
    return name.split(".")[0]


def _common(mine: nn.Module, theirs: nn.Module, start: StartSettings) -> tuple[tuple[str, str], ...]:
    """The parts to take over by their names in the other model and in this one: the named ones, or all that both have
    and that are of one kind."""
    if start.pairs is not None:
        for their_name, name in start.pairs:
            check_parts(theirs, [their_name], _WHERE, start.checkpoint, _other_name(mine, theirs, name, "theirs"))
            check_parts(mine, [name], _WHERE, do=_other_name(theirs, mine, their_name, "ours"))
        return start.pairs
    other = parts_of(theirs)
    common = tuple((name, name) for name, part in parts_of(mine).items() if type(part) is type(other.get(name)))
    if not common:
        got, wanted = ", ".join(other), "some of " + ", ".join(parts_of(mine))
        raise UsageError("the models have no part in common", where=start.checkpoint, got=got, wanted=wanted)
    return common


def _other_name(having: nn.Module, lacking: nn.Module, part: str, missing: Literal["theirs", "ours"]) -> str | None:
    """What to write for a part that one of the models has, where a part of the same kind has another name in the other.

    Args:
        missing: in which of the two models the name is wrong.
    """
    sought = dict(having.named_modules()).get(part) if part else None
    if sought is None or type(sought).__module__.startswith("torch."):  # a list of layers is no kind
        return None
    alike = [name for name, one in lacking.named_modules() if name and type(one) is type(sought)]
    if not alike:
        return None
    pair = f"{part}: {alike[0]}" if missing == "ours" else f"{alike[0]}: {part}"
    return f"A part of this kind is called {alike[0]} there: write parts: {{{pair}}}."


def _compared(part: str, own: dict[str, Tensor], other: dict[str, Tensor]) -> tuple[set[str], list[str]]:
    """Names of a part's tensors that have one size in both states, and of those that have not."""
    names = {name for name in own | other if lies_in(name, part)}
    same = {name for name in names if name in own and _size(own, name) == _size(other, name)}
    return same, sorted(names - same)


def _refuse(
    part: str, differing: list[str], own: dict[str, Tensor], other: dict[str, Tensor], start: StartSettings
) -> None:
    """Raises CheckpointError with the sizes of the first tensors that differ."""
    sizes = [f"{name} {_size(other, name)} for {_size(own, name)}" for name in differing]
    raise CheckpointError(
        f"the part {part} has other sizes than the model's",
        where=start.checkpoint,
        got=checkpoint.listed(sizes),
        do="Train with the recipe of those weights (their card or the run's config.yaml has it), or name the parts to "
        "take over in start_from.parts.",
    )


def _size(state: dict[str, Tensor], name: str) -> str:
    return str(tuple(state[name].shape)) if name in state else "none"
