"""3DETR's tables 1 to 3 in small: `python -m benchmarks.three_detr --data DATA/rooms [--out runs/three_detr]`.

Trains every row with several seeds on generated rooms, seed by seed, and writes `table.json` and `table.md` after each
run: AP25 and AP50, mean and deviation over the seeds, beside what the paper prints for ScanNet. All rows have the sizes
of `3detr_rooms_small` and its training, so that only encoder, decoder and loss differ. The same command goes on where
it was stopped, and a second one beside it shares the work. `--list` prints the commands and trains nothing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts its threads

import torch

from benchmarks.common import spread, spread_text
from vol3d import files
from vol3d.config import load_task
from vol3d.engine import results
from vol3d.engine.loop import train
from vol3d.errors import Vol3dError
from vol3d.lock import FolderBusyError

RECIPE = "3detr_rooms_small"
AGGREGATION = "{points: 512, radius_m: 0.3, neighbours: 24, widths: [32, 64, 128]}"
SET = (
    "features: [height], width: 128, encoder_ffn: 256, encoder_dropout: 0, queries: 96, query_start: tokens, "
    f"decoder_layers: 4, decoder_dropout: 0, head_dropout: 0, loss: {{giou: 2, size: 2}}, aggregation: {AGGREGATION}"
)
LEVELS = ", ".join(
    f"{{points: {points}, radius_m: {radius}, neighbours: {near}, widths: [{first}, {first}, 128]}}"
    for points, radius, near, first in ((512, 0.3, 24, 32), (256, 0.6, 16, 64), (128, 1.0, 16, 64), (64, 1.5, 16, 64))
)
POINTNET = f"pointnet2: {{levels: [{LEVELS}], up_widths: [128, 128], power: 1}}"
PARTS = (
    f"transformer: {{aggregation: {AGGREGATION}, width: 128, dropout: 0, encoder_ffn: 256, decoder_layers: 4}}, "
    "features: [height], aggregation: {points: 96, radius_m: 0.6, neighbours: 16, widths: [128, 128, 128]}"
)


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Args:
        title: encoder, decoder and loss.
        model: the block `model` in place of the recipe's; None keeps it.
        paper: AP25 and AP50 in percent on ScanNet.
    """

    title: str
    model: str | None
    paper: tuple[float, float]


def _parts(name: str, encoder: str, decoder: str) -> str:
    more = POINTNET if encoder == "pointnet2" else f"encoder: {encoder}"
    return f"{{name: {name}, {more}, decoder: {decoder}, {PARTS}}}"


ROWS: dict[str, Row] = {
    "3detr": Row("transformer, transformer, set", f"{{name: 3detr, {SET}}}", (62.7, 37.5)),
    "3detr-m": Row("masked transformer, transformer, set", None, (65.0, 47.0)),
    "boxnet": Row("PointNet++, box, box", _parts("boxnet", "pointnet2", "aggregation"), (49.0, 21.1)),
    "votenet": Row("PointNet++, vote, vote", _parts("votenet", "pointnet2", "aggregation"), (60.4, 37.5)),
    "pointnet2": Row(
        "PointNet++, transformer, set", f"{{name: 3detr, encoder: pointnet2, {POINTNET}, {SET}}}", (61.4, 34.7)
    ),
    "box_decoder": Row("transformer, box, box", _parts("boxnet", "transformer", "aggregation"), (31.0, 10.2)),
    "vote_decoder": Row("transformer, vote, vote", _parts("votenet", "transformer", "aggregation"), (46.1, 23.4)),
    "box_loss": Row("transformer, transformer, box", _parts("boxnet", "transformer", "transformer"), (49.6, 20.5)),
    "vote_loss": Row("transformer, transformer, vote", _parts("votenet", "transformer", "transformer"), (54.0, 31.9)),
}
TABLES: dict[str, tuple[str, ...]] = {
    "1. Detectors": ("boxnet", "3detr", "votenet", "3detr-m"),
    "2. Encoders": ("3detr", "pointnet2"),
    "3. Decoders and losses": ("3detr", "box_decoder", "vote_decoder", "box_loss", "vote_loss"),
}


def words_of(name: str, seed: int, further: Sequence[str] = ()) -> list[str]:
    """The settings of a row's training."""
    model = ROWS[name].model
    return [*([] if model is None else [f"model={model}"]), f"train.seed={seed}", *further]


def work(names: Sequence[str], seeds: int, out: Path, further: Sequence[str]) -> None:
    """Makes all runs that nobody else is making, seed by seed."""
    write_tables(out, seeds)
    for seed in range(seeds):
        for name in names:
            folder = out / name / f"seed{seed}"
            if results.read(folder) is None:
                try:
                    train(load_task(RECIPE, words_of(name, seed, further)), folder)
                except FolderBusyError:
                    continue
                print(f"{name} seed {seed} is done", file=sys.stderr, flush=True)
                write_tables(out, seeds)


def write_tables(out: Path, seeds: int) -> None:
    """`table.json` and `table.md` from the runs that have ended."""
    rows = {}
    for name in ROWS:
        found = [results.read(out / name / f"seed{seed}") for seed in range(seeds)]
        ended = [one.summary for one in found if one is not None]
        if ended:
            rows[name] = {"seeds": len(ended), **{key: spread([one[key] for one in ended]) for key in ("ap25", "ap50")}}
    lines = []
    for title, names in TABLES.items():
        lines += [f"## {title}", "", "| encoder, decoder, loss | AP25 | AP50 | seeds | published, ScanNet |"]
        lines += ["| --- | --- | --- | --- | --- |"]
        for name in names:
            row, paper = rows.get(name), "{} / {}".format(*ROWS[name].paper)
            numbers = [spread_text(row[key]) if row else "not measured" for key in ("ap25", "ap50")]
            lines += [f"| {ROWS[name].title} | {' | '.join(numbers)} | {row['seeds'] if row else 0} | {paper} |"]
        lines.append("")
    out.mkdir(parents=True, exist_ok=True)
    files.write_json(out / "table.json", {"rows": rows})
    files.write_text(out / "table.md", "\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="settings of every row, train.epochs=10")
    parser.add_argument("--data", metavar="ROOT", help="generated rooms, prepared")
    parser.add_argument("--out", type=Path, default=Path("runs/three_detr"))
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--only", nargs="+", default=[*ROWS], choices=[*ROWS], metavar="ROW")
    parser.add_argument("--list", action="store_true", help="print the commands")
    chosen = parser.parse_intermixed_args()
    further = [*([f"data.root={chosen.data}"] if chosen.data else []), *chosen.words]
    if chosen.list:
        for name in chosen.only:
            words = ["vol3d", "train", RECIPE, *words_of(name, 0, further), "-o", str(chosen.out / name / "seed0")]
            print(shlex.join(words))
        return
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    work(chosen.only, chosen.seeds, chosen.out, further)
    print((chosen.out / "table.md").read_text("utf-8"))


if __name__ == "__main__":
    try:
        main()
    except Vol3dError as error:
        sys.exit(f"error: {error}")
