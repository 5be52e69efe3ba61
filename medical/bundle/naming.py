"""Names of a bundle's channels and classes, from `network_data_format` of its metadata; numbers where it has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medical.bundle.metadata import defined
from medical.bundle.postprocess import Postprocessing
from vol3d.errors import CheckpointError
from vol3d.notes import Note

BACKGROUND = "background"
MAX_BITS = 7  # as many overlapping outputs as the bits of a label, less one
_NUMBERED = "the bundle's metadata name {names:.0f} of {outputs:.0f} {value}, which are numbered instead"
_MIXED = "outputs may overlap; each combination of them has a label of its own"


def channel_names(metadata: Mapping[str, Any], loaded: Sequence[str], count: int) -> tuple[tuple[str, ...], list[Note]]:
    """Names of the channels of a scan, and what was assumed.

    Args:
        loaded: the keys that files are read for; several are a channel each.
        count: channels of the network.
    """
    names = tuple(loaded) if len(loaded) > 1 else defined(metadata, "inputs", "image")
    wanted = len(loaded) if len(loaded) > 1 else count
    if len(names) == wanted and len(set(names)) == wanted:
        return names, []
    note = _numbered("bundle-channels", "channels", len(names), wanted)
    return tuple(f"channel {number}" for number in range(wanted)), [note] if wanted > 1 else []


def class_names(metadata: Mapping[str, Any], post: Postprocessing, outputs: int) -> tuple[tuple[str, ...], list[Note]]:
    """Names of the labels that are written, background first, and what was assumed.

    Raises:
        CheckpointError: more overlapping outputs than a label has bits.
    """
    if post.kind == "numbers":
        most = max(post.numbers, default=1)
        labels, notes = output_names(metadata, post, outputs) if post.meanings else ((), [])
        named = {n: "/".join(labels[o] for m, o in post.meanings if m == n) for n, _ in post.meanings}
        return (BACKGROUND, *(named.get(number, f"label {number}") for number in range(1, most + 1))), notes
    names, notes = output_names(metadata, post, outputs)
    if post.kind == "classes":
        return (names if outputs > 1 else (names[0],)), notes
    return _combinations(names, notes)


def output_names(metadata: Mapping[str, Any], post: Postprocessing, outputs: int) -> tuple[tuple[str, ...], list[Note]]:
    """Names of the network's outputs, no two alike, and what was assumed."""
    names, notes = defined(metadata, "outputs", "pred"), []
    if len(names) != outputs:
        notes.append(_numbered("bundle-classes", "classes", len(names), outputs))
        first = BACKGROUND if post.kind != "bits" and outputs > 1 else "class 0"
        names = (first, *(f"class {number}" for number in range(1, outputs)))
    return tuple(name if names.index(name) == n else f"{name} ({n})" for n, name in enumerate(names)), notes


def foreground_bits(metadata: Mapping[str, Any], outputs: int) -> tuple[int, ...]:
    """Outputs, of those that may overlap, that are no background."""
    names = defined(metadata, "outputs", "pred")
    first = len(names) == outputs > 1 and names[0].casefold() == BACKGROUND
    return tuple(range(1 if first else 0, outputs))


def _combinations(names: tuple[str, ...], notes: list[Note]) -> tuple[tuple[str, ...], list[Note]]:
    bits = names[1:] if len(names) > 1 and names[0].casefold() == BACKGROUND else names
    if len(bits) > MAX_BITS:
        what = "too many outputs that may overlap for one mask"
        raise CheckpointError(what, got=len(bits), wanted=f"<= {MAX_BITS}")
    labels = [BACKGROUND]
    for code in range(1, 2 ** len(bits)):
        labels.append(" + ".join(name for number, name in enumerate(bits) if code >> number & 1))
    if len(bits) > 1:
        notes = [*notes, Note("bundle-overlap", _MIXED, numbers={"outputs": len(bits)})]
    return tuple(labels), notes


def _numbered(code: str, value: str, names: int, outputs: int) -> Note:
    return Note(code, _NUMBERED, value=value, assumed=True, numbers={"names": names, "outputs": outputs})
