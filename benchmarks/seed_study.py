"""What seeds do to a score in 3D: tiny networks trained with many seeds, from scratch and from trained weights.

    python -m benchmarks.seed_study unetr DATA/Task04_Hippocampus RUNS --seeds 20 --jobs 2
    python -m benchmarks.seed_study 3detr DATA/rooms RUNS --seeds 20 --jobs 2 --before DATA/other_rooms

Picard ("torch.manual_seed(3407) is all you need", 2021) asked three things of images: how scores are distributed over
seeds, whether there are outliers, and whether trained weights shrink the spread. UNETR starts from a masked
reconstruction of its own training images, 3DETR from a training on the rooms of `--before`. Trainings take a minute
or two each, so that a score is far from what its recipe reaches. The same command goes on where it stopped, with more
seeds if asked. Reports lie in RUNS; the facts go to `benchmarks/results/seed_study.json`.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, one_thread, print_table, save
from vol3d.comparison.seeds import compare_seeds
from vol3d.config import load_task
from vol3d.engine import results
from vol3d.engine.loop import train
from vol3d.files import read_json
from vol3d.seeds.study import SeedStudy
from vol3d.seeds.train import train_seeds

Row = dict[str, Any]


@dataclass(frozen=True)
class Tiny:
    """A recipe made tiny, and the training whose weights it may begin with.

    Args:
        words: settings of both trainings.
        own: those of the studied one.
        before: recipe of the earlier training.
        before_own: its settings.
    """

    recipe: str
    words: tuple[str, ...]
    own: tuple[str, ...]
    before: str
    before_own: tuple[str, ...]


_SIZES = "patch: 8, width: 48, depth: 4, heads: 4, mlp: 96, features: 8, skips: [1, 2]"
STUDIES = {
    "unetr": Tiny(
        recipe="unetr_hippocampus_small",
        words=("data.folds=folds.json", "data.fold=0"),
        own=(f"model={{name: unetr, {_SIZES}}}", "window.mirror_axes=[]", "train.ema=0.98"),
        before="unetr_hippocampus_masked",
        before_own=(f"model={{name: masked_unetr, {_SIZES}, hidden: 0.6}}",),
    ),
    "3detr": Tiny(
        recipe="3detr_rooms_small",
        words=(
            "points=2048",
            "model.aggregation={points: 128, radius_m: 0.4, neighbours: 16, widths: [16, 32, 64]}",
            "model.interim={points: 64, radius_m: 0.8, neighbours: 16, widths: [64, 64, 64]}",
            *("model.width=64", "model.encoder_ffn=128", "model.queries=32", "model.decoder_layers=3"),
            *("train.ema=0.98", "train.batch=4", "optim.lr=2e-3"),
        ),
        own=(),
        before="3detr_rooms_small",
        before_own=(),
    ),
}
EPOCHS = {"unetr": (3, 30), "3detr": (40, 120)}
"""Of every studied training, and of the one before."""


def earlier(tiny: Tiny, epochs: int, data: Path, folder: Path) -> Path:
    """The run whose weights the others begin with."""
    if results.read(folder) is None:
        words = [f"data.root={data}", *tiny.words, *tiny.before_own]
        words += [f"train.epochs={epochs}", f"train.evaluate_every={epochs}"]
        train(load_task(tiny.before, words), folder, device="cpu")
    return folder


def row_of(network: str, start: str, study: SeedStudy, epochs: int) -> Row:
    """How the scores of a study spread."""
    facts = study.to_dict()
    keys = ("score_name", "mean", "deviation", "deviation_interval", "minimum", "maximum", "failed", "epochs")
    row: Row = {"network": network, "start": start, "seeds": len(study.scores), "epochs_of_training": epochs}
    row |= {"outliers": study.outliers} | {key: facts[key] for key in keys}
    return row | {"scores": list(study.scores.values())}


def main() -> None:
    """Trains what is missing, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=[*STUDIES])
    parser.add_argument("data", type=Path, help="Task04_Hippocampus with folds.json, or prepared rooms")
    parser.add_argument("runs", type=Path)
    parser.add_argument("--before", type=Path, help="data of the earlier training; the same if left out")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="of every training: a trial, whose facts are not saved")
    chosen = parser.parse_args()
    one_thread()
    tiny, out = STUDIES[chosen.network], chosen.runs / chosen.network
    epochs, epochs_before = (chosen.epochs, chosen.epochs) if chosen.epochs else EPOCHS[chosen.network]
    before = earlier(tiny, epochs_before, chosen.before or chosen.data, out / "before")
    words = [f"data.root={chosen.data}", *tiny.words, *tiny.own]
    words += [f"train.epochs={epochs}", f"train.evaluate_every={max(1, epochs // 4)}"]
    studies = [
        train_seeds(tiny.recipe, [*words, *start], out / name, chosen.seeds, "cpu", jobs=chosen.jobs)
        for name, start in (("scratch", []), ("trained", [f"start_from={before}"]))
    ]
    rows = [row_of(chosen.network, one.folder.name, one, epochs) for one in studies]
    shown = ("network", "start", "seeds", "mean", "deviation", "minimum", "maximum", "outliers")
    print_table([{key: row[key] for key in shown} for row in rows])
    found = compare_seeds(studies[0].folder, studies[1].folder)
    print(*found.notes, sep="\n")
    facts = {"difference": asdict(found.differences[0]), "spread": found.spread and asdict(found.spread)}
    rows.append({"network": chosen.network, "start": "trained - scratch", **facts})
    if chosen.epochs:
        return
    path = RESULTS / "seed_study.json"
    known = read_json(path)["rows"] if path.is_file() else []
    print(f"written to {save('seed_study', [*(row for row in known if row['network'] != chosen.network), *rows])}")


if __name__ == "__main__":
    main()
