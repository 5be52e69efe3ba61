"""`vol3d view RECORDING --every N`: pictures of its clouds, or the page and the window that go from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vol3d.cli.console import SOME_FAILED, print_json
from vol3d.cli.view_shown import Shown
from vol3d.errors import UsageError
from vol3d.terminal import progress, say, tell

if TYPE_CHECKING:
    from vol3d.scans.points.options import ReadOptions
    from vol3d.view.scene import FrameScene, Opening


def view_frames(
    files: Sequence[str], every: int, opening: Opening, options: ReadOptions, scan: Path | None, shown: Shown
) -> int:
    """Shows one of every so many clouds of a recording; one that cannot be shown is reported, and the next one follows.

    Returns:
        The exit status.

    Raises:
        UsageError: as `load_frames`; a single frame is asked for too; too many clouds for the memory.
        DataError: as `load_frames`.
    """
    from vol3d.view.load.frames import load_frames

    if options.frame is not None:
        raise UsageError("one cloud or several", where="--frame", got=options.frame, do="Leave --frame or --every out.")
    failed: list[str] = []

    def report(reason: str) -> None:
        failed.append(reason)
        say(f"error: {reason}")

    frames = load_frames(files, every, opening, options, scan, report)
    if shown.png is not None:
        pictures = list(_pictures(frames, shown.png, shown.size))
        if shown.as_json:
            print_json({"pictures": [str(path) for path in pictures], "failed": failed})
        else:
            tell("\n".join(map(str, pictures)))
        return SOME_FAILED if failed else 0
    series = _all(frames, every)
    shown.open(series[0].scene, series)
    return 0


def _pictures(frames: Iterator[FrameScene], png: Path, size: tuple[int, int]) -> Iterator[Path]:
    from vol3d.view.show import write_picture

    for number, scene in frames:
        path = png.with_name(f"{png.stem}-{number:06d}{png.suffix}")
        write_picture(scene, path, size)
        yield path


def _all(frames: Iterator[FrameScene], every: int) -> list[FrameScene]:
    """All clouds in memory. Raises UsageError where they are too many."""
    from vol3d.view.load.frames import MOST_FRAMES

    series: list[FrameScene] = []
    with progress("reading") as report:
        for one in frames:
            if len(series) == MOST_FRAMES:
                got, do = f"more than {MOST_FRAMES}", f"Take fewer with --every {2 * every}, or write --png."
                raise UsageError("too many clouds for the page and the window", where="--every", got=got, do=do)
            series.append(one)
            report(len(series), MOST_FRAMES, f"frame {one.number}")
    for note in series[0].scene.notes:
        say(f"note: {note}")
    return series
