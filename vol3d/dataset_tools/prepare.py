"""A prepared folder: every case once, in parallel, resumable; it counts as complete only when its index is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vol3d.dataset_tools.fault import listed
from vol3d.dataset_tools.index import refuse_other
from vol3d.dataset_tools.processes import Case, over_cases
from vol3d.errors import DataError, Vol3dError
from vol3d.files import read_json, remove_leftovers, write_json
from vol3d.lock import lock
from vol3d.terminal import Progress


@dataclass(frozen=True)
class Refused:
    """A case that cannot be prepared because of its data; the others are prepared all the same."""

    why: str


@dataclass(frozen=True)
class PreparedFolder:
    """Where a data set is prepared and what its index contains.

    Args:
        path: the folder.
        index: name of the index in it.
        things: what its cases are called: the sub-folder of their arrays, and their key in the index.
        wanted: of the index, what a folder that is there already must agree with; `name` is the data set's.
        more: of the index, what may have changed since.
    """

    path: Path
    index: str
    things: str
    wanted: Mapping[str, Any]
    more: Mapping[str, Any] = field(default_factory=dict)


def prepare_cases(
    folder: PreparedFolder,
    cases: Sequence[Case],
    make: Callable[[Case], dict[str, Any] | Refused],
    workers: int | None = None,
    progress: Progress | None = None,
    check: Callable[[], None] | None = None,
) -> None:
    """Makes all cases and then the index, under a lock; leftovers of a killed process are removed first.

    Args:
        make: writes a case, unless it is there already, and returns its entry in the index; can be pickled.
        workers: processes; 0 works in this one, None takes one per core.
        progress: called after each case.
        check: called before the first case is made; raises what forbids it.

    Raises:
        DataError: cases are refused; the others are made before it is raised, and the index is not written.
        UsageError: the folder holds another data set, or one prepared in another way.
        Vol3dError: another process works in the folder, or it cannot be written.
    """
    arrays, index = folder.path / folder.things, folder.path / folder.index
    _make_folder(arrays)
    with lock(folder.path):
        for place in (folder.path, arrays):
            remove_leftovers(place)
        if index.exists():
            refuse_other(read_json(index), dict(folder.wanted), folder.path)
        if check is not None:
            check()

        made = over_cases(make, cases, workers, progress)
        facts = {case.name: one for case, one in zip(cases, made, strict=True) if not isinstance(one, Refused)}
        refused = [f"{case.name}: {one.why}" for case, one in zip(cases, made, strict=True) if isinstance(one, Refused)]
        if refused:
            what = f"{len(refused)} of {len(cases)} {folder.things} cannot be prepared"
            do = f"Repair or remove them and run the same command again; the other {folder.things} are kept."
            raise DataError(what, where=folder.wanted["name"], got=listed(refused, 3), do=do)

        write_json(index, {**folder.wanted, **folder.more, folder.things: facts})


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        do = "Choose another one."
        raise Vol3dError("cannot make the folder", where=path, got=error.strerror, do=do) from error
