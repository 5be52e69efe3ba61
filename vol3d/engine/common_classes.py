"""The classes that a model and a data set both have, by name: what a score on the data set can be about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vol3d.class_names import respelled, spelled_as
from vol3d.engine.evaluation import Evaluation
from vol3d.engine.trained_on import REMARKS
from vol3d.errors import CheckpointError
from vol3d.notes import Note


@dataclass(frozen=True)
class CommonClasses:
    """A model's classes beside those that a data set annotates; only the name of a class counts, not its number.

    Case and what joins the words of a name (space, hyphen, underscore) do not count where no name is the same.

    Args:
        common: of both, in the model's order and the data set's spelling; the means of the scores are over these.
        not_annotated: of the model only; nothing is scored of them.
        not_in_model: of the data set only; they are scored as never found, outside the means.
        spelling: the model's names that the data set spells otherwise -> how it does.
    """

    common: tuple[str, ...]
    not_annotated: tuple[str, ...] = ()
    not_in_model: tuple[str, ...] = ()
    spelling: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(model: Sequence[str], data: Sequence[str], where: str) -> CommonClasses:
        """Matches the names.

        Args:
            model, data: names of the classes, without a background.
            where: the data set's name.

        Raises:
            CheckpointError: no name is in both.
            UsageError: names that differ in their spelling only.
        """
        spelling = spelled_as(model, data, where)
        own = respelled(model, spelling)
        common = tuple(name for name in own if name in data)
        if not common:
            raise none_in_common(model, data, where)
        not_annotated, not_in_model = (tuple(name for name in one if name not in common) for one in (own, data))
        return CommonClasses(common, not_annotated, not_in_model, spelling)

    @property
    def is_all(self) -> bool:
        """Whether the model and the data set have the same classes by the same names."""
        return not (self.not_annotated or self.not_in_model or self.spelling)

    def remarks(self, left_out: int, found: str, missed: int, objects: str, scored: bool = True) -> tuple[Note, ...]:
        """What a score must be read with where either has more classes.

        Args:
            left_out: how much was found of classes that are not annotated, `found` in words: detections, voxels.
            missed: how much is annotated of classes that the model lacks, `objects` in words.
            scored: whether there are scores, and not only a submission.
        """
        notes = spelling_note(self.spelling)
        means = "; means are over the classes that both have ({common})"
        if self.not_annotated:
            of = len(self.common) + len(self.not_annotated)
            text = "not annotated in this data set: {value} ({classes} of the model's {of} classes); what was found of "
            text += "them is left out ({left_out:,} " + found + ")" + (means if scored else "")
            notes += (self._note("classes-not-annotated", text, self.not_annotated, of, {"left_out": left_out}),)
        if self.not_in_model and scored:
            of = len(self.common) + len(self.not_in_model)
            text = "unknown to the model: {value} ({classes} of the data set's {of} classes), scored as never found "
            text += "({missed:,} " + objects + ")" + ("" if self.not_annotated else means)
            notes += (self._note("classes-not-in-model", text, self.not_in_model, of, {"missed": missed}),)
        return notes

    def _note(self, code: str, text: str, names: Sequence[str], of: int, counts: Mapping[str, int]) -> Note:
        numbers = {"classes": len(names), "of": of, "common": len(self.common), **counts}
        return Note(code, text, value=", ".join(names), numbers=numbers)


def spelling_note(spelling: Mapping[str, str], whose: str = "the model's") -> tuple[Note, ...]:
    """Which of a model's classes were taken for which of the data set's; () if all are spelled alike."""
    if not spelling:
        return ()
    value = ", ".join(f"{own} is {name}" for own, name in spelling.items())
    text = f"{whose} classes were matched to the data set's in another spelling: {{value}}"
    return (Note("classes-spelled-otherwise", text, value=value, numbers={"classes": len(spelling)}),)


def none_in_common(model: Sequence[str], data: Sequence[str], where: str) -> CheckpointError:
    """The error of a data set that annotates nothing that the model finds; arguments as of `CommonClasses.of`."""
    return CheckpointError(
        "the model was trained for other classes: it has none of the data set's",
        where=where,
        got=", ".join(data),
        wanted=f"one or more of {', '.join(model)}",
        do="Classes are matched by name; name those of the data set as the model does.",
    )


def with_all_classes(
    evaluation: Evaluation,
    names: Sequence[str],
    others: Mapping[str, Mapping[str, Any]],
    remarks: Sequence[Note],
) -> Evaluation:
    """An evaluation of the common classes with a row for each further class, and what it must be read with.

    Args:
        names: the model's classes; those that were not scored get a row without numbers.
        others: rows of the data set's own classes.
        remarks: of `CommonClasses.remarks`.
    """
    scored: Mapping[str, Any] = evaluation.summary.get("classes", {})
    rows = {**{name: {} for name in names}, **scored, **others}
    listed = [*evaluation.summary.get(REMARKS, ()), *(note.to_dict() for note in remarks)]
    return replace(evaluation, summary=evaluation.summary | {"classes": rows, REMARKS: listed})
