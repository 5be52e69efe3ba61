"""What the benchmarks share: CPU time of one thread, a table on the terminal, a JSON file that says what made it.

The figure is CPU time, not wall time: with one thread it is robust on a machine that others use too. Peers take turns
within one process, and the least of the repetitions counts.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

import torch

from vol3d.files import write_json
from vol3d.report.environment import installed, versions

RESULTS = Path(__file__).resolve().parent / "results"


def one_thread() -> None:
    """Let torch and the package's own pool use one thread."""
    torch.set_num_threads(1)


def cpu_ms(works: Mapping[str, Callable[[], object]], repeats: int = 25) -> dict[str, float]:
    """Least CPU time of each piece of work, ms; the pieces take turns, after one unmeasured round (compilation)."""
    best = dict.fromkeys(works, float("inf"))
    for turn in range(repeats + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            spent = 1e3 * (time.process_time() - start)
            if turn:
                best[name] = min(best[name], spent)
    return best


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Rows with the same columns, aligned."""
    columns = list(rows[0])
    texts = [columns] + [[_text(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in texts) for i in range(len(columns))]
    for line in texts:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))


def save(name: str, rows: Sequence[Mapping[str, object]], peers: Sequence[str] = ()) -> Path:
    """Write `results/NAME.json`: date, processor, versions (the peers' too) and the rows."""
    path = RESULTS / f"{name}.json"
    known = versions() | {peer: installed(peer) or "not installed" for peer in peers}
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_json(path, {"date": now, "processor": processor(), "versions": known, "rows": list(rows)})
    return path


Lines = Mapping[str, tuple[Sequence[float], Sequence[float]]]


def plot(name: str, panels: Mapping[str, Lines], x: str, y: str) -> Path:
    """Draw `results/NAME.png`: a panel for each piece of work, both axes logarithmic, a line (x, y) for each peer."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(3.4 * len(panels), 3.2), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for peer, values in lines.items():
            axis.loglog(*values, marker="o", label=peer)
        axis.set(title=title, xlabel=x, ylabel=y)
        axis.xaxis.set_minor_formatter(NullFormatter())  # labels between decades overlap
        axis.legend()
    path = RESULTS / f"{name}.png"
    figure.savefig(path, dpi=100)
    return path


def processor() -> str:
    """Name of the processor as the system tells it."""
    table = Path("/proc/cpuinfo")
    if table.is_file():
        for line in table.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
