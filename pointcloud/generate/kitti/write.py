"""A data set of single LiDAR frames, made from a seed, in the format of KITTI's object benchmark.

    OUT/training/velodyne/000000.bin      64 beams, or those of another scanner; a full turn
    OUT/training/label_2/000000.txt       objects that the camera sees, and DontCare
    OUT/training/calib/000000.txt         cameras and mounts, the same for all frames
    OUT/training/image_2/000000.png       a coarse picture
    OUT/testing/...                       the same without labels: one frame for ten in training
    OUT/ImageSets/train.txt, val.txt, trainval.txt, test.txt     one frame in five is for validation
    OUT/kitti.json                        what the frames were made with

A frame is a function of (seed, number) alone, and a larger set begins with the frames of a smaller one, with the same
roles.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from PIL import Image

from pointcloud.conventions.kitti_objects import write_kitti_objects
from pointcloud.generate.folders import check_numbers, make_folders, own_folder
from pointcloud.generate.kitti.frame import FrameNumber, make_frame
from pointcloud.generate.kitti.picture import draw_picture
from pointcloud.generate.kitti.rig import IMAGE_SIZE, calibration, calibration_text
from pointcloud.generate.streets.scanners import find_scanner
from vol3d.dataset_tools.processes import over_cases
from vol3d.files import atomic, remove_leftovers, write_bytes, write_text
from vol3d.terminal import Progress

MAX_FRAMES = 100_000
VALIDATION_EVERY, TEST_EVERY = 5, 10
INDEX = "kitti.json"
_ENDINGS = {"velodyne": ".bin", "label_2": ".txt", "image_2": ".png", "calib": ".txt"}


def write_kitti(
    out: Path,
    frames: int,
    seed: int,
    workers: int | None = None,
    progress: Progress | None = None,
    scanner: str = "hdl-64e",
) -> None:
    """Writes `frames` labelled frames, and test frames beside them, into the folder `out`; those there are kept.

    A frame takes 2 MB and about a second of a core.

    Args:
        frames: 2 to 100,000; every fifth is for validation.
        seed: 0 or more.
        workers: processes; 0 works in this one, None takes one per core.
        progress: called after each frame.
        scanner: one of `SCANNERS`, or "mixed", each in its turn; it stands where KITTI's does.

    Raises:
        UsageError: a number is out of range, or `out` holds something else, or frames of another seed or
            scanner.
        Vol3dError: another process works in `out`, or it cannot be written.
    """
    check_numbers("frames", frames, MAX_FRAMES, seed)
    find_scanner(scanner)
    out = Path(out)
    with own_folder(out, INDEX, {"format": 5, "seed": seed, "scanner": scanner}):
        folders = [out / part / kind for part in ("training", "testing") for kind in _kinds(part == "testing")]
        make_folders(*folders, out / "ImageSets")
        for folder in folders:
            remove_leftovers(folder)
        training = [FrameNumber(seed, number, False, scanner) for number in range(frames)]
        testing = [FrameNumber(seed, number, True, scanner) for number in range(-(-frames // TEST_EVERY))]
        over_cases(partial(write_frame, out=out), [*training, *testing], workers, progress)
        validation = [one for one in training if one.number % VALIDATION_EVERY == 1]
        parts = {"train": [one for one in training if one not in validation], "val": validation}
        for name, part in {**parts, "trainval": training, "test": testing}.items():
            write_text(out / "ImageSets" / f"{name}.txt", "".join(f"{one.name}\n" for one in part))


def write_frame(frame: FrameNumber, out: Path) -> None:
    """Writes the files of one frame; does nothing if they are there."""
    part = out / ("testing" if frame.testing else "training")
    paths = {kind: part / kind / f"{frame.name}{_ENDINGS[kind]}" for kind in _kinds(frame.testing)}
    if all(path.is_file() for path in paths.values()):
        return
    made = make_frame(frame)
    write_bytes(paths["velodyne"], made.points.astype("<f4").tobytes())
    if not frame.testing:
        write_kitti_objects(paths["label_2"], made.objects)
    picture = draw_picture(calibration(), IMAGE_SIZE, made.scene, made.global_from_lidar)
    with atomic(paths["image_2"]) as temporary:
        Image.fromarray(picture).save(temporary)
    write_text(paths["calib"], calibration_text())


def _kinds(testing: bool) -> Iterable[str]:
    return [kind for kind in _ENDINGS if not (testing and kind == "label_2")]
