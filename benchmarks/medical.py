"""UNETR on a whole scan: MONAI's network and sliding window against ours, with the same weights and the same scan.

Run it from the project's root: `python -m benchmarks.medical` (`--help` shows sizes). Each side runs in a process of
its own, so that its peak memory is its own. Both prepare the same scan and hand back labels on the scan's own,
finer grid: MONAI stitches all logits, interpolates all probabilities and takes the argmax; ours streams. CPU seconds
stand beside the wall clock because they hold on a busy machine too. The result goes to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import print_table, save
from medical.preprocess import PreprocessSettings, Window, prepare
from vol3d.scans.volumes.volume import Grid, Volume

CLASSES, WINDOW = 14, (96, 96, 96)
PREPROCESS = PreprocessSettings(spacing_mm=(1.5, 1.5, 2.0), intensity=Window(low=-175, high=250))  # BTCV's, not cropped
SIDES = {"monai": "off", "ours": "off", "ours_bf16": "bf16"}


def main() -> None:
    """Runs all sides and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(320, 320, 256), help="voxels of 0.75 x 0.75 x 1 mm")
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--batch", type=int, default=1, help="windows per forward pass")
    parser.add_argument("--repeats", type=int, default=3, help="sides take turns; the least of each number counts")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        run_side(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_inputs(Path(folder), tuple(arguments.shape))
        runs = [{side: run_process(side, Path(folder)) for side in SIDES} for _ in range(arguments.repeats)]
        labels = {side: np.load(Path(folder) / f"{side}.npy") for side in SIDES}
    sides = {side: {name: min(run[side][name] for run in runs) for name in runs[0][side]} for side in SIDES}
    rows = [
        {
            "side": side,
            **sides[side],
            **{f"monai_over_this_{name}": sides["monai"][name] / sides[side][name] for name in sides[side]},
            "labels_equal_to_monai": float((labels[side] == labels["monai"]).mean()),
            "shape": list(arguments.shape),
            "repeats": arguments.repeats,
            "overlap": arguments.overlap,
            "batch": arguments.batch,
            "threads": arguments.threads,
            "device": torch.cuda.get_device_name() if arguments.device != "cpu" else "cpu",
        }
        for side in SIDES
    ]
    print_table(rows)
    save(f"medical_{torch.device(arguments.device).type}_{'x'.join(map(str, arguments.shape))}", rows, ["monai"])


def make_inputs(folder: Path, shape: tuple[int, ...]) -> None:
    """A scan of smooth noise and a UNETR with MONAI's names and random weights."""
    from monai.networks.nets import UNETR
    from safetensors.torch import save_file

    torch.manual_seed(0)
    coarse = torch.randn(1, 1, *[max(n // 16, 2) for n in shape])
    scan = torch.nn.functional.interpolate(coarse, shape, mode="trilinear")[0] * 200 + 40
    np.save(folder / "scan.npy", scan.numpy())
    save_file(UNETR(1, CLASSES, WINDOW).state_dict(), folder / "weights.safetensors")


def run_process(side: str, folder: Path) -> dict[str, float]:
    """One side in its own process: seconds and peak memory."""
    command = [sys.executable, "-m", "benchmarks.medical", *sys.argv[1:], "--side", side, "--folder", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_side(arguments: argparse.Namespace) -> None:
    """Reads scan and weights, predicts, saves the labels and prints seconds and memory."""
    torch.set_num_threads(arguments.threads)
    array = np.load(arguments.folder / "scan.npy")
    volume = Volume(array, Grid(array.shape[1:], np.diag([0.75, 0.75, 1.0, 1.0])))
    predict = (monai_side if arguments.side == "monai" else our_side)(arguments, volume)
    wall, cpu = time.perf_counter(), time.process_time()
    labels = predict()
    times = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    np.save(arguments.folder / f"{arguments.side}.npy", labels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    numbers = {**times, "peak_rss_gib": peak}
    if arguments.device != "cpu":
        numbers["peak_device_gib"] = torch.cuda.max_memory_allocated() / 2**30
    print(json.dumps({name: round(value, 3) for name, value in numbers.items()}))


def monai_side(arguments: argparse.Namespace, volume: Volume) -> Callable[[], np.ndarray]:
    """MONAI as its bundles use it; the interpolation is that of its inverse `Spacing` where outer faces agree."""
    from monai.inferers import sliding_window_inference
    from monai.networks.nets import UNETR
    from safetensors.torch import load_file

    network = UNETR(1, CLASSES, WINDOW)
    network.load_state_dict(load_file(arguments.folder / "weights.safetensors"))
    network.eval().to(arguments.device)

    @torch.inference_mode()
    def predict() -> np.ndarray:
        logits = sliding_window_inference(
            torch.from_numpy(prepare(volume, PREPROCESS).array)[None],
            WINDOW,
            arguments.batch,
            network,
            overlap=arguments.overlap,
            mode="gaussian",
            sw_device=arguments.device,
            device="cpu",
        )
        assert isinstance(logits, torch.Tensor)
        fine = torch.nn.functional.interpolate(logits.softmax(1), volume.grid.shape, mode="trilinear")
        return fine.argmax(1)[0].to(torch.uint8).numpy()

    return predict


def our_side(arguments: argparse.Namespace, volume: Volume) -> Callable[[], np.ndarray]:
    """Ours: windows, slabs, planes."""
    from medical.classes import Classes
    from medical.segment import segment
    from medical.window import WindowSettings
    from vol3d import load_released

    network = load_released("unetr", arguments.folder / "weights.safetensors")
    window = WindowSettings(
        size=WINDOW,
        overlap=arguments.overlap,
        placement="stride",
        batch=arguments.batch,
        amp=SIDES[arguments.side],
    )
    classes = Classes(tuple(f"class {index}" for index in range(CLASSES)))
    device = torch.device(arguments.device)
    return lambda: segment([network], volume, PREPROCESS, window, classes, device).labels


if __name__ == "__main__":
    main()
