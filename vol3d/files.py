"""Files that appear whole or not at all, strict JSON and hashes.

Everything that the package writes goes through `atomic`: a temporary file beside the target, flushed to the disk, then
renamed over it. A process killed at any moment leaves the old file or the new one, and at worst a hidden temporary that
`remove_leftovers` removes. Faults of the disk become one `Vol3dError` that names the file and the way out.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import platform
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.paths import user_path
from vol3d.printable import printable_json

TEMPORARY = ".vol3d-tmp-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_open: set[Path] = set()


_NO_FILE = {
    stat.S_IFDIR: "a folder, not a file",
    stat.S_IFIFO: "a named pipe, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}
_PIPE_DO = "Write its content to a file first."


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path to write to; it becomes `path` when the block ends well and vanishes when it does not.

    The temporary lies in the same folder and ends in the same suffixes, since writers choose the format by them.

    Raises:
        Vol3dError: the folder is missing or read-only, the disk is full, the target is a folder.
    """
    target = user_path(path)
    if not target.parent.is_dir():
        raise Vol3dError("no such folder", where=target.parent, do="Create it first.")
    suffixes = "".join(target.suffixes[-2:])[-32:]
    temporary = target.parent / f"{TEMPORARY}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}{suffixes}"
    _open.add(temporary)
    try:
        with temporary.open("xb") as file:
            mode = os.fstat(file.fileno()).st_mode
        yield temporary
        temporary.chmod(mode)  # safetensors makes its files private
        _flush(temporary)
        temporary.replace(target)
        _flush_folder(target.parent)
    except Vol3dError:
        raise
    except Exception as error:
        explain(error, target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        _open.discard(temporary)


def promote(part: Path, target: Path) -> None:
    """Gives a file that grew under another name, perhaps in several processes, its own: it is whole now.

    Raises:
        Vol3dError: the disk or the folder is at fault.
    """
    try:
        _flush(part)
        part.replace(target)
        _flush_folder(target.parent)
    except OSError as error:
        explain(error, target)


def remove_own_temporaries() -> None:
    """Removes what this process is writing; only for a process that is about to end without unwinding."""
    for temporary in [*_open]:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_folder(path: str | os.PathLike[str], do: str = "Choose another one.") -> Path:
    """The folder `path`, made with its parents if it is not there.

    Raises:
        Vol3dError: it cannot be made, or is a file; `do` is what the reader is advised to do then.
    """
    folder = user_path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Vol3dError("cannot make the folder", where=folder, got=error.strerror, do=do) from error
    return folder


def explain(error: Exception, path: Path) -> NoReturn:
    """Raises what went wrong while writing `path` in the reader's words; `error` itself if the disk is not to blame."""
    number = next(filter(None, map(_number, _chain(error))), None)
    if number in _FULL or (number is None and is_full(path.parent)):
        do = "Free some space or choose another folder; nothing was left behind."
        raise Vol3dError("the disk is full, the file was not written", where=path, do=do) from error
    if number in _REFUSED:
        raise Vol3dError("no permission to write here", where=path, do="Choose another folder.") from error
    if number is not None:
        raise Vol3dError(f"cannot write the file ({os.strerror(number)})", where=path) from error
    raise error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))  # how safetensors passes it on
    return int(found[1]) if found else None


def is_full(folder: Path) -> bool:
    """Whether nothing more can be written there."""
    # torch.save to a path hides the operating system's error number when a write fails.
    return shutil.disk_usage(folder).free < 1 << 16


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder cannot be opened there, and the rename is journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_file(path: str | os.PathLike[str], kind: type[Vol3dError] = DataError, do: str | None = None) -> Path:
    """`user_path(path)`, if it is a regular file that may be read; asked first, since to open a pipe waits for ever.

    Args:
        kind: the error that is raised.
        do: what the reader is advised to do where there is no such file.

    Raises:
        Vol3dError: no such file, no permission; a folder, named pipe, socket or device.
    """
    source = user_path(path)
    try:
        mode = source.stat().st_mode
    except FileNotFoundError as error:
        raise kind("no such file", where=source, do=do) from error
    except (OSError, ValueError) as error:  # a zero byte in the name is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise kind(f"cannot read the file ({reason})", where=source) from error
    if not stat.S_ISREG(mode):
        instead = do if stat.S_ISDIR(mode) else _PIPE_DO
        raise kind(_NO_FILE.get(stat.S_IFMT(mode), "not a regular file"), where=source, do=instead)
    if not os.access(source, os.R_OK):
        raise kind("no permission to read the file", where=source)
    return source


def is_there(path: Path) -> bool:
    """Whether anything has this name, be it a pipe or a link that leads nowhere: a file that may be absent is then
    read, and refused if it is none.
    """
    return path.is_symlink() or path.exists()


def read_text(path: str | os.PathLike[str], do: str | None = None, errors: str = "strict") -> str:
    """The text of a file in UTF-8, without the mark that it may begin with.

    Args:
        do: what the reader is advised to do where it cannot be read.
        errors: what becomes of bytes that are no UTF-8, as in `bytes.decode`.

    Raises:
        DataError: what `require_file` raises; not UTF-8, or the disk cannot read it.
    """
    source = require_file(path, do=do)
    try:
        return source.read_text(encoding="utf-8-sig", errors=errors)
    except OSError as error:
        raise DataError(f"cannot read the file ({error.strerror})", where=source, do=do) from error
    except UnicodeDecodeError as error:
        raise DataError("the text is not UTF-8", where=source, do=do) from error


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes `content` atomically."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(content)


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Writes `content` atomically as UTF-8 with `\\n` line ends; bytes of file names that are no UTF-8 stay."""
    write_bytes(path, content.encode(errors="surrogateescape"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` atomically as indented JSON; NaN and infinity are no JSON and raise `ValueError`.

    Each key of an object has a line, and each item of a list that is an object or a list itself: a box, a matrix's row.
    """
    write_text(path, printable_json(_indented(value, "\n")) + "\n")


def _indented(value: Any, margin: str) -> str:
    """The items of lists are encoded in C, which `json` does for what is not indented only."""
    if isinstance(value, dict) and value:
        ends, lines = (
            "{}",
            [f"{_dumps({key: 0})[1:-4]}: {_indented(item, margin + '  ')}" for key, item in value.items()],
        )
    elif isinstance(value, (list, tuple)) and any(isinstance(item, (dict, list, tuple)) for item in value):
        ends, lines = "[]", [_dumps(item) for item in value]
    else:
        return _dumps(value)
    return ends[0] + margin + "  " + f",{margin}  ".join(lines) + margin + ends[1]


_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def write_array(path: str | os.PathLike[str], array: Any) -> None:
    """Writes a NumPy array as `.npy`, whole or not at all."""
    import io

    import numpy as np

    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    write_bytes(path, content.getvalue())


def plain(value: Any) -> Any:
    """A value as JSON can have it: null for NaN and infinity, texts for paths and whatever else it does not know.

    >>> plain({"dice": (0.5, float("nan")), 3: Path("scan.nrrd")})
    {'dice': [0.5, None], '3': 'scan.nrrd'}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def read_json(
    path: str | os.PathLike[str],
    max_bytes: int = 64 << 20,
    pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """The value in a JSON file that is not trusted.

    `pairs_hook` makes a value of the keys and values of each object, inner ones first; it decides about keys that are
    there twice, which are refused without it.

    Raises:
        DataError: missing, larger than `max_bytes`, not UTF-8, not JSON, nested too deeply, with NaN or infinity, or
            with a key twice in one object.
    """
    source = require_file(path)
    size = source.stat().st_size
    if size > max_bytes:
        raise DataError("the JSON file is too large", where=source, got=f"{size} bytes", wanted=f"<= {max_bytes}")
    text = read_text(source)
    try:
        return json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=pairs_hook or _unique,
        )
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg}", where=f"{source}:{error.lineno}") from error
    except RecursionError as error:
        raise DataError("the JSON is nested too deeply", where=source) from error
    except ValueError as error:
        raise DataError(f"not JSON: {error}", where=source) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; one of two values of a key would be lost in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for number, key in enumerate(keys) if key in keys[:number])
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is outside the range of a number")
    return value


def _whole(text: str) -> int:
    if len(text) > 300:  # it may be more than float64 can hold
        _finite(text)
    return int(text)


def sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces of 1 MiB; raises as `require_file`."""
    digest = hashlib.sha256()
    with require_file(path).open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def remove_leftovers(folder: str | os.PathLike[str], of_the_dead: bool = False) -> None:
    """Removes temporaries that a killed process left in `folder`.

    Args:
        of_the_dead: only those of processes of this machine that have ended, where other processes may write; else all.
    """
    for leftover in Path(folder).glob(f"{TEMPORARY}*"):
        if not of_the_dead or _is_of_the_dead(leftover.name):
            with suppress(OSError):
                leftover.unlink()


def _is_of_the_dead(name: str) -> bool:
    machine, pid, *_ = (*name.removeprefix(TEMPORARY).split("-"), "", "")
    if machine != _machine() or not pid.isdecimal() or os.name == "nt":  # there a signal 0 is Ctrl-C
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _machine() -> str:
    """A short word for this machine, in which folders on a shared disk tell temporaries of different machines apart."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def refuse_overwrite(path: Path, source: Path | None) -> None:
    """Raises UsageError if writing `path` would replace the scan itself."""
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise UsageError("the output would overwrite the input", where=path, do="Choose another name.")
