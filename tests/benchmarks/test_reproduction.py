"""The page of published rows: up to date, complete, and every recipe on it builds with the row's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reproduction import PAGE, Row, page, read_tables
from vol3d.config import load_distillation, load_task, recipes
from vol3d.config.header import read_header
from vol3d.errors import DataError

TABLES = read_tables()
ROWS = [row for table in TABLES for row in table.rows if row.has_recipe]
PRINTED = {(table.paper, table.name, row.name): row.published for table in TABLES for row in table.rows}


def test_the_page_is_up_to_date() -> None:
    assert page(TABLES) == PAGE.read_text("utf-8"), "run `python -m benchmarks.reproduction`"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_builds(row: Row, tmp_path: Path) -> None:
    if not row.teacher:
        load_task(row.recipe, row.settings)
        return
    task = load_distillation(row.recipe, [*row.settings, f"distill.teacher={tmp_path}"])
    assert task.settings.distill.teacher == str(tmp_path) and row.teacher in recipes()


@pytest.mark.parametrize("row", [row for row in ROWS if not row.settings and not row.note], ids=lambda row: row.name)
def test_the_header_has_the_papers_numbers(row: Row) -> None:
    header = read_header(recipes()[row.recipe])
    said = f"{header.paper} {header.expected} {header.remarks}"
    assert all(number.removesuffix("0") in said for number in row.published), f"{row.recipe}: {row.published}"


def test_no_row_is_twice_and_no_number_is_lost() -> None:
    assert len(PRINTED) == sum(len(table.rows) for table in TABLES) >= 75
    assert PRINTED["UNETR (WACV 2022)", "2, spleen", "CoTr"] == ("0.954", "3.860"), "as printed, with all places"


@pytest.mark.parametrize("text", ["{row: a, published: [1, 2]}", "{row: a, published: [1], recpie: b}"])
def test_a_wrong_entry_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "papers.yaml"
    path.write_text(f"- {{paper: P, table: '1', conditions: c, columns: [x], rows: [{text}]}}\n")
    with pytest.raises(DataError, match=r"another number of columns|unknown key; got recpie"):
        read_tables(path)


def test_a_recipe_that_is_not_there_leaves_its_row_without_one() -> None:
    row = Row("a", ("1",), recipe="no_such_recipe")
    assert not row.has_recipe and "no_such_recipe" in row.command
