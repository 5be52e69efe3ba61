"""Which released model a file of weights is, where nobody says: by its SHA-256, else by its tensors and its name."""

from __future__ import annotations

from pathlib import Path

from vol3d import catalog
from vol3d.errors import CheckpointError, UsageError, Vol3dError
from vol3d.released.readers import RELEASED
from vol3d.released.table import FILES, identify
from vol3d.terminal import hushed, say

_STATED = {"convention": "ours", "angles": "clockwise"}
"""What a reader may have to be given beside the file; whether the tensors fit does not depend on it."""


def recognise(path: Path) -> str:
    """The name of the released model whose weights a file holds; how that is known is printed.

    Raises:
        UsageError: the tensors fit several models, which the message lists.
        CheckpointError: no file of weights, or those of no model that is known.
    """
    if (published := identify(path)) is not None:
        say(f"{path.name} is {published.name} as {published.publisher} published it, by its SHA-256")
        return published.name
    fitting = _fitting(path)
    named = [file.name for file in FILES if file.file == path.name and file.name in fitting]
    if len(fitting) > 1 and not named:
        do = f"Name the one that it is: `vol3d import NAME {path} -o OUT`."
        raise UsageError("weights that fit several released models", where=path, got=", ".join(fitting), do=do)
    chosen = (named or fitting)[0]
    how = "its name and its tensors" if named else "its tensors, which fit no other released model"
    say(
        f"{path.name} is taken for {chosen}, by {how}; if it is another one, name it: `vol3d import NAME {path} -o OUT`"
    )
    return chosen


def right_name(path: Path, name: str) -> CheckpointError | None:
    """What to raise for a file that the reader of `name` refuses and others take; None where none does."""
    fitting = [one for one in RELEASED if _fault(one, path) is None]
    if not fitting or name in fitting:
        return None
    do = "Import it by that name."
    return CheckpointError(f"not weights of {name}", where=path, got=f"those of {' or '.join(fitting)}", do=do)


def _fitting(path: Path) -> list[str]:
    """Names of the models whose strict readers take the file; at least one.

    Raises:
        CheckpointError: none does.
    """
    faults = {name: _fault(name, path) for name in RELEASED}
    if fitting := [name for name, fault in faults.items() if fault is None]:
        return fitting
    first, *others = [fault for fault in faults.values() if fault is not None]
    if all(fault.what == first.what for fault in others):  # damaged, or no file of weights at all
        raise first
    do = "If it is one of them, `vol3d import NAME FILE` says what is different in the file."
    raise CheckpointError("weights of no released model that is known", where=path, wanted=", ".join(RELEASED), do=do)


def _fault(name: str, path: Path) -> Vol3dError | None:
    """Why the reader of a model does not take the file; None if it does."""
    entry = RELEASED[name]
    stated = {key: value for key, value in _STATED.items() if key in entry.beside}
    try:
        with hushed():
            catalog.load(entry.target)(name, path, stated)
    except Vol3dError as error:
        return error
    return None
