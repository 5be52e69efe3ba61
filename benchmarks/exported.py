"""An exported network beside the original, in one process: `python -m benchmarks.exported MODEL FILE.onnx...`.

CPU time of one call on one sample of normal random numbers, one thread; the networks take turns. Files that `vol3d
export` made of MODEL; the `.json` is `results/exported.json`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

import vol3d
from benchmarks.common import cpu_ms, one_thread, print_table, save
from vol3d.exported.card import read
from vol3d.exported.graph import Graph
from vol3d.exported.part import exporter_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--repeats", type=int, default=10)
    words = parser.parse_args()
    one_thread()

    model = vol3d.load(words.model, "cpu")
    exporter = exporter_of(model.task)
    part = exporter.part_of(exporter.exported_task(model.task), model.models[0])
    inputs = tuple(one[:1].contiguous() for one in part.example)

    works: dict[str, Callable[[], object]] = {"torch": lambda: part.module(*inputs)}
    for path in words.files:
        file = read(path)
        graph = Graph(file.graph, torch.device("cpu"), file.info["exported"]["dynamic"], path)
        works[f"onnxruntime {file.info['exported']['precision']}"] = lambda graph=graph: graph(*inputs)
    with torch.no_grad():
        found = cpu_ms(works, words.repeats)
    rows = [{"model": words.model, "network": name, "ms": ms} for name, ms in found.items()]
    print_table(rows)
    save("exported", rows, ("onnxruntime",))


if __name__ == "__main__":
    main()
