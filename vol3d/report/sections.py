"""The report's parts, each from what the run's folder holds to HTML; a part without content is an empty text."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from vol3d.report.environment import versions
from vol3d.report.folder import RunFolder, number
from vol3d.report.svg import box_plot, legend, line_chart, unit_chart

_TITLES = {
    "dice": "Dice",
    "mean_dice": "mean Dice",
    "hd95_mm": "HD95 (mm)",
    "mean_hd95_mm": "mean HD95 (mm)",
    "dice_std": "Dice deviation",
    "dice_interval": "Dice interval",
    "hd95_mm_std": "HD95 deviation",
    "hd95_mm_interval": "HD95 interval",
    "volume_ml": "volume (ml)",
    "lr": "learning rate",
    "ap": "AP",
    "map": "mean AP",
    "best_f1": "best F1",
    "best_f1_from_score": "reached with scores from",
    "mean_iou": "mean IoU",
    "nds": "NDS",
    "ate_m": "ATE (m)",
    "ase": "ASE (1 - IoU)",
    "aoe_rad": "AOE (rad)",
    "ave_m_s": "AVE (m/s)",
    "aae": "AAE",
    "mate_m": "mean ATE (m)",
    "mase": "mean ASE (1 - IoU)",
    "maoe_rad": "mean AOE (rad)",
    "mave_m_s": "mean AVE (m/s)",
    "maae": "mean AAE",
}
# AP and recall at an overlap of so many per cent: `ap25`, `ar50_interval`, `recall25`.
_AT_OVERLAP = re.compile(r"(ap|ar|recall)(\d\d)(_interval)?")
# AP where an object is found by its centre: `ap_0.5m`; AP in the image, from above, in space: `ap3d_moderate`.
_AT_DISTANCE = re.compile(r"ap_([\d.]+)m")
_OF_KITTI = re.compile(r"(ap|aos)(bbox|bev|3d)?_(easy|moderate|hard)(_r11|_area)?(_interval)?")
# Columns of metrics.csv that count or time the run rather than describe it.
_CLOCKS = ("step", "epoch", "time", "second", "memory", "speed", "eta", "per_s", "wall", "batch", "samples")
_LONG = 60
_PLOTTED = ("dice", "hd95_mm")


def title_of(key: str) -> str:
    """`hd95_mm` -> `HD95 (mm)`, `ap25` -> `AP25`, `recall25` -> `recall at IoU 0.25`, `ap3d_hard` -> `AP 3D hard`."""
    if found := _AT_OVERLAP.fullmatch(key):
        name, percent, interval = found.groups()
        title = f"recall at IoU 0.{percent}" if name == "recall" else f"{name.upper()}{percent}"
        return f"{title} interval" if interval else title
    if found := _AT_DISTANCE.fullmatch(key):
        return f"AP at {found[1]} m"
    if found := _OF_KITTI.fullmatch(key):
        where = {"bbox": " image", "bev": " BEV", "3d": " 3D"}.get(found[2], "")
        how = {"_r11": " R11", "_area": " area"}.get(found[4], "")
        return f"{found[1].upper()}{where} {found[3]}{how}{' interval' if found[5] else ''}"
    return _TITLES.get(key.lower(), key.replace("_", " "))


def format_number(value: float) -> str:
    """Four significant places at most, a dash for what is not finite."""
    if not math.isfinite(value):
        return "–"
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1e5 else f"{value:.4g}"


def headline(run: RunFolder) -> str:
    """The score with its confidence interval, and the conditions under which it was measured."""
    summary = run.evaluation
    name = _score_name(summary)
    if name is None:
        return ""
    shown = [name, *(key for key, _ in _scalars(summary) if key != name and _same_score(key, name))]
    parts = [f'<div class="scores">{"".join(_score(summary, key) for key in shown)}</div>']
    facts = {key: value for key, value in _scalars(summary) if key not in {*shown, "score", "score_name", "rows"}}
    notes = {key: facts.pop(key) for key, value in list(facts.items()) if len(str(value)) > _LONG}
    parts.append(_facts(facts))
    parts += [f'<p class="note">{escape(title_of(key))}: {escape(str(value))}</p>' for key, value in notes.items()]
    return f'<section class="head">{"".join(parts)}</section>'


def curves(run: RunFolder) -> str:
    """Score, loss and its terms, learning rate and gradient in the course of the training, each on an axis of its own.

    Terms of layers before the last, `box/layer0`, are left to the table.
    """
    columns = run.metrics
    axis = next((name for name in ("step", "epoch") if name in columns), None)
    steps = columns[axis] if axis else [float(i) for i in range(len(next(iter(columns.values()), ())))]
    rest = [name for name in columns if name != axis and not any(clock in name.lower() for clock in _CLOCKS)]
    losses = [name for name in rest if "loss" in name.lower()]
    rates = [name for name in rest if name.lower() in {"lr", "learning_rate"} or name.lower().startswith("lr/")]
    norms = [name for name in rest if name == "grad_norm"]
    others = [name for name in rest if name not in {*losses, *rates, *norms}]
    scores = [name for name in others if name == _score_name(run.evaluation) or _is_rare(columns[name])]
    terms = [name for name in others if name not in scores and "/" not in name]
    kinds = {"score": scores, "loss": losses, "terms of the loss": terms, "learning rate": rates, "gradient": norms}
    charts = []
    for label, names in kinds.items():
        series = {name: (steps, columns[name]) for name in names}
        if label == "score":  # scores stand in few rows; between them the line goes on
            series = {name: _present(*values) for name, values in series.items()}
        if chart := line_chart(series, axis or "row", label):
            charts.append(f"<figure><figcaption>{_caption(label, names)}</figcaption>{chart}</figure>")
    return _section("Training", f'<div class="charts curves">{"".join(charts)}</div>') if charts else ""


def _is_rare(values: Sequence[float]) -> bool:
    """Whether most rows have none: an evaluation writes a row now and then, a training many."""
    return sum(map(math.isfinite, values)) < len(values) / 2


def classes(run: RunFolder) -> str:
    """One row per class, and box plots of the cases behind it."""
    table: dict[str, dict[str, Any]] = next((v for v in run.evaluation.values() if _is_table(v)), {})
    boxes = "".join(_boxes(run.cases))
    parts = [_table_of_rows("class", table)] if table else []
    parts += [f'<div class="charts">{boxes}</div>'] if boxes else []
    return _section("Classes", "".join(parts)) if parts else ""


def breakdowns(run: RunFolder) -> str:
    """The further tables of the summary, each under its own name: scores by range, by difficulty ..."""
    tables = [(key, value) for key, value in run.evaluation.items() if _is_table(value)][1:]
    return "".join(_section(title_of(key).capitalize(), _table_of_rows("", table)) for key, table in tables)


def _table_of_rows(corner: str, table: Mapping[str, Mapping[str, Any]]) -> str:
    columns = list(
        dict.fromkeys(key for row in table.values() for key, value in row.items() if not isinstance(value, dict))
    )
    return _table([corner, *columns], [[name, *(row.get(column) for column in columns)] for name, row in table.items()])


def precision_recall(run: RunFolder) -> str:
    """One small chart per class: precision as recall rises, at each overlap that counts as found."""
    curves = run.evaluation.get("precision_recall")
    table = {key: value for key, value in curves.items() if isinstance(value, dict)} if isinstance(curves, dict) else {}
    recall = _numbers(curves.get("recall")) if isinstance(curves, dict) else []
    scores: dict[str, Any] = next((v for v in run.evaluation.values() if _is_table(v)), {})
    charts = []
    for name in dict.fromkeys(name for by_class in table.values() for name in by_class):
        series = {title_of(key): (recall, _numbers(by_class.get(name))) for key, by_class in table.items()}
        if not all(len(values) in (0, len(recall)) for _, values in series.values()):
            continue
        row = scores.get(name, {})
        caption = " · ".join(f"{title_of(key)} {format_number(number(row.get(key)))}" for key in table if key in row)
        if chart := unit_chart({key: v if v[1] else ([], []) for key, v in series.items()}, "recall", "precision"):
            caption = f"<b>{escape(name)}</b> {escape(caption)}"
            charts.append(f"<figure><figcaption>{caption}</figcaption>{chart}</figure>")
    names = legend([title_of(key) for key in table])
    return (
        _section("Precision and recall", f'{names}<div class="charts small">{"".join(charts)}</div>') if charts else ""
    )


def pictures(run: RunFolder) -> str:
    """The pictures with their captions."""
    figures = []
    for name, png in run.pictures.items():
        caption = escape(name, quote=True)
        data = base64.b64encode(png).decode()
        figures.append(
            f'<figure><img alt="{caption}" loading="lazy" src="data:image/png;base64,{data}"/>'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return _section("Pictures", f'<div class="pictures">{"".join(figures)}</div>') if figures else ""


def cases(run: RunFolder) -> str:
    """Every case and class; the page's script sorts and filters it."""
    if not run.cases:
        return ""
    columns = list(run.cases[0])
    rows = [[row.get(column, "") for column in columns] for row in run.cases]
    tools = '<input type="search" class="filter" placeholder="filter" aria-label="filter the cases" hidden/>'
    return _section("Cases", f'{tools}<div class="scroll">{_table(columns, rows, "sortable")}</div>')


def settings(run: RunFolder) -> str:
    """The resolved configuration, folded away."""
    if not run.config.strip():
        return ""
    return _section(
        "Configuration", f"<details><summary>config.yaml</summary><pre>{escape(run.config)}</pre></details>"
    )


def environment(run: RunFolder) -> str:
    """Versions that the weights were made with, and those that wrote the report."""
    parts = []
    made = run.checkpoint.get("versions")
    if isinstance(made, dict) and made:
        parts.append(f"<h3>weights</h3>{_facts(made)}")
    facts = {key: value for key, value in run.checkpoint.items() if key == "sha256" or key == "format"}
    parts.append(f"<h3>this report</h3>{_facts(versions() | facts)}")
    return _section("Environment", f"<details><summary>versions</summary>{''.join(parts)}</details>")


def faults(run: RunFolder) -> str:
    """What could not be read."""
    if not run.faults:
        return ""
    items = "".join(f"<li>{escape(fault)}</li>" for fault in run.faults)
    return f'<aside class="faults"><b>Not everything could be read</b><ul>{items}</ul></aside>'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _caption(label: str, names: Sequence[str]) -> str:
    return escape(title_of(names[0]) if len(names) == 1 else label)


def _score_name(summary: Mapping[str, Any]) -> str | None:
    named = summary.get("score_name")
    if isinstance(named, str) and (named in summary or "score" in summary):
        return named
    return next((key for key, value in _scalars(summary) if key == "score" or key.startswith("mean_")), None)


def _same_score(key: str, name: str) -> bool:
    """`ap50` beside `ap25`."""
    both = [_AT_OVERLAP.fullmatch(text) for text in (key, name)]
    return all(both) and len({found.group(1) for found in both if found}) == 1


def _score(summary: Mapping[str, Any], name: str) -> str:
    score = number(summary.get(name, summary.get("score")))
    text = f"{score:.4f}" if math.isfinite(score) else "–"
    line = f'<div class="score"><b>{text}</b><span>{escape(title_of(name))}</span></div>'
    if interval := _interval(summary, name):
        line += f'<p class="interval">95 % confidence interval {interval[0]:.4f} to {interval[1]:.4f}</p>'
    return f"<div>{line}</div>"


def _interval(summary: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    exact = {key: value for key, value in summary.items() if key == f"{name}_interval"}
    for key, value in (exact or summary).items():
        pair = value if isinstance(value, (list, tuple)) else ()
        if len(pair) == 2 and ("interval" in key or "ci" in key.split("_")) and (name in key or "mean" not in key):
            low, high = number(pair[0]), number(pair[1])
            if math.isfinite(low) and math.isfinite(high):
                return low, high
    return None


def _scalars(summary: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        (key, value)
        for key, value in summary.items()
        if not isinstance(value, (dict, list, tuple)) and value is not None
    ]


def _numbers(values: Any) -> list[float]:
    return [number(value) for value in values] if isinstance(values, list) else []


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(row, dict) for row in value.values())


def _present(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    kept = [(a, b) for a, b in zip(x, y, strict=False) if math.isfinite(b)]
    return [a for a, _ in kept], [b for _, b in kept]


def _boxes(rows: Iterable[Mapping[str, str]]) -> list[str]:
    charts = []
    rows = list(rows)
    for column in _PLOTTED:
        groups: dict[str, dict[str, float]] = {}
        for row in rows:
            groups.setdefault(row.get("class", "all"), {})[row.get("case", "")] = number(row.get(column))
        if chart := box_plot(groups, title_of(column)):
            charts.append(f"<figure><figcaption>{escape(title_of(column))} of each case</figcaption>{chart}</figure>")
    return charts


def _facts(facts: Mapping[str, Any]) -> str:
    items = "".join(f"<div><dt>{escape(title_of(str(k)))}</dt><dd>{_cell(v)}</dd></div>" for k, v in facts.items())
    return f'<dl class="facts">{items}</dl>' if items else ""


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]], css: str = "") -> str:
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    styles = [' class="n"' if flag else "" for flag in numeric]
    head = "".join(f'<th scope="col"{s}>{escape(title_of(c))}</th>' for c, s in zip(columns, styles, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{s}>{_cell(value)}</td>' for value, s in zip(row, styles, strict=True))}</tr>"
        for row in rows
    )
    return f'<table class="{css}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _is_number(value: Any) -> bool:
    return value is None or value == "" or math.isfinite(number(value)) or str(value).lower() in {"nan", "inf", "none"}


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "" or str(value).lower() in {"nan", "none", "null"}:
        return "–"
    if isinstance(value, (list, tuple)):
        return " to ".join(_cell(item) for item in value)
    parsed = number(value)
    if isinstance(value, float) or (isinstance(value, str) and "." in value and math.isfinite(parsed)):
        return format_number(parsed)
    return escape(str(value))
