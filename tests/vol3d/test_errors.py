"""An error says what, where, got, wanted and do, and crosses between processes with all of it."""

from __future__ import annotations

import pickle

import pytest

from vol3d.errors import CheckpointError, DataError, UsageError, Vol3dError


@pytest.mark.parametrize("kind", [Vol3dError, UsageError, DataError, CheckpointError])
def test_all_of_it_survives_pickling(kind: type[Vol3dError]) -> None:
    error = kind("a bad box", where="targets", got=-1, wanted="0 and more", do="Mend it.", index=3)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind and copy.index == 3 and vars(copy) == vars(error)
    assert str(copy) == str(error) == "targets: a bad box; got -1, wanted 0 and more. Mend it."


def test_no_sample_is_to_blame_unless_one_is_named() -> None:
    assert DataError("a bad box").index is None and str(DataError("a bad box", index=0)) == "a bad box"
