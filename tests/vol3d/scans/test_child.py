"""A decoder in a process of its own: its values, its errors, its death, its hunger and its hang."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from vol3d.errors import DataError, UsageError
from vol3d.scans.child import Decoded, decode_in_child


def doubled(path: Path) -> Decoded:
    values = np.frombuffer(path.read_bytes(), np.uint8)
    return {"twice": values.astype(np.int64) * 2, "none": values[:0]}, {"size": len(values), "unit": None}


def complains(path: Path) -> Decoded:
    raise UsageError("not this way", where=path, got=3, do="Do it otherwise.")


def raises(path: Path) -> Decoded:
    raise struct_fault(path)


def struct_fault(path: Path) -> Exception:
    return ValueError(f"odd bytes in {path.name}")


def dies(path: Path) -> Decoded:
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}, {}


def eats(path: Path) -> Decoded:
    return {"much": np.ones(6 << 30, np.uint8)}, {}


def hangs(path: Path) -> Decoded:
    time.sleep(60)
    return {}, {}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scan of mine.bin"
    path.write_bytes(b"\1\2\3")
    return path


def test_arrays_and_facts_come_back(file: Path) -> None:
    arrays, facts = decode_in_child(doubled, file, memory=1 << 20)
    assert arrays["twice"].tolist() == [2, 4, 6]
    assert arrays["twice"].dtype == np.int64
    assert arrays["none"].shape == (0,)
    assert facts == {"size": 3, "unit": None}


def test_the_packages_own_error_keeps_its_kind_and_its_parts(file: Path) -> None:
    with pytest.raises(UsageError, match=r"scan of mine\.bin: not this way; got 3\. Do it otherwise"):
        decode_in_child(complains, file, memory=1 << 20)


@pytest.mark.parametrize(
    ("decoder", "said"),
    [
        (raises, "damaged or cut file; got odd bytes"),
        (dies, "the decoder broke down on this file; got signal 11"),
        (eats, "unpacks to too much; got more than 1 MiB"),
    ],
)
def test_whatever_happens_to_the_child_is_an_error_of_the_file(decoder, said: str, file: Path) -> None:
    with pytest.raises(DataError, match=said) as caught:
        decode_in_child(decoder, file, memory=1 << 20)
    assert caught.value.where == file


def test_a_decoder_that_hangs_is_stopped(file: Path) -> None:
    with pytest.raises(DataError, match="hangs on this file"):
        decode_in_child(hangs, file, memory=1 << 20, seconds=2)
