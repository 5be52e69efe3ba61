"""What the words of a bundle's configuration stand for, where they are no plain values: parts, calls and names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vol3d.errors import CheckpointError

CODE = "vol3d runs no code of a bundle: it interprets the parts and expressions that it knows."


@dataclass(frozen=True)
class Name:
    """A name that is only passed on or compared: `torch.float32`, a device."""

    text: str


@dataclass(frozen=True)
class TorchScript:
    """`torch.jit.load(path)`: a program, which is not loaded."""

    path: str


@dataclass(frozen=True, eq=False)
class Function:
    """A lambda of the configuration; calling it interprets its body.

    Args:
        text: as the configuration has it.
        call: interprets the body with these arguments.
        numbers: the constants in its body.
    """

    text: str
    call: Callable[..., Any]
    numbers: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Component:
    """An object that the configuration describes by `_target_`; equal only to itself, as references to it are.

    Args:
        target: the class as the configuration names it.
        where: file and id of the entry, for messages.
        words: the arguments as they stand there.
        resolve: the value of an argument; what is never asked for is never interpreted.
    """

    target: str
    where: str
    words: Mapping[str, Any]
    resolve: Callable[[str], Any] = field(repr=False)

    @property
    def name(self) -> str:
        """The class without its module."""
        return self.target.rsplit(".", 1)[-1]

    def refused(self, what: str, **facts: Any) -> CheckpointError:
        """The error that names this part."""
        return CheckpointError(f"{self.name}: {what}", where=self.where, **facts)


@dataclass(frozen=True, eq=False)
class Called:
    """A component that the workflow calls: `@evaluator.run()` has the method `run`, `@loader(@evaluator)` none."""

    component: Component
    method: str | None = None


class Arguments:
    """The arguments of a component, taken one by one, so that none is overlooked."""

    def __init__(self, component: Component) -> None:
        self.component = component
        self._rest = dict.fromkeys(component.words)

    def take(self, name: str, default: Any = None) -> Any:
        """The value of an argument, or `default` where it is not given."""
        if name not in self._rest:
            return default
        del self._rest[name]
        return self.component.resolve(name)

    def drop(self, *names: str) -> None:
        """Arguments that cannot change a mask."""
        for name in names:
            self._rest.pop(name, None)

    def only(self, name: str, *allowed: Any) -> None:
        """Takes an argument of which one or a few values are supported.

        Raises:
            CheckpointError: it has another.
        """
        value = self.take(name, allowed[0])
        if not any(value is one or (type(value) is type(one) and value == one) for one in allowed):
            wanted = " or ".join(str(one) for one in allowed)
            raise self.component.refused(f"{name} of this value is not supported", got=value, wanted=wanted)

    def require(self, name: str) -> Any:
        """The value of an argument that must be there."""
        if name not in self._rest:
            raise self.component.refused(f"has no argument '{name}'")
        return self.take(name)

    def rest(self) -> Iterator[str]:
        """Names of what was not taken yet."""
        return iter(tuple(self._rest))

    def done(self) -> None:
        """Raises CheckpointError for an argument that nobody took."""
        if self._rest:
            raise self.component.refused("an argument that is not supported", got=", ".join(self._rest))


def path_within(root: Path, text: str, where: str) -> Path:
    """A path of the configuration as a file below the bundle's folder.

    Raises:
        CheckpointError: it leads elsewhere.
    """
    path = (root / text).resolve()
    if not path.is_relative_to(root.resolve()):
        raise CheckpointError("a file outside of the bundle", where=where, got=text, wanted="a file in its folder")
    return path


def is_plain(value: Any) -> bool:
    """Whether a value is a number, a text, a truth value, none, or lists and mappings of these."""
    if isinstance(value, list | tuple):
        return all(is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str | int) and is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, bool | int | float | str)
