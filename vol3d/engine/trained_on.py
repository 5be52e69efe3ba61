"""Which scans a model has learned from, kept in its checkpoint, so that a score on them is noted as one.

A scan is known by a short hash of its voxels or points: not by its name, which differs in a copy and may be a
patient's, and not by its labels, which may be corrected. Another crop, spacing or unit makes another scan of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from vol3d.dataset_tools.stamp import digest
from vol3d.notes import Note

TRAINED_ON = "trained_on"
REMARKS = "remarks"
"""Key of the summary of an evaluation: the notes that its scores must be read with, as facts."""
_LETTERS = 16  # 64 bits: of a million scans and a million others, two are alike by chance once in ten million times
_SOURCES = {
    "training": "with labels",
    "start_from": "by the model that it started from",
    "teacher": "by its teacher",
    "unlabelled": "without labels",
}
"""How a model came to learn from a scan, and the words for it; the first that is true of a scan counts."""


class TrainedOn(BaseModel, frozen=True):
    """What a checkpoint states of the scans that its model has learned from.

    Args:
        scans: how (`training`, `start_from`, `teacher`, `unlabelled`) -> keys of scans.
        not_recorded: the sources, of the same words, whose scans are not all known.
    """

    scans: dict[str, tuple[str, ...]] = {}
    not_recorded: tuple[str, ...] = ()

    def joined(self, other: TrainedOn) -> TrainedOn:
        """Both; of a source that both have the other's."""
        lacking = dict.fromkeys((*self.not_recorded, *other.not_recorded))
        return TrainedOn(scans=self.scans | other.scans, not_recorded=tuple(lacking))

    @property
    def keys(self) -> frozenset[str]:
        """Of all scans, however they were learned from."""
        return frozenset(key for keys in self.scans.values() for key in keys)


def key_of(values: np.ndarray) -> str:
    """What a scan is known by: a hash of its voxels (c, i, j, k) or points (N, 3) as float32, and of their shape."""
    return digest(np.asarray(values, np.float32))[:_LETTERS]


def recorded(info: Mapping[str, Any]) -> TrainedOn | None:
    """What a checkpoint states; None where it does not.

    Raises:
        ValueError: something else stands there.
    """
    stated = info.get(TRAINED_ON)
    return None if stated is None else TrainedOn.model_validate(stated)


def inherited(source: str, infos: Iterable[Mapping[str, Any]]) -> TrainedOn:
    """What a training takes over from models that it learns from: `source` is `start_from` or `teacher`.

    A model without a record that saw synthetic scans only has seen no real one.
    """
    keys, complete = set[str](), True
    for info in infos:
        known = recorded(info)
        keys |= known.keys if known else set()
        complete &= not known.not_recorded if known else is_synthetic(info)
    return TrainedOn(scans={source: tuple(sorted(keys))}, not_recorded=() if complete else (source,))


def is_synthetic(info: Mapping[str, Any]) -> bool:
    """Whether a checkpoint states that its training scans were made by a generator."""
    return bool((info.get("seen") or {}).get("synthetic"))


def trained_on_text(info: Mapping[str, Any]) -> str:
    """For the card of a model: how many scans are recorded, of which source: `156 with labels, 52 by its teacher`."""
    known = recorded(info)
    if known is None:
        return "generated, not recorded one by one" if is_synthetic(info) else "not recorded"
    counts = [f"{len(known.scans[source])} {words}" for source, words in _SOURCES.items() if known.scans.get(source)]
    counts += [f"not recorded {_SOURCES[source]}" for source in known.not_recorded if source in _SOURCES]
    return ", ".join(counts) or "none"


def seen_facts(infos: Sequence[Mapping[str, Any]], scored: Collection[str]) -> dict[str, Any]:
    """What the summary of an evaluation states of scored scans that the models have learned from.

    `seen_cases` counts those that any of the models has; it is absent where no model records its scans. `remarks` has
    the notes as facts, if there are any.

    Args:
        infos: what the checkpoint of each model says about itself.
        scored: a key for each scored scan.
    """
    known = [one for one in map(recorded, infos) if one is not None]
    if not known or not scored:
        return {}
    every = frozenset[str]().union(*(one.keys for one in known))
    seen = [key for key in scored if key in every]
    notes = [*_seen_note(known, len(infos), seen, len(scored)), *_gaps(known, infos)]
    return {"seen_cases": len(seen)} | ({REMARKS: [note.to_dict() for note in notes]} if notes else {})


def _seen_note(known: Sequence[TrainedOn], models: int, seen: Sequence[str], scored: int) -> tuple[Note, ...]:
    if not seen:
        return ()
    ways, members = _ways(known, seen), sum(not one.keys.isdisjoint(seen) for one in known)
    by = "this model" if models == 1 else "{members} of the {models} models of this ensemble"
    only = [f"{count} of them only {_SOURCES[way]}" for way, count in ways.items() if way != "training"]
    text = "{seen} of {scored} scored cases were trained on by " + by + (" ({value})" if only else "")
    numbers = {"seen": len(seen), "scored": scored, "members": members, "models": models, **ways}
    template = f"{text}; the score is not one of unseen data"
    return (Note("training-cases-scored", template, value=", ".join(only) or None, numbers=numbers),)


def _ways(known: Sequence[TrainedOn], seen: Iterable[str]) -> dict[str, int]:
    """Source -> how many of the scans were learned from in this way, and in none of the ways before it."""
    rest, counts = Counter(seen), dict[str, int]()
    for source in _SOURCES:
        keys = {key for one in known for key in one.scans.get(source, ())}
        if found := sum(rest.pop(key) for key in keys & rest.keys()):
            counts[source] = found
    return counts


def _gaps(known: Sequence[TrainedOn], infos: Sequence[Mapping[str, Any]]) -> tuple[Note, ...]:
    """That more of the scored scans may have been seen, where a part of the models' history is not recorded."""
    sources = dict.fromkeys(source for one in known for source in one.not_recorded)
    lacking = [f"scans seen {_SOURCES[source]}" for source in sources if source in _SOURCES]
    silent = sum(1 for info in infos if recorded(info) is None and not is_synthetic(info))
    lacking += [f"those of {silent} of {len(infos)} models"] if silent else []
    if not lacking:
        return ()
    text = "not all training scans are recorded ({value}): more of the scored cases may have been trained on"
    return (Note("training-cases-not-recorded", text, value=", ".join(lacking)),)


def remarks(summary: Mapping[str, Any]) -> list[str]:
    """The sentences of the remarks in the summary of an evaluation, which may come from a file."""
    listed = summary.get(REMARKS)
    return (
        [str(one["text"]) for one in listed if isinstance(one, dict) and "text" in one]
        if isinstance(listed, list)
        else []
    )
