"""What a model may be used for, printed before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vol3d.shipped import scans_of
from vol3d.terminal import say

if TYPE_CHECKING:
    from vol3d.model import Model


def say_licence(checkpoint: str, model: Model) -> None:
    """The licence of the weights, where one is known, what they were trained on, and the model's notes."""
    if model.licence is not None:
        seen = model.task.settings.seen
        kind = "" if seen is None else f", trained on {scans_of(seen.data, seen.synthetic)}"
        say(f"{checkpoint}: licence {model.licence}{kind}")
    for note in model.notes:
        say(f"{checkpoint}: {note}")
