"""A robot's recording as a row of point clouds: ROS 2 bags (sqlite3, MCAP) and single `.mcap` or `.db3` files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.options import ReadOptions
from vol3d.scans.points.scan import scan_of
from vol3d.scans.recordings.motion import FrameTree
from vol3d.scans.recordings.point_cloud2 import MESSAGE, points_of_message

INSTALL = "Run `pip install 'vol3d[ros]'`."
_TF, _ODOMETRY = "tf2_msgs/msg/TFMessage", "nav_msgs/msg/Odometry"
_POSES = (_TF, _ODOMETRY)
_NS = 1e-9
_RECOVER = "Repair it first, with `mcap recover` or `ros2 bag reindex`, or copy it again."


@dataclass(frozen=True, eq=False)
class Frame:
    """One cloud of a recording.

    Args:
        number: of the message in its topic, from 0.
        stamp_ns: when it was measured, by the header's stamp; by the recorder's clock where that is 0.
        recorded_ns: when it was recorded; None where the recording breaks off before it.
        frame_id: the coordinates that it is in.
        cloud: its points; None where it could not be read.
        error: why it could not.
    """

    number: int
    stamp_ns: int
    recorded_ns: int | None
    frame_id: str = ""
    cloud: PointCloud | None = None
    error: str | None = None

    @property
    def seconds(self) -> float:
        """When it was measured; a float of today's seconds is off by up to 0.2 microseconds."""
        return self.stamp_ns * _NS


class Position(NamedTuple):
    """The last cloud that was read: its number and its stamp, -1 before the first."""

    number: int = -1
    stamp_ns: int = -1

    def after(self, frame: Frame) -> Position:
        """The position once `frame` was read too; one without a stamp keeps that of the cloud before."""
        stamped = frame.cloud is not None or frame.frame_id
        return Position(frame.number, frame.stamp_ns if stamped else self.stamp_ns)


@dataclass(frozen=True, eq=False)
class Recording:
    """The clouds of one topic of a recording; `open_recording` makes it.

    Args:
        path: the bag's folder, or the file.
        topic: of the clouds.
        count: how many clouds the topic has.
        notes: what was chosen.
        options: how the points are read.
        every: one of so many clouds is meant; the others only lend their points to it.
    """

    path: Path
    topic: str
    count: int
    notes: tuple[Note, ...]
    options: ReadOptions = field(default_factory=ReadOptions)
    every: int = 1

    @property
    def wanted(self) -> range:
        """The numbers of the clouds that are meant."""
        return range(0, self.count, self.every)

    def frames(self, only: Container[int] | None = None, start: Position = Position()) -> Iterator[Frame]:  # noqa: B008
        """The clouds in the order of the recording; one that cannot be read says why, and the next one follows.

        A cloud whose stamp is not later than that of the one before is such a fault: the clock ran backwards. Those
        after it count from there. Where the recording itself breaks off, the last frame has its error.

        Args:
            only: the numbers that are to be decoded; None: all.
            start: where reading goes on; clouds up to there were read before, and their stamps are not checked again.
        """
        last, number = start, -1
        try:
            for number, (message, recorded) in enumerate(_messages(self.path, {self.topic: MESSAGE})):
                if only is not None and number not in only:
                    continue
                again = number <= start.number
                frame = self._frame(number, message, recorded, -1 if again else last.stamp_ns)
                last = last if again else last.after(frame)
                yield frame
        except Vol3dError as fault:
            error = str(fault).replace(str(self.path), self.path.name)  # results hold no path of this machine
            yield Frame(number + 1, max(last.stamp_ns, 0), None, error=error)

    def _frame(self, number: int, message: _Message, recorded: int, last: int) -> Frame:
        where = Path(self.path.name) / f"{self.topic.strip('/')}[{number}]"
        frame = Frame(number, recorded, recorded)
        try:
            decoded = message.decoded()
            frame = Frame(number, _stamp_ns(decoded.header) or recorded, recorded, str(decoded.header.frame_id))
            if frame.stamp_ns <= last:
                got = f"{frame.seconds:.6f} s after {last * _NS:.6f} s"
                raise DataError("the clock runs backwards", where=where, got=got, wanted="a later stamp")
            return replace(frame, cloud=scan_of(points_of_message(decoded, where), where, self.options))
        except Vol3dError as fault:
            return replace(frame, error=str(fault))
        except MemoryError:
            return replace(frame, error=f"{where}: the points do not fit into this machine's memory")

    @cached_property
    def motion(self) -> FrameTree:
        """The frames of the recording and how they move, from /tf, /tf_static and the topics of odometry.

        As in tf, poses that are none (a quaternion of length 0, numbers that are not finite) are left out.

        Raises:
            DataError: the recording breaks off.
        """
        tree, wanted = FrameTree(), {one.topic: one.msgtype for one in _topics(self.path)}
        poses: dict[tuple[str, str], list[_Pose]] = {}
        for message, _ in _messages(self.path, {name: kind for name, kind in wanted.items() if kind in _POSES}):
            poses.setdefault((message.msgtype, message.topic), []).extend(_poses(message))
        # Transforms count before odometry, which may be that of the wheels alone; then what has more poses.
        for (_, topic), stated in sorted(poses.items(), key=lambda item: (_POSES.index(item[0][0]), -len(item[1]))):
            for pose in stated:
                pose.add_to(tree, topic)
        return tree


def open_recording(
    path: Path,
    topic: str | None = None,
    every: int = 1,
    options: ReadOptions = ReadOptions(),  # noqa: B008 (frozen)
) -> Recording:
    """The recording at a path; its clouds are read one by one by `frames`.

    Args:
        topic: of the clouds; None takes the only one and notes it.
        every: one of so many clouds is meant.

    Raises:
        DataError: it cannot be opened, or holds no clouds.
        UsageError: it has several topics of clouds and none is named, or not this one.
        Vol3dError: the package rosbags is not installed.
    """
    topics = _topics(path)
    clouds = {one.topic: one.count for one in topics if one.msgtype == MESSAGE}
    notes: tuple[Note, ...] = ()
    if topic is None:
        topic = _only_topic(path, topics, clouds)
        text = "the topic {value} was read, the only one of its type, {clouds} messages"
        notes = (Note("topic-chosen", text, "topic", topic, numbers={"clouds": clouds[topic]}),)
    elif topic not in clouds:
        other = next((one.msgtype for one in topics if one.topic == topic), None)
        what = "the recording has no such topic" if other is None else f"the topic has messages of type {other}"
        wanted, do = f"a topic of {MESSAGE}", _unpack(other or "")
        raise UsageError(what, where=f"{path}: {topic}", got=_listed(topics), wanted=wanted, do=do)
    if not clouds[topic]:
        raise DataError("the topic has no message", where=f"{path}: {topic}")
    return Recording(path, topic, clouds[topic], notes, options, every)


def _only_topic(path: Path, topics: Sequence[_Topic], clouds: Mapping[str, int]) -> str:
    """The one topic of clouds. Raises DataError if there is none, UsageError if there are several."""
    if len(clouds) > 1:
        got = ", ".join(f"{name} ({count})" for name, count in sorted(clouds.items()))
        raise UsageError("the recording has several topics of clouds", where=path, got=got, do="Name one with --topic.")
    if not clouds:
        wanted, do = f"a topic of {MESSAGE}", _unpack(" ".join(one.msgtype for one in topics))
        raise DataError("the recording has no clouds", where=path, got=_listed(topics), wanted=wanted, do=do)
    return next(iter(clouds))


def _unpack(types: str) -> str | None:
    """What to do where clouds are of a compressed type."""
    packed = "compressedpointcloud" in types.lower()
    return "Its clouds are compressed: republish them as PointCloud2 with point_cloud_transport." if packed else None


def _listed(topics: Sequence[_Topic]) -> str:
    return ", ".join(sorted(f"{one.topic} ({one.msgtype}, {one.count})" for one in topics)) or "no topics"


def read_frame(path: Path, options: ReadOptions) -> PointCloud:
    """One cloud of a recording: that of `options.frame` and `options.topic`; its notes say which.

    Raises:
        DataError: it cannot be read.
        UsageError: the recording has no such frame; and as `open_recording`.
    """
    recording, number = open_recording(path, options.topic, options=options), options.frame or 0
    if number >= recording.count:
        wanted = f"0 to {recording.count - 1}"
        raise UsageError(
            "the recording has no such frame", where=f"{path}: {recording.topic}", got=number, wanted=wanted
        )
    for frame in recording.frames(frozenset([number])):
        if frame.cloud is None:
            raise DataError(f"frame {number} cannot be shown: {frame.error}", where=path)
        return shown_cloud(recording, frame)
    raise DataError("the recording ends before this frame", where=path, got=number)


def shown_cloud(recording: Recording, frame: Frame) -> PointCloud:
    """The cloud of a frame that could be read, with notes of which it is."""
    assert frame.cloud is not None
    text = "frame {frame} of {frames} of the topic {value}, measured at {seconds:.6f} s"
    numbers = {"frame": frame.number, "frames": recording.count, "seconds": frame.seconds}
    said = (*recording.notes, Note("frame-shown", text, "frame", recording.topic, numbers=numbers))
    return replace(frame.cloud, source=recording.path, notes=(*said, *frame.cloud.notes))


@dataclass(frozen=True)
class _Topic:
    """A topic with the type and the number of its messages."""

    topic: str
    msgtype: str
    count: int


@dataclass(frozen=True, eq=False)
class _Message:
    """A message as it is stored."""

    topic: str
    msgtype: str
    data: bytes
    where: Path

    def decoded(self) -> Any:
        """Its fields. Raises DataError if the bytes are no such message."""
        try:
            return typestore().deserialize_cdr(self.data, self.msgtype)
        except Exception as fault:  # struct, NumPy and the decoder each raise their own
            got = f"{len(self.data)} bytes: {str(fault)[:120]}"
            raise DataError(
                f"a message that is no {self.msgtype}", where=f"{self.where}: {self.topic}", got=got
            ) from fault


@cache
def typestore() -> Any:
    """The messages of ROS 2, of rosbags."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_HUMBLE)  # the types read here are the same in all releases of ROS 2


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """rosbags' reader of a recording; whatever it raises becomes a DataError that names the recording."""
    try:
        from rosbags.rosbag2 import Reader
    except ImportError as fault:
        raise Vol3dError("recordings need the package rosbags", where=path, do=INSTALL) from fault
    try:
        with Reader(path) as reader:
            yield reader
    except Vol3dError:
        raise
    except Exception as fault:  # its own errors, struct's, SQLite's, lz4's and zstd's
        got = f"{type(fault).__name__}: {str(fault)[:200]}"
        raise DataError("the recording cannot be read", where=path, got=got, do=_RECOVER) from fault


def _topics(path: Path) -> list[_Topic]:
    """What is in a recording, one entry for each topic and type."""
    with _opened(path) as reader:
        counts: Counter[tuple[str, str]] = Counter()
        for one in reader.connections:
            counts[one.topic, one.msgtype] += one.msgcount
    return [_Topic(topic, kind, count) for (topic, kind), count in counts.items()]


def _messages(path: Path, wanted: dict[str, str]) -> Iterator[tuple[_Message, int]]:
    """The messages of topics (name -> type), and when each was recorded, in nanoseconds."""
    if not wanted:
        return
    with _opened(path) as reader:
        connections = [one for one in reader.connections if wanted.get(one.topic) == one.msgtype]
        for one, nanoseconds, data in reader.messages(connections):
            yield _Message(one.topic, one.msgtype, data, Path(path.name)), nanoseconds


def _stamp_ns(header: Any) -> int:
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


class _Pose(NamedTuple):
    """A pose as a message states it."""

    parent: str
    child: str
    seconds: float
    metres: tuple[float, float, float]
    quaternion_xyzw: tuple[float, float, float, float]

    def add_to(self, tree: FrameTree, topic: str) -> None:
        if topic.endswith("tf_static"):
            tree.add_static(self.parent, self.child, self.metres, self.quaternion_xyzw)
        else:
            tree.add(self.parent, self.child, self.seconds, self.metres, self.quaternion_xyzw, topic)


def _poses(message: _Message) -> list[_Pose]:
    """The poses of a message of transforms or odometry, without those that are none."""
    decoded = message.decoded()
    if message.msgtype == _ODOMETRY:
        pose = decoded.pose.pose
        stated = [(decoded.header, decoded.child_frame_id, pose.position, pose.orientation)]
    else:
        stated = [
            (one.header, one.child_frame_id, one.transform.translation, one.transform.rotation)
            for one in decoded.transforms
        ]
    poses = []
    for header, child, shift, turn in stated:
        metres, quaternion = (shift.x, shift.y, shift.z), (turn.x, turn.y, turn.z, turn.w)
        one = _Pose(header.frame_id.lstrip("/"), child.lstrip("/"), _stamp_ns(header) * _NS, metres, quaternion)
        if one.child and one.child != one.parent and all(map(isfinite, (*metres, *quaternion))) and any(quaternion):
            poses.append(one)
    return poses
