"""The table of faults names tests that exist, and has every number once."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
TABLE = (TESTS / "faults.md").read_text("utf-8")
FAULTS = 86


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)}


def test_every_test_of_the_table_exists() -> None:
    named = set(re.findall(r"`([\w/]+\.py)::(\w+)`", TABLE))
    missing = [f"{file}::{name}" for file, name in sorted(named) if name not in functions(TESTS / file)]
    assert len(named) > FAULTS and not missing, "\n".join(missing)


def test_every_fault_has_a_row_with_tests_or_a_reason() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", TABLE, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, FAULTS + 1))
