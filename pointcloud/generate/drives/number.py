"""The number of a drive, and the times and files of its sweeps."""

from __future__ import annotations

from dataclasses import dataclass

SWEEP_S, SWEEPS_PER_SAMPLE, SWEEPS_BEFORE = 0.05, 10, 9
_FIRST_US, _DRIVE_US = 1_600_000_000_000_000, 1_000_000_000


@dataclass(frozen=True)
class DriveNumber:
    """One drive to be made.

    Args:
        seed: of the data set.
        number: of the drive in it.
        samples: keyframes, half a second apart.
        streets: "simple" or "realistic".
        scanner: of realistic streets, one of `SCANNERS`, or "mixed": another one for each number.
        sweeps: up to each keyframe, 1 to 10.
    """

    seed: int
    number: int
    samples: int
    streets: str = "simple"
    scanner: str = "hdl-32e"
    sweeps: int = SWEEPS_PER_SAMPLE

    @property
    def name(self) -> str:
        """Of the scene in the tables."""
        return f"drive-{self.number:04d}"

    @property
    def frames(self) -> list[int]:
        """Sweeps by number; every tenth from 0 on is a keyframe, and up to nine lie before the first."""
        every = range(-SWEEPS_BEFORE, (self.samples - 1) * SWEEPS_PER_SAMPLE + 1)
        return [frame for frame in every if -frame % SWEEPS_PER_SAMPLE < self.sweeps]

    def time_us(self, frame: int) -> int:
        """When a sweep was taken."""
        return _FIRST_US + self.number * _DRIVE_US + round(frame * SWEEP_S * 1e6)

    def file(self, frame: int) -> str:
        """Path of a sweep below the root."""
        folder = "samples" if frame >= 0 and frame % SWEEPS_PER_SAMPLE == 0 else "sweeps"
        return f"{folder}/LIDAR_TOP/{self.name}__LIDAR_TOP__{self.time_us(frame)}.pcd.bin"
