"""Records which scans of a data set a shipped model has learned from, for a model that was trained before runs did so.

    python -m benchmarks.training_scans unetr-hippocampus DATA/Task04_Hippocampus train data.folds=FOLDS.json --fold 0
    python -m benchmarks.training_scans kitti-cars DATA/kitti_real all

Writes `trained_on.json` beside the weights, from where `vol3d evaluate` takes it: no weight and no SHA-256 changes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

from vol3d import catalog, checkpoint
from vol3d.engine.score import on_data
from vol3d.engine.task import Part
from vol3d.engine.trained_on import TRAINED_ON, TrainedOn, inherited
from vol3d.files import write_json


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=catalog.shipped())
    parser.add_argument("root", type=Path)
    parser.add_argument("part", choices=("train", "all"), help="of the data set, what the model was trained on")
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="settings of the data set")
    parser.add_argument("--fold", type=int)
    given = parser.parse_args()

    loaded = checkpoint.load(given.model, changes=given.words)
    task, _ = on_data(loaded.task, given.root, None, given.fold, cast(Part, given.part))
    known = TrainedOn(scans={"training": task.scored_keys(lambda *_: None)})
    if start := loaded.info[0].get(checkpoint.STARTED_FROM):
        known = known.joined(inherited("start_from", checkpoint.said_by(start["checkpoint"])))
    write_json(catalog.shipped()[given.model] / f"{TRAINED_ON}.json", known.model_dump(mode="json"))
    print({how: len(keys) for how, keys in known.scans.items()}, "not recorded:", known.not_recorded)


if __name__ == "__main__":
    main()
