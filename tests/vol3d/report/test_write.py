"""The report: whole from a finished run, useful from any part of one, and never able to load or run what it shows."""

from __future__ import annotations

import csv
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from vol3d.errors import Vol3dError
from vol3d.report import write_report
from vol3d.report.html import cell
from vol3d.view.draw.slices import slice_picture

VOID = {"meta", "img", "input", "br"}
METRICS = [
    {"key": "mean_dice", "title": "mean Dice", "better": "higher", "interval": "mean_dice_interval"},
    {"key": "dice", "title": "Dice", "better": "higher", "interval": "dice_interval", "by_case": True},
    {"key": "hd95_mm", "title": "HD95", "unit": "mm", "better": "lower", "by_case": True},
]
EVIL = "<script>alert(1)</script>\"'&"


class Tree(HTMLParser):
    """Checks that tags nest, and keeps what a reader would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"script", "style"}:
            self.words.append(data.strip())

    def has(self, *words: str) -> bool:
        text = " ".join(self.words)
        return all(word in text for word in words)

    def count(self, name: str) -> int:
        return sum(tag == name for tag, _ in self.tags)


def write_rows(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with a missed case, NaN among the losses and markup among the names."""
    folder = tmp_path / "my <run>"
    (folder / "pictures").mkdir(parents=True)
    losses = [
        {"step": s, "epoch": s // 10, "loss": 1 / (s + 1), "loss/dice": math.nan if s == 5 else 0.5} for s in range(20)
    ]
    write_rows(
        folder / "metrics.csv",
        [{**row, "lr": 1e-4, "mean_dice": 0.8 if row["step"] % 10 == 9 else ""} for row in losses],
    )
    cases = [
        {"case": f"case_{i}{EVIL}", "class": name, "dice": 0.8 + 0.01 * i, "hd95_mm": "nan" if i == 3 else 1.5 + i}
        for i in range(6)
        for name in ("anterior", EVIL)
    ]
    write_rows(folder / "cases.csv", cases)
    per_class = {
        "dice": 0.8251,
        "hd95_mm": 4.2,
        "missed": 1,
        "false_alarms": 0,
        "counted": 5,
        "dice_interval": [0.8011, 0.8432],
    }
    summary = {
        "mean_dice": 0.82514,
        "mean_dice_interval": [0.8111, 0.8402],
        "conditions": "validation, fold 0",
        "classes": {"anterior": per_class, EVIL: {**per_class, "hd95_mm": None}},
    }
    scored = {"score_name": "mean_dice", "score": 0.82514, "metrics": METRICS}
    whole = {**scored, "step": 20, "summary": summary, "rows": []}
    (folder / "evaluation.json").write_text(json.dumps(whole))
    (folder / "config.yaml").write_text(f"model:\n  name: unetr  # {EVIL}\n")
    (folder / "config.json").write_text(json.dumps({"versions": {"torch": "2.13.0"}, "sha256": "ab" * 32}))
    png = slice_picture(np.ones((6, 6, 6)), (1, 1, 1), {}, ("background",), "t", "RAS")
    for name in ("worst_case_0", "best_case_5", "median_case_2"):
        (folder / "pictures" / f"{name}.png").write_bytes(png)
    return folder


def test_a_finished_run(run: Path):
    path = write_report(run)
    assert path == run / "report.html"
    tree = Tree(path.read_text("utf-8"))
    assert tree.has("0.825", "mean Dice", "0.811 to 0.840", "validation, fold 0"), "headline"
    assert tree.has("Classes", "HD95 (mm)", "missed", "false alarms", "counted"), "per class"
    assert tree.has("0.801 to 0.843"), "interval of a class"
    assert tree.has("loss/dice", "learning rate", "Configuration", "name: unetr", "torch", "2.13.0")
    images = [attrs["alt"] for tag, attrs in tree.tags if tag == "img"]
    assert [alt.split("_")[0] for alt in images] == ["worst", "median", "best"]
    assert tree.count("svg") == 5, "loss, score, learning rate, box plots of Dice and HD95"
    assert sum(css == "sortable" for tag, a in tree.tags if tag == "table" for css in [a.get("class")]) == 1
    assert "nan" not in " ".join(tree.words).lower().split()
    assert sorted(p.name for p in run.iterdir() if p.name.startswith(".")) == []


def test_it_works_offline_and_nothing_shown_can_run(run: Path):
    page = write_report(run).read_text("utf-8")
    tree = Tree(page)
    assert not re.findall(r"https?://|//cdn|@import|url\(", page), "an address outside of the page"
    loads = [a[key] for _, a in tree.tags for key in ("src", "href", "data", "action") if key in a]
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in loads)
    assert tree.count("script") == 1
    assert "<script>alert" not in page
    assert not [key for _, attrs in tree.tags for key in attrs if key.startswith("on")]
    assert any(a.get("http-equiv") == "Content-Security-Policy" for _, a in tree.tags)


def test_the_contents_lead_to_every_section(run: Path):
    tree = Tree(write_report(run).read_text("utf-8"))
    led = [attrs["href"] for tag, attrs in tree.tags if tag == "a"]
    assert led == [f"#{attrs['id']}" for tag, attrs in tree.tags if tag == "section" and "id" in attrs]
    assert led[:2] == ["#classes", "#pictures"] and len(set(led)) == len(led)


def test_the_worst_cases_come_first(run: Path):
    page = write_report(run).read_text("utf-8").split("<h2>Cases</h2>")[1]
    assert re.findall(r"<td>case_(\d)", page) == [str(i) for i in range(6) for _ in range(2)]
    rows = [{"case": f"case_{i}", "class": "a", "dice": dice} for i, dice in enumerate(["nan", "0.9", "0.2"])]
    write_rows(run / "cases.csv", rows)
    page = write_report(run).read_text("utf-8").split("<h2>Cases</h2>")[1]
    assert re.findall(r"<td>case_(\d)", page) == ["2", "1", "0"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (1.0, "1.000"),
        (0.43649, "0.436"),
        (5.1e-4, "0.001"),
        (-1e-4, "0.000"),
        (12.34, "12.3"),
        (3, "3"),
    ],
)
def test_numbers_have_three_places(value: float, text: str):
    assert cell(value) == text


def test_score_terms_and_gradient_have_charts_of_their_own(run: Path) -> None:
    columns = {"loss": 3.0, "class": 1.0, "box": 2.0, "box/layer0": 2.0, "teacher_box": 1.0, "grad_norm": 9.0}
    rows = [{"step": step, **columns, "mean_dice": 0.8 if step == 9 else ""} for step in range(10)]
    write_rows(run / "metrics.csv", rows)
    page = write_report(run).read_text("utf-8")
    charts = re.findall(r"<figcaption>(.*?)</figcaption>(.*?)</figure>", page.split("<h2>Training</h2>")[1], re.DOTALL)
    drawn = {caption: sorted(re.findall(r"<title>([^<:]*): last", chart)) for caption, chart in charts[:4]}
    assert list(drawn.values()) == [["mean_dice"], ["loss"], ["box", "class", "teacher_box"], ["grad_norm"]], drawn


@pytest.mark.parametrize(
    "part", ["metrics.csv", "evaluation.json", "cases.csv", "config.yaml", "config.json", "pictures"]
)
def test_any_part_may_be_missing(run: Path, part: str):
    (run / part).rename(run.parent / part)
    assert "could be read" not in write_report(run).read_text("utf-8")


def test_an_empty_folder_still_gives_a_page(tmp_path: Path):
    assert Tree(write_report(tmp_path).read_text("utf-8")).has("Environment")


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"[1, 2", b'{"mean_dice": NaN}', b"[]", b"a,b\n1\n1,2,3,4\n", b"a\0b,c\n"]
)
@pytest.mark.parametrize(
    "part", ["metrics.csv", "evaluation.json", "cases.csv", "config.yaml", "config.json", "pictures/x.png"]
)
def test_damaged_parts_do_not_stop_it(run: Path, part: str, content: bytes):
    (run / part).write_bytes(content)
    Tree(write_report(run).read_text("utf-8"))


def test_a_damaged_part_is_named(run: Path):
    (run / "evaluation.json").write_text('{"mean_dice": NaN}')
    (run / "pictures" / "x.png").write_bytes(b"GIF89a")
    assert Tree(write_report(run).read_text("utf-8")).has("evaluation.json could not be read", "x.png is not a PNG")


def test_nothing_but_nan(run: Path):
    write_rows(run / "metrics.csv", [{"step": i, "loss": "nan", "lr": "inf", "score": ""} for i in range(3)])
    write_rows(run / "cases.csv", [{"case": "a", "class": "b", "dice": "nan", "hd95_mm": ""}])
    (run / "evaluation.json").write_text('{"mean_dice": null, "classes": {"b": {"dice": null}}}')
    assert Tree(write_report(run).read_text("utf-8")).count("svg") == 0


def test_missing_folder(tmp_path: Path):
    with pytest.raises(Vol3dError, match="no such folder"):
        write_report(tmp_path / "nothing")


def test_no_control_character_of_a_name_is_in_the_page(run: Path):
    odd = "\x1b[2J\u202e\x9b"
    write_rows(run / "cases.csv", [{"case": f"a{odd}", "class": f"b{odd}", "dice": f"0.{i}"} for i in range(3)])
    (run / "config.yaml").write_text(f"data: {{root: 'x{odd}'}}\n", "utf-8")
    (run / "evaluation.json").write_text(
        json.dumps({"score": 0.5, "score_name": f"s{odd}", "summary": {f"k{odd}": odd}})
    )
    (run / "pictures" / f"worst{odd}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    page = write_report(run).read_text("utf-8")
    assert r"\x1b[2J\u202e\x9b" in page and not set(odd[:1] + odd[4:]) & set(page)


def test_dark_colours_are_for_screens_only(tmp_path: Path):
    (tmp_path / "evaluation.json").write_text("{}")
    style = write_report(tmp_path).read_text("utf-8")
    assert re.findall(r"@media [^{]*prefers-color-scheme: dark[^{]*", style) == [
        "@media screen and (prefers-color-scheme: dark) "
    ]
    assert "@media print" in style and "--ink: #000000" in style
