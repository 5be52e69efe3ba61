"""What the benchmarks share: times, a table on the terminal, a JSON file that says what made it, a figure.

On the CPU the figure is CPU time of one thread, not wall time: it is robust on a machine that others use too. On a GPU
it is the time between two events around the work, waits of the host included. Peers take turns within one process, and
the least of the repetitions counts.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from vol3d.files import write_json
from vol3d.report.environment import installed, versions

T = TypeVar("T")

RESULTS = Path(__file__).resolve().parent / "results"


def one_thread() -> None:
    """Let torch and the package's own pool use one thread."""
    torch.set_num_threads(1)


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and standard deviation over seeds; of one seed there is no deviation."""
    return {"mean": statistics.fmean(values), "deviation": statistics.stdev(values) if len(values) > 1 else None}


def spread_text(found: Mapping[str, float | None], sign: str = "") -> str:
    """`0.1730 ± 0.0080`; with `sign` "+" for differences."""
    deviation = "" if found["deviation"] is None else f" ± {found['deviation']:.4f}"
    return f"{found['mean']:{sign}.4f}{deviation}"


def cpu_ms(works: Mapping[str, Callable[[], object]], repeats: int = 25) -> dict[str, float]:
    """Least CPU time of each piece of work, ms; the pieces take turns, after one unmeasured round (compilation)."""
    return least_ms(works, repeats, "cpu")


def least_ms(works: Mapping[str, Callable[[], object]], repeats: int, device: str) -> dict[str, float]:
    """As `cpu_ms`, on "cpu" or "cuda"."""
    best = dict.fromkeys(works, float("inf"))
    spent = _on_cuda if device == "cuda" else _on_cpu
    for turn in range(repeats + 1):
        for name, work in works.items():
            ms = spent(work)
            if turn:
                best[name] = min(best[name], ms)
    return best


def _on_cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return 1e3 * (time.process_time() - start)


def _on_cuda(work: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)


def real_and_generated(look: Callable[[Path, int], T], description: str | None) -> dict[str, T]:
    """What `look(folder, limit)` gives for the folders of real and of generated frames on the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("real", type=Path)
    parser.add_argument("generated", type=Path)
    parser.add_argument("--limit", type=int, default=400, help="frames of each folder at most")
    words = parser.parse_args()
    return {name: look(getattr(words, name), words.limit) for name in ("real", "generated")}


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Rows with the same columns, aligned."""
    columns = list(rows[0])
    texts = [columns] + [[_text(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in texts) for i in range(len(columns))]
    for line in texts:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))


def save(name: str, rows: Sequence[Mapping[str, object]], peers: Sequence[str] = (), device: str = "cpu") -> Path:
    """Write `results/NAME.json`: date, processor (and GPU), versions (the peers' too) and the rows."""
    path = RESULTS / f"{name}.json"
    known = versions() | {peer: installed(peer) or "not installed" for peer in peers}
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    machine = {"processor": processor()} | ({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {})
    write_json(path, {"date": now, **machine, "versions": known, "rows": list(rows)})
    return path


class Panel(NamedTuple):
    """Label of the x axis, and a line (x, y) for each peer."""

    x: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, object]], x: str, peers: Sequence[str]) -> Panel:
        """The column `PEER ms` of each peer over the column x, as far as there are numbers."""
        lines = {}
        for peer in peers:
            known = [(row[x], row[f"{peer} ms"]) for row in rows if isinstance(row.get(f"{peer} ms"), float)]
            if known:
                lines[peer] = tuple(zip(*known, strict=True))
        return cls(x, lines)  # type: ignore[arg-type]


def plot(name: str, panels: Mapping[str, Panel], y: str) -> Path:
    """Draw `results/NAME.png`: a panel for each piece of work, both axes logarithmic."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(3.4 * len(panels), 3.2), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, panel) in zip(axes, panels.items(), strict=True):
        for peer, values in panel.lines.items():
            axis.loglog(*values, marker="o", label=peer)
        axis.set(title=title, xlabel=panel.x, ylabel=y)
        axis.xaxis.set_minor_formatter(NullFormatter())  # labels between decades overlap
        axis.legend()
    path = RESULTS / f"{name}.png"
    figure.savefig(path, dpi=80)
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
