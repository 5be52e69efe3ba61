"""YAML with line numbers: stricter and plainer than YAML 1.1.

`1e-3` is a number, `012` is twelve, `on` and `yes` are text; a key set twice, an alias and a typed tag are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vol3d.config.locate import locate
from vol3d.errors import UsageError
from vol3d.paths import user_path
from vol3d.words import spelled_out

MAX_BYTES = 1 << 20


MAX_DEPTH = 20


Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """What a configuration file says, and where.

    Args:
        source: the file as the reader named it.
        values: nested dicts, lists and scalars, overrides applied.
        places: path of a value, `("model", "patch")` -> `file:line` or the override that set it.
    """

    source: str
    values: dict[str, Any]
    places: dict[Key, str]

    def place(self, path: Key) -> str:
        """Where `path` was set, or the nearest setting above it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.source)


def read(path: str | Path, overrides: Sequence[str] = ()) -> Document:
    """Reads a YAML file or a shipped recipe by name, and applies `key.path=value` or short words to it.

    Raises:
        UsageError: no such file, not YAML, or an override that does not fit; names `file:line`.
    """
    file = locate(str(path))
    source = str(path) if file == user_path(path) else str(file)
    try:
        content = file.read_bytes()[: MAX_BYTES + 1]
        if len(content) > MAX_BYTES:
            raise UsageError("the configuration is too large", where=source, wanted=f"<= {MAX_BYTES} bytes")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read the file ({error.strerror})", where=source) from error
    except UnicodeDecodeError as error:
        raise UsageError("not a text file (UTF-8)", where=source) from error
    places: dict[Key, str] = {}
    values = _parse(text, source, places, ())
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise UsageError("a configuration is a mapping of settings", where=source, got=type(values).__name__)
    return overridden(Document(source, values, places), spelled_out(overrides))


def from_words(words: Sequence[str]) -> Document:
    """A document of `key.path=value` words alone, for verbs without a configuration file; raises as `read` does."""
    return overridden(Document("the command line", {}, {}), words)


class _Loader(yaml.SafeLoader):
    """Scalars by the core schema of YAML 1.2, with exponents and digit groups as Python reads them."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML wants a plain class attribute)


_NUMBER = "0123456789+-."


_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"


_BOOL, _NULL, _TEXT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null", "tag:yaml.org,2002:str"


_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?\d+(_\d+)*\Z"), list(_NUMBER))


_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"[-+]?((\d+(_\d+)*\.?\d*|\.\d+)([eE][-+]?\d+)?|\.(inf|Inf|INF))\Z|\.(nan|NaN|NAN)\Z"),
    list(_NUMBER),
)


_Loader.add_implicit_resolver(_BOOL, re.compile(r"(true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))


_Loader.add_implicit_resolver(_NULL, re.compile(r"(~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])


class _Dumper(yaml.SafeDumper):
    """Quotes a text that YAML 1.1 (`on`) or `_Loader` (`0E0`) would read as something else."""

    yaml_implicit_resolvers: dict[str, Any] = {  # noqa: RUF012 (as above)
        first: [
            *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
            *_Loader.yaml_implicit_resolvers.get(first, []),
        ]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_Loader.yaml_implicit_resolvers}
    }


def written(values: Any) -> str:
    """Values as YAML that `read` gives back."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def in_a_row(value: Any) -> str:
    """One value as it stands behind its key, lists and mappings in brackets; a long one goes on in indented lines.

    >>> in_a_row({"low": -57.0, "names": ["on", "liver"]})
    "{low: -57.0, names: ['on', liver]}"
    """
    text = yaml.dump([value], Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=True)
    return text.strip()[1:-1]


def _parse(text: str, source: str, places: dict[Key, str], path: Key, line: bool = True) -> Any:
    """The value of a YAML text; fills `places` with `source:line` of each setting (`source` alone without `line`)."""

    def where(mark: Any) -> str:
        return f"{source}:{mark.line + 1}" if line and mark is not None else source

    try:
        depth = 0
        for event in yaml.parse(text, _Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise UsageError("nested too deeply", where=where(event.start_mark), wanted=f"<= {MAX_DEPTH} levels")
            if isinstance(event, yaml.AliasEvent):
                raise UsageError(f"aliases (*{event.anchor}) are not supported", where=where(event.start_mark))
        node = yaml.compose(text, _Loader)
        return None if node is None else _value(node, path, places, where)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError(f"not valid YAML: {problem}", where=where(mark)) from error


def _value(node: yaml.Node, path: Key, places: dict[Key, str], where: Any) -> Any:
    place = where(node.start_mark)
    places.setdefault(path, place)
    if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
        return dict(_items(node, path, places, where))
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        return [_value(item, (*path, i), places, where) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, place)
    raise UsageError(f"typed values ({node.tag}) are not supported", where=place)


def _items(node: yaml.MappingNode, path: Key, places: dict[Key, str], where: Any) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for key_node, value_node in node.value:
        place = where(key_node.start_mark)
        if not isinstance(key_node, yaml.ScalarNode):
            raise UsageError("a setting's name must be a word", where=place)
        key = key_node.value
        if key in seen:
            raise UsageError(f"'{dotted((*path, key))}' is set twice", where=place)
        seen.add(key)
        below = (*path, key)
        places[below] = place
        yield key, _value(value_node, below, places, where)


def _scalar(node: yaml.ScalarNode, place: str) -> Any:
    text = node.value
    try:
        if node.tag == _TEXT:
            return text
        if node.tag == _NULL:
            return None
        if node.tag == _BOOL:
            return text.lower() == "true"
        if node.tag == _INT:
            return int(text)
        if node.tag == _FLOAT:
            number = float(text if text[-1:].isdigit() else re.sub(r"\.(?=\D)", "", text))
            if math.isfinite(number):
                return number
            raise UsageError("a number must be finite", where=place, got=text)
    except ValueError as error:
        raise UsageError("not a number", where=place, got=repr(text)) from error
    raise UsageError(f"typed values ({node.tag}) are not supported", where=place)


def overridden(document: Document, words: Sequence[str]) -> Document:
    """The document with `key.path=value` words applied, in place."""
    for word in words:
        _override(document, word)
    return document


def _override(document: Document, word: str) -> None:
    """Applies `key.path=value` in place; the value is YAML, `train.lr=1e-3`, `model.patch=[8, 8, 8]`."""
    key, equals, text = word.partition("=")
    parts = tuple(key.strip().split("."))
    where = f"'{word}'"
    if not equals or not all(parts):
        raise UsageError("an override reads key.path=value", where=where)
    target = document.values
    for depth, part in enumerate(parts[:-1], 1):
        if part not in target:
            document.places[parts[:depth]] = where
        below = target.setdefault(part, {})
        if not isinstance(below, dict):
            what = f"'{dotted(parts[:depth])}' is a value and has no settings below it"
            raise UsageError(what, where=where, do="`vol3d config RECIPE --all` prints every setting.")
        target = below
    stale = [path for path in document.places if path[: len(parts)] == parts]
    for path in stale:
        del document.places[path]
    document.places[parts] = where
    target[parts[-1]] = _parse(text, where, document.places, parts, line=False)


def dotted(path: Key) -> str:
    """`("model", "patch", 0)` -> `model.patch.0`."""
    return ".".join(map(str, path))
