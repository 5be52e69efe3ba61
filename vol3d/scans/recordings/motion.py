"""Where the scanner was when: frames that transforms and odometry join, with poses in between interpolated."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # loaded where a pose is asked for: one scan has none
    from numpy.typing import ArrayLike
    from scipy.spatial.transform import Rotation

_LONGEST_GAP_S = 0.5  # between two poses that may be interpolated, or from the last one to a sweep
_CONTINUOUS = "odom"  # REP 105: fixed in the world; what lies beyond, map -> odom, comes rarely and jumps


@dataclass(eq=False)
class FrameTree:
    """Frames by name, each with its parent, as /tf, /tf_static and nav_msgs/Odometry state them.

    >>> tree = FrameTree()
    >>> for second in (0.0, 1.0):
    ...     tree.add("odom", "base", second, (second, 0, 0), (0, 0, 0, 1))
    >>> tree.add_static("base", "lidar", (0, 0, 2), (0, 0, 0, 1))
    >>> tree.longest_gap_s = 2.0
    >>> root, pose = tree.pose("lidar", 0.25)
    >>> root, pose[:3, 3].tolist()
    ('odom', [0.25, 0.0, 2.0])
    """

    longest_gap_s: float = _LONGEST_GAP_S
    left_out: set[str] = field(default_factory=set)
    """Sources with poses of frames for which another source counts."""
    _parents: dict[str, str] = field(default_factory=dict)
    _fixed: dict[str, np.ndarray] = field(default_factory=dict)
    _moving: dict[str, list[tuple[float, np.ndarray, np.ndarray]]] = field(default_factory=dict)
    _tracks: dict[str, _Track] = field(default_factory=dict)
    _sources: dict[str, str] = field(default_factory=dict)

    def add_static(self, parent: str, child: str, shift: Sequence[float], quaternion_xyzw: Sequence[float]) -> None:
        """A transform that holds at all times: parent_from_child, metres and a quaternion."""
        from scipy.spatial.transform import Rotation

        self._parents.setdefault(child, parent)
        self._fixed.setdefault(child, _matrix(Rotation.from_quat(quaternion_xyzw), shift))

    def add(
        self,
        parent: str,
        child: str,
        seconds: float,
        shift: Sequence[float],
        quaternion_xyzw: Sequence[float],
        source: str = "",
    ) -> None:
        """A transform at one time.

        Of two parents of a frame, or of two sources of its poses, the first counts: two odometries drift apart, and
        between their poses the scanner would jump to and fro.
        """
        if child in self._fixed or self._parents.setdefault(child, parent) != parent:
            return
        if self._sources.setdefault(child, source) != source:
            self.left_out.add(source)
            return
        self._moving.setdefault(child, []).append(
            (seconds, np.asarray(shift, np.float64), np.asarray(quaternion_xyzw, np.float64))
        )
        self._tracks.pop(child, None)

    def pose(self, frame: str, seconds: float) -> tuple[str, np.ndarray] | None:
        """The outermost frame, or `odom`, and (4, 4) from `frame` to it at a time.

        None where a pose is not known then, and where no step moves: then nothing says how the frame itself did.
        """
        pose, seen, moves = np.eye(4), {frame}, False
        while (parent := self._parents.get(frame)) is not None and not (moves and _is_continuous(frame)):
            moves |= frame not in self._fixed
            step = self._fixed[frame] if frame in self._fixed else self._track(frame).at(seconds, self.longest_gap_s)
            if step is None or parent in seen:
                return None
            pose, frame = step @ pose, parent
            seen.add(frame)
        return (frame, pose) if moves else None

    @property
    def any_moves(self) -> bool:
        """Whether any frame moves."""
        return bool(self._moving)

    def _track(self, child: str) -> _Track:
        if child not in self._tracks:
            self._tracks[child] = _Track.of(self._moving[child])
        return self._tracks[child]


@dataclass(frozen=True, eq=False)
class _Track:
    """The poses of one frame in its parent: (T,) ascending seconds, (T, 3) metres and the rotations."""

    seconds: np.ndarray
    shifts: np.ndarray
    turns: Rotation

    @staticmethod
    def of(poses: Sequence[tuple[float, np.ndarray, np.ndarray]]) -> _Track:
        """Sorted by time, of equal times the first."""
        from scipy.spatial.transform import Rotation

        seconds, first = np.unique([pose[0] for pose in poses], return_index=True)
        shifts, turns = (np.stack([poses[index][part] for index in first]) for part in (1, 2))
        return _Track(seconds, shifts, Rotation.from_quat(turns))

    def at(self, seconds: float, longest_gap_s: float) -> np.ndarray | None:
        """(4, 4) at a time: between two poses straight and at an even turn; None farther than the gap from them."""
        from scipy.spatial.transform import Slerp

        after = bisect_left(self.seconds, seconds)
        ends = [index for index in (after - 1, after) if 0 <= index < len(self.seconds)]
        if len(ends) == 1 or self.seconds[ends[1]] == seconds:
            nearest = ends[-1]
            if abs(self.seconds[nearest] - seconds) > longest_gap_s:
                return None
            return _matrix(self.turns[nearest], self.shifts[nearest])
        first, second = ends
        gap = self.seconds[second] - self.seconds[first]
        if gap > longest_gap_s:
            return None
        share = (seconds - self.seconds[first]) / gap
        turn = Slerp([0, 1], self.turns[[first, second]])(share)
        return _matrix(turn, (1 - share) * self.shifts[first] + share * self.shifts[second])


def _is_continuous(frame: str) -> bool:
    return frame.rpartition("/")[2] == _CONTINUOUS


def _matrix(turn: Rotation, shift: ArrayLike) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn.as_matrix(), shift
    return pose
