"""What a user of volumes waits for: `python -m benchmarks.segmentation PART [--before FOLDER] [--scans N] ...`.

Parts: `windows` (data time of a training window), `step` (UNETR's training step), `formats` (channels last), `network`
(the shipped network's convolutions and precision, and what they change), `commands` (whole predictions), `prepare`
(with 1 and 2 workers). Peers are MONAI and, with `--before`, an older working tree of
this project. CPU seconds of one thread; the sides take turns, and a ratio is the median over the turns. Each part
writes `benchmarks/results/segmentation_PART.json`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts its threads

import numpy as np
import torch

import vol3d
from benchmarks.common import one_thread, print_table, save
from medical.datasets.msd import MsdSettings
from medical.demo import SAMPLES
from medical.inference import computing
from medical.losses import LossSettings
from medical.metrics import dice
from medical.models.unetr import UnetrSettings
from medical.segmenter import Segmenter
from vol3d.config import load_task
from vol3d.engine.distributed import Processes
from vol3d.engine.learner import Learner
from vol3d.engine.order import Loader, Plan
from vol3d.scans import read_labels

ROOT = Path(__file__).resolve().parents[1]
Row = dict[str, object]


def main() -> None:
    """Runs one part and writes its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--before", type=Path, help="an older working tree of this project, as a further side")
    parser.add_argument("--data", type=Path, default=SAMPLES, help="an MSD task")
    parser.add_argument("--drives", type=Path, help="generated drives, for the formats of a 2D network")
    parser.add_argument("--scans", type=int, nargs="+", default=[1, 50], help="scans of a command")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    one_thread()
    rows = PARTS[arguments.part](arguments)
    for row in rows:
        print_table([row])
    save(f"segmentation_{arguments.part}", rows, ["monai"])


def in_turns(sides: Mapping[str, Callable[[], float]], turns: int) -> dict[str, object]:
    """Median of what each side gives, and the median ratio of each to the first."""
    got: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns):
        for name, measure in sides.items():
            got[name].append(measure())
    first = next(iter(sides))
    row: dict[str, object] = {name: statistics.median(values) for name, values in got.items()}
    for name in list(sides)[1:]:
        ratios = sorted(a / b for a, b in zip(got[first], got[name], strict=True))
        row[f"{first} / {name}"] = statistics.median(ratios)
        row[f"{first} / {name} range"] = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    return {**row, "turns": turns}


def cpu_s(work: Callable[[], object]) -> Callable[[], float]:
    """CPU seconds of this process for one call of `work`, which has run once before."""
    work()

    def measure() -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    return measure


def environment(root: Path) -> dict[str, str]:
    """Of a process that imports the packages of a working tree, on one thread."""
    return {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "VOL3D_NUM_THREADS": "1"}


def trees(before: Path | None) -> dict[str, Path]:
    """Sides of this project: the older working tree first."""
    return ({"before": before.resolve()} if before else {}) | {"now": ROOT}


def window_rows(arguments: argparse.Namespace) -> list[Row]:
    """CPU milliseconds of a training window, of cached volumes, with the distortions of `unetr_hippocampus_small`."""

    def side(root: Path, *words: str) -> Callable[[], float]:
        script = (
            ROOT / "benchmarks" / "segmentation_side.py"
        ).read_bytes()  # by its path, its folder would be imported from
        command = [sys.executable, "-", str(arguments.data.resolve()), "40", *words]
        return lambda: float(
            subprocess.run(command, env=environment(root), check=True, input=script, stdout=-1, cwd=root).stdout
        )

    sides = {"monai": side(ROOT, "monai")} | {name: side(root) for name, root in trees(arguments.before).items()}
    return [{"work": "training window, ms", **in_turns(sides, arguments.turns)}]


def step_rows(arguments: argparse.Namespace) -> list[Row]:
    """A training step of UNETR, batch 2: ours, which also clips, against MONAI's network, loss and AdamW."""
    from monai.losses import DiceCELoss
    from monai.networks.nets import UNETR

    window, classes = (48, 64, 48), 3
    image, label = torch.randn(2, 1, *window), torch.randint(classes, (2, 1, *window))
    sizes = {"width": 192, "heads": 6, "mlp": 768, "skips": (4, 7, 10)}
    ours = Segmenter(UnetrSettings(**sizes).build(1, classes, window), LossSettings(), False)  # type: ignore[arg-type]
    theirs = UNETR(1, classes, window, hidden_size=192, mlp_dim=768, num_heads=6)
    criterion = DiceCELoss(to_onehot_y=True, softmax=True)
    one, other = (torch.optim.AdamW(net.parameters(), lr=1e-4) for net in (ours, theirs))

    def our_step(amp: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            logits = ours(image)
        torch.stack([*ours.loss(logits.float(), label).values()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(ours.parameters(), 1.0)
        one.step()
        one.zero_grad(set_to_none=True)

    def their_step(amp: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            logits = theirs(image)
        criterion(logits.float(), label).backward()
        other.step()
        other.zero_grad(set_to_none=True)

    return [
        {"work": f"UNETR training step, {name}, s"}
        | in_turns({"monai": cpu_s(lambda: their_step(amp)), "ours": cpu_s(lambda: our_step(amp))}, arguments.turns)  # noqa: B023
        for name, amp in (("float32", False), ("bfloat16", True))
    ]


def format_rows(arguments: argparse.Namespace) -> list[Row]:
    """Steps of a 3D and, with `--drives`, a 2D network, with and without channels last."""
    recipes = {"unetr_hippocampus_small": [f"data.root={arguments.data}", "data.fold=all"]}
    if arguments.drives:
        recipes["centerpoint_pillars_drives_small"] = [f"data.root={arguments.drives}"]
    return [
        {"work": f"{recipe}, {amp}, s"}
        | in_turns(
            {
                name: cpu_s(stepping(recipe, [*words, f"train.amp={amp}", f"train.channels_last={value}"]))
                for name, value in {"channels last": "true", "channels first": "false"}.items()
            },
            arguments.turns,
        )
        for recipe, words in recipes.items()
        for amp in ("bf16", "off")
    ]


def stepping(recipe: str, words: list[str]) -> Callable[[], object]:
    """One training step, again and again on the same batch."""
    task = load_task(recipe, words)
    samples = task.samples()
    learner = Learner(task, Processes(0, 1, torch.device("cpu")))
    plan = Plan(len(samples), task.settings.train.batch, 1, 1, 0)
    batches = list(Loader(samples, plan, 0, 0, 1, workers=0).step(0))

    def step() -> None:
        learner.step(batches, 0, 100)
        learner.apply(0)

    return step


def network_rows(arguments: argparse.Namespace) -> list[Row]:
    """A window of `unetr-hippocampus` as torch chooses its convolutions, by oneDNN, in bfloat16; then whole scans."""
    models = {amp: vol3d.load("unetr-hippocampus", "cpu", settings={"window.amp": amp}) for amp in ("off", "bf16")}
    network, window = models["off"].models[0], models["off"].task.settings.window.size
    image, cpu = torch.randn(1, 1, *window), torch.device("cpu")

    @torch.inference_mode()
    def forward(how: AbstractContextManager[None]) -> None:
        with how:
            network(image)

    ways: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "torch's choice": nullcontext,
        "oneDNN": lambda: computing("off", cpu),
        "bf16": lambda: computing("bf16", cpu),
    }
    sides = {name: cpu_s(lambda way=way: forward(way())) for name, way in ways.items()}  # type: ignore[misc]
    rows: list[Row] = [{"work": "one window, s", **in_turns(sides, arguments.turns)}]

    cases = MsdSettings(root=arguments.data, fold="all").split().require().labelled[: max(arguments.scans)]
    equal, overlap = [], {amp: [] for amp in models}  # type: ignore[var-annotated]
    for case in cases:
        truth = read_labels(case.label).array[0]
        masks: dict[str, Any] = {amp: model.predict(case.images[0]).mask for amp, model in models.items()}
        equal.append(float((masks["off"] == masks["bf16"]).mean()))
        for amp, mask in masks.items():
            overlap[amp] += [dice(mask == label, truth == label) for label in (1, 2)]
    agreement: Row = {f"mean Dice, {amp}": float(np.mean(values)) for amp, values in overlap.items()}
    agreement |= {"equal labels": float(np.mean(equal)), "equal labels, least": min(equal)}
    return [*rows, {"work": f"{len(cases)} scans", **agreement}]


def command_rows(arguments: argparse.Namespace) -> list[Row]:
    """`vol3d predict unetr-hippocampus`, the whole process, and how many labels of the masks are equal."""
    sides: dict[str, tuple[Path, list[str]]] = {name: (root, []) for name, root in trees(arguments.before).items()}
    sides["now, window.amp=auto"] = (ROOT, ["window.amp=auto"])
    rows = []
    for count in arguments.scans:
        scans = sorted((arguments.data / "imagesTr").glob("*.nii.gz"))[:count]
        with tempfile.TemporaryDirectory() as folder:
            outs = {name: Path(folder) / str(number) for number, name in enumerate(sides)}
            runs = {
                name: (lambda root=root, words=words, out=outs[name]: predicted(root, words, scans, out))  # type: ignore[misc] # noqa: B023
                for name, (root, words) in sides.items()
            }
            measured = in_turns(runs, arguments.turns)
            equal = {f"labels of {name} equal": equal_labels(outs, name) for name in list(sides)[1:]}
        rows.append({"work": f"predict {len(scans)} scans, s", **measured, **equal})
    return rows


def predicted(root: Path, words: list[str], scans: list[Path], out: Path) -> float:
    """CPU seconds of one command."""
    shutil.rmtree(out, ignore_errors=True)
    changes = [word for change in words for word in ("--set", change)]
    names = [str(scan.resolve()) for scan in scans]
    command = [
        "-m",
        "vol3d.cli.main",
        "predict",
        "unetr-hippocampus",
        *names,
        "-o",
        str(out),
        "--device",
        "cpu",
        *changes,
    ]
    return process_s([sys.executable, *command], root)


def process_s(command: list[str], root: Path) -> float:
    """CPU seconds, system time included, of a process and its children."""
    before = os.times()
    subprocess.run(command, env=environment(root), check=True, stdout=-1, stderr=-1, cwd=root)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def equal_labels(outs: Mapping[str, Path], name: str) -> float:
    """Share of voxels with the label that the first side gave, over all masks."""
    first = next(iter(outs.values()))
    pairs = [(read_labels(mask).array, read_labels(outs[name] / mask.name).array) for mask in first.glob("*.nii.gz")]
    return float(sum(np.count_nonzero(a == b) for a, b in pairs) / sum(a.size for a, _ in pairs))


def prepare_rows(arguments: argparse.Namespace) -> list[Row]:
    """`vol3d data prepare msd` with one and two workers: wall and CPU seconds."""
    rows = []
    for workers in (1, 2):
        for _ in range(arguments.turns):
            with tempfile.TemporaryDirectory() as folder:
                words = ["data", "prepare", "msd", str(arguments.data.resolve()), "--recipe", "unetr_hippocampus_small"]
                words += ["-o", str(Path(folder) / "ready"), "--workers", str(workers)]
                began = time.perf_counter()
                cpu = process_s([sys.executable, "-m", "vol3d.cli.main", *words], ROOT)
                rows.append({"workers": workers, "wall s": time.perf_counter() - began, "cpu s": cpu})
    medians: list[Row] = []
    for workers in (1, 2):
        chosen: list[Any] = [row for row in rows if row["workers"] == workers]
        medians.append({"workers": workers, "turns": arguments.turns, "load": os.getloadavg()[0]})
        medians[-1] |= {key: statistics.median(row[key] for row in chosen) for key in ("wall s", "cpu s")}
    return medians


PARTS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "windows": window_rows,
    "step": step_rows,
    "formats": format_rows,
    "network": network_rows,
    "commands": command_rows,
    "prepare": prepare_rows,
}

if __name__ == "__main__":
    main()
