"""What a network for volumes must have in common with the one whose weights it begins with, and what is converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from medical.models.common import Size
from medical.models.vit import LearnedPositions
from medical.preprocess import Unscaled
from medical.seen import scan_traits
from vol3d.engine.seen import unlike
from vol3d.errors import UsageError
from vol3d.notes import Note

if TYPE_CHECKING:
    from medical.task import SegmentationTask


def output_layers(network: nn.Module, larger: nn.Module) -> tuple[str, ...]:
    """Names of the layers whose size depends on the number of outputs, whichever network it is.

    Args:
        larger: the same network with one output more.
    """
    others = larger.state_dict()
    differing = (name for name, tensor in network.state_dict().items() if others[name].shape != tensor.shape)
    return tuple(dict.fromkeys(name.rpartition(".")[0] for name in differing))


def adapt(task: SegmentationTask, other: SegmentationTask, network: nn.Module) -> tuple[Note, ...]:
    """Makes the network of another segmentation fit the windows of this one, in place; notes what else differs.

    Raises:
        UsageError: other channels, or intensities that are scaled in another way.
    """
    own, theirs, names = task.settings.preprocess, other.settings.preprocess, task.channel_names
    if len(names) != len(other.channel_names):
        got, wanted = ", ".join(names), ", ".join(other.channel_names)
        raise UsageError("the other network sees other channels", where="start_from", got=got, wanted=wanted)
    if own.intensity != theirs.intensity:
        do = f"Set preprocess.intensity={_words(theirs.intensity)}, as it was trained."
        what = "the other network was trained with another scale of intensities"
        raise UsageError(what, where="start_from", got=_words(own.intensity), wanted=_words(theirs.intensity), do=do)

    notes = _unlike_its_training(task, other)
    if names != other.channel_names:
        text = f"the other network's channels are called {', '.join(other.channel_names)}, here {{value}}"
        notes += (Note("other-channels", text, value=", ".join(names)),)
    for name in ("orientation", "spacing_mm"):
        here, there = getattr(own, name), getattr(theirs, name)
        if here != there:
            text = f"the other network was trained with preprocess.{name}={there}, here it is {{value}}"
            notes += (Note(f"other-{name.replace('_', '-')}", text, f"preprocess.{name}", str(here)),)
    return notes + _resized(other.trunk(network), task.settings.window.size)


def _words(intensity: Any) -> str:
    """Settings as an override states them: `{name: window, low: -175.0, high: 250.0}`."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in intensity.model_dump(mode="json").items()) + "}"


def _unlike_its_training(task: SegmentationTask, other: SegmentationTask) -> tuple[Note, ...]:
    """How the scans of this training are unlike those of the other's.

    Raises:
        UsageError: in their intensities, which nothing scales.
    """
    seen = other.settings.seen
    if seen is None:
        return ()
    traits, notes = scan_traits(task.channel_names, seen), dict[str, Note]()
    for end in ("low", "high"):
        numbers = {name: getattr(known, end) for name, known in task.seen().ranges.items()}
        notes |= {note.code: note for note in unlike(seen, numbers, traits)}
    of_values = {code: note for code, note in notes.items() if code.startswith(("low-", "high-"))}
    if not isinstance(task.settings.preprocess.intensity, Unscaled):
        return tuple(note for code, note in notes.items() if code not in of_values)
    if of_values:
        what = f"intensities are on another scale than the other network's: {next(iter(of_values.values()))}"
        raise UsageError(what, where="start_from", do="Scale them in the files, or train both with a z-score.")
    return tuple(notes.values())


def _resized(network: nn.Module, window: Size) -> tuple[Note, ...]:
    """Learned positions resampled to the cells of another window."""
    positions = next((part for part in network.modules() if isinstance(part, LearnedPositions)), None)
    if positions is None:
        return ()
    before, after = positions.grid, positions.grid_of(window)
    if before == after:
        return ()
    positions.resize(after)
    text = f"the position embedding was resampled from {before} to {after} patches, for windows of {{value}} voxels"
    return (Note("position-resampled", text, "window.size", str(tuple(window))),)
