"""Every row of docs/unetr_tables.md: what trains it builds, and the page states the parameters that networks have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from vol3d.config import load_task

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "unetr_tables.md").read_text("utf-8")
CELLS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")] for line in PAGE.splitlines() if line.startswith("| ")
]
TRAINED_BY = sorted(set(re.findall(r"\| `(\w+_(?:btcv|spleen|brain_tumour)(?: [^`]+)?)`", PAGE)))
SHAPES = {"btcv": (1, 14), "spleen": (1, 2), "brain_tumour": (4, 3)}  # channels of the image, outputs


def network(command: str) -> torch.nn.Module:
    """The network of a row, without memory."""
    recipe, _, overrides = command.partition(" ")
    settings = load_task(recipe, re.findall(r"\S+=(?:\{[^}]*\}|\S+)", overrides)).settings
    data = next(name for name in SHAPES if recipe.endswith(name))
    with torch.device("meta"):
        return settings.model.build(*SHAPES[data], settings.window.size)


@pytest.mark.parametrize("command", TRAINED_BY)
def test_a_row_builds(command: str) -> None:
    assert sum(p.numel() for p in network(command).parameters()) > 10**6


def test_every_row_is_looked_at() -> None:
    assert len(TRAINED_BY) == len({*TRAINED_BY}) and {command.split(" ")[0] for command in TRAINED_BY} == {
        *(f"{name}_{data}" for name in ("unetr", "cotr", "transunet") for data in SHAPES),
        "aspp_btcv",
        "transbts_brain_tumour",
    }


@pytest.mark.parametrize("row", [row for row in CELLS if re.fullmatch(r"[\d,]{9,}", row[2])], ids=lambda row: row[0])
def test_the_page_states_the_parameters(row: list[str]) -> None:
    count = int(row[2].replace(",", ""))
    assert sum(p.numel() for p in network(row[3].strip("`")).parameters()) == count


def test_what_is_left_out_makes_the_difference_of_the_counts() -> None:
    rows = json.loads((ROOT / "benchmarks" / "results" / "unetr_rows.json").read_text("utf-8"))["rows"]
    counted = [row for row in rows if "parameters_here" in row]
    assert [row["network"] for row in counted] == ["TransBTS", "CoTr", "TransUNet"]
    for row in counted:
        assert row["parameters_there"] - row["never_used_there"] == row["parameters_here"]
        assert f"{row['parameters_there']:,}" in PAGE
