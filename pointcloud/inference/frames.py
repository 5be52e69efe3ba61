"""The clouds of a recording, one after the other, each joined with those before it as the network was trained."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vol3d.errors import Vol3dError
from vol3d.frame_store import FrameStore, Place
from vol3d.notes import Note
from vol3d.prediction import BoxPrediction, Unfinished
from vol3d.recording_prediction import FrameResult, FramesPrediction, resumed_note
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.recordings.motion import FrameTree
from vol3d.scans.recordings.recording import Frame, Recording
from vol3d.terminal import say

CLOSE_M = 1.0  # points of earlier sweeps with |x| and |y| below this are the vehicle itself, as in nuScenes
Predict = Callable[[PointCloud], BoxPrediction]
Progress = Callable[[int, int], None]


class _Needed:
    """The numbers of the clouds to be decoded: those that are meant, those that lend to them, and those of before."""

    def __init__(self, recording: Recording, lent: int, place: Place) -> None:
        self._recording, self._lent, self._place = recording, lent, place

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int) or number <= self._place.position.number:
            return number in self._place.earlier
        until = -number % self._recording.every  # the next one that is meant
        return until <= self._lent and number + until < self._recording.count


def predict_frames(
    recording: Recording,
    sweeps: int,
    predict: Predict,
    progress: Progress | None = None,
    unfinished: Unfinished | None = None,
) -> FramesPrediction:
    """Boxes in each cloud that is meant; one that cannot be read or predicted says why, and the next one follows.

    Args:
        sweeps: how many clouds are taken together, put into the frame of the newest by the recording's poses.
        predict: the boxes in one cloud.
        progress: called after each cloud with how many are done and how many there are.
        unfinished: the result to be: clouds that an interrupted run has left beside it are kept. None: of no file.

    Raises:
        UsageError, Vol3dError: as `FrameStore.open`.
    """
    tree, said = _poses(recording) if sweeps > 1 else (None, ())
    store = FrameStore.temporary() if unfinished is None else FrameStore.open(unfinished)
    before, lent = store.place, (sweeps if tree is not None else 1) - 1
    name, count = recording.path.name, len(recording.wanted)
    if store.resumed:
        say(f"{name}: {resumed_note(store.resumed, count)}")
    try:
        for result, place in _results(recording, before, lent, tree, predict):
            store.append(result, place)
            if progress is not None:
                progress(len(store), count)
    except KeyboardInterrupt:
        if unfinished is not None:
            say(f"{name}: {len(store)} of {count} clouds are kept; the same command goes on after them")
        raise
    said = (*said, *_joined_note(store, sweeps, tree))
    return FramesPrediction(recording, store, said, (store.resumed, before.seconds), store.remove)


def _results(
    recording: Recording, place: Place, lent: int, tree: FrameTree | None, predict: Predict
) -> Iterator[tuple[FrameResult, Place]]:
    """What becomes of each cloud after a place, and the place after it."""
    if place.ended:
        return
    earlier: deque[Frame] = deque(maxlen=lent)
    begin, position = time.perf_counter() - place.seconds, place.position
    for frame in recording.frames(_Needed(recording, lent, place), position):
        again = frame.number <= place.position.number
        ended = frame.recorded_ns is None
        meant = not again and (ended or frame.number in recording.wanted)
        result = _predicted(frame, earlier, tree, predict) if meant else None
        position = position if again else position.after(frame)
        if frame.cloud is not None:
            earlier.appendleft(frame)
        if result is not None:
            numbers = tuple(one.number for one in earlier)
            yield result, Place(position, numbers, round(time.perf_counter() - begin, 3), ended)


def _poses(recording: Recording) -> tuple[FrameTree | None, tuple[Note, ...]]:
    """How the scanner moved; None and a note where nothing says it."""
    text = "the model was trained with several sweeps, and each cloud was taken alone: {value}"
    try:
        tree = recording.motion
    except Vol3dError as fault:
        return None, (Note("sweeps-not-joined", text, value=str(fault), assumed=True),)
    if not tree.any_moves:
        why = "the recording has no odometry and no moving transform"
        return None, (Note("sweeps-not-joined", text, value=why, assumed=True),)
    chosen = "poses of the topic {value} were not used: another topic has those of the same frames"
    return tree, tuple(Note("poses-chosen", chosen, value=one) for one in sorted(tree.left_out))


def _joined_note(results: Sequence[FrameResult], sweeps: int, tree: FrameTree | None) -> tuple[Note, ...]:
    """How many sweeps were joined, against how many the model was trained with."""
    done, frame_ids = Counter[int](), set[str]()
    for result in results if tree is not None else ():
        if result.found is not None:
            done[result.sweeps] += 1
            frame_ids.add(repr(result.frame.frame_id))
    if not done:
        return ()
    if max(done) == 1 and len(results) > 1:
        frames = ", ".join(sorted(frame_ids))
        text = "the model was trained with {sweeps} sweeps, and each cloud was taken alone: no transform or odometry "
        text += "of the recording says how the frame {value} moved"
        return (Note("sweeps-not-joined", text, value=frames, assumed=True, numbers={"sweeps": sweeps}),)
    text = "clouds were joined by the poses of the recording: {least} to {most} sweeps, {full} of {clouds} clouds have "
    text += "the {sweeps} that the model was trained with"
    numbers = {"least": min(done), "most": max(done), "clouds": done.total(), "sweeps": sweeps, "full": done[sweeps]}
    return (Note("sweeps-joined", text, numbers=numbers),)


def _predicted(frame: Frame, earlier: Sequence[Frame], tree: FrameTree | None, predict: Predict) -> FrameResult:
    result = FrameResult(replace(frame, cloud=None), error=frame.error)
    if frame.cloud is None:
        return result
    try:
        begin = time.perf_counter()
        cloud, sweeps = (frame.cloud, 1) if tree is None else join_sweeps(frame, earlier, tree)
        found = predict(cloud)
        spent = 1000 * (time.perf_counter() - begin)
    except Vol3dError as fault:
        return replace(result, error=str(fault))
    # The points of hundreds of clouds would fill the memory.
    bare = replace(found, cloud=replace(found.cloud, xyz=found.cloud.xyz[:0], columns={}, faces=None))
    return replace(result, found=bare, sweeps=sweeps, points=len(found.cloud), milliseconds=spent)


def join_sweeps(newest: Frame, earlier: Sequence[Frame], tree: FrameTree) -> tuple[PointCloud, int]:
    """The newest cloud with those before it in its frame, and how many they are.

    `time` is the age of each point's sweep in seconds. Clouds without a known pose are left out, and points of earlier
    sweeps within `CLOSE_M` of the scanner.

    Args:
        newest, earlier: with their clouds.
        tree: where the scanner was when.
    """
    cloud = newest.cloud
    assert cloud is not None
    parts = [_Part(cloud.xyz.astype(np.float64), cloud.columns, 0.0)]
    here = tree.pose(newest.frame_id.lstrip("/"), newest.seconds)
    if here is not None:
        lent = (_lent(frame, newest, here, tree) for frame in earlier)
        parts += [part for part in lent if part is not None]

    shared = set(cloud.columns).intersection(*(part.columns for part in parts)) - {"time"}
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in sorted(shared)}
    columns["time"] = np.concatenate([np.full(len(part.xyz), part.age, np.float32) for part in parts])
    xyz = np.concatenate([part.xyz for part in parts]).astype(np.float32)
    return replace(cloud, xyz=xyz, columns=columns, faces=None), len(parts)


class _Part(NamedTuple):
    """Points (N, 3) of one sweep in the axes of the newest cloud, their columns and their age in seconds."""

    xyz: np.ndarray
    columns: dict[str, np.ndarray]
    age: float


def _lent(frame: Frame, newest: Frame, here: tuple[str, np.ndarray], tree: FrameTree) -> _Part | None:
    """What an earlier sweep lends to the newest; None where no pose joins them."""
    if frame.seconds >= newest.seconds:  # of before the clock was set back
        return None
    there = tree.pose(frame.frame_id.lstrip("/"), frame.seconds)
    if there is None or there[0] != here[0] or frame.cloud is None or newest.cloud is None:
        return None
    cloud = frame.cloud
    far = (np.abs(cloud.xyz[:, :2]) >= CLOSE_M).any(axis=1)
    moved = _moved(cloud, newest.cloud, np.linalg.inv(here[1]) @ there[1])
    columns = {name: values[far] for name, values in cloud.columns.items()}
    return _Part(moved[far], columns, newest.seconds - frame.seconds)


def _moved(cloud: PointCloud, to: PointCloud, to_from_cloud: np.ndarray) -> np.ndarray:
    """Points (N, 3) float64 in another cloud's axes and origin; the motion is between the frames of the messages."""
    points = cloud.in_file(cloud.xyz) @ to_from_cloud[:3, :3].T + to_from_cloud[:3, 3]
    scan_from_file = np.linalg.inv(to.file_from_scan)
    return points @ scan_from_file[:3, :3].T + scan_from_file[:3, 3] - to.origin
