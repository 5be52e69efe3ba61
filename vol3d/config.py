"""Configuration files: YAML with line numbers -> validated settings -> a task.

Stricter and plainer than YAML 1.1: `1e-3` is a number, `012` is twelve, `on` and `yes` are text; a key set twice, an
alias and a typed tag are refused. A fault names the file and line, or the word of the command line, that caused it.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from vol3d import catalog
from vol3d.errors import UsageError

if TYPE_CHECKING:
    from vol3d.engine.task import Task

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
Key = tuple[str | int, ...]
SettingsType = TypeVar("SettingsType", bound=BaseModel)


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


def recipes() -> dict[str, Path]:
    """Name -> file of every configuration that is shipped; the name is the file's path without `.yaml`."""
    here = Path(__file__).resolve().parent
    folder = next((f for f in (here / "configs", here.parent / "configs") if f.is_dir()), None)
    if folder is None:
        return {}
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in sorted(folder.rglob("*.yaml"))}


def read(path: str | Path, overrides: Sequence[str] = ()) -> Document:
    """Reads a YAML file or a shipped recipe by name, and applies `key.path=value` words to it.

    Raises:
        UsageError: no such file, not YAML, or an override that does not fit; names `file:line`.
    """
    file = _locate(str(path))
    source = str(path) if Path(path).is_file() else str(file)
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
    return _overridden(Document(source, values, places), overrides)


def from_words(words: Sequence[str]) -> Document:
    """A document of `key.path=value` words alone, for verbs without a configuration file; raises as `read` does."""
    return _overridden(Document("the command line", {}, {}), words)


def _locate(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path
    shipped = recipes()
    asked = name.removesuffix(".yaml").removeprefix("configs/")
    by_stem = {key.rsplit("/", 1)[-1]: file for key, file in shipped.items()}
    if found := shipped.get(asked) or by_stem.get(asked):
        return found
    near = difflib.get_close_matches(asked, [*shipped, *by_stem], n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Shipped recipes: {', '.join(shipped) or 'none'}."
    raise UsageError("no such configuration file or recipe", where=name, do=hint)


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
            raise UsageError(f"'{_dotted((*path, key))}' is set twice", where=place)
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


def _overridden(document: Document, words: Sequence[str]) -> Document:
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
            raise UsageError(f"'{_dotted(parts[:depth])}' is a value and has no settings below it", where=where)
        target = below
    stale = [path for path in document.places if path[: len(parts)] == parts]
    for path in stale:
        del document.places[path]
    document.places[parts] = where
    target[parts[-1]] = _parse(text, where, document.places, parts, line=False)


def build(document: Document, kind: type[SettingsType]) -> SettingsType:
    """Validates a document as `kind`; types are strict, so `"4"` is no number and `1` is no truth value.

    Raises:
        UsageError: every fault, one a line: unknown (with the nearest name), missing, of a wrong type or out of range.
    """
    try:
        return kind.model_validate_json(json.dumps(document.values), strict=True)
    except ValidationError as error:
        _report(document, kind, error)


def _report(document: Document, kind: type[BaseModel], error: ValidationError) -> NoReturn:
    faults: dict[tuple[str, str], list[str]] = {}
    schema = kind.model_json_schema()
    for detail in error.errors(include_url=False):
        path = _document_path(detail["loc"], document.values, detail["type"] == "missing")
        if detail["type"].startswith("union_tag"):
            path = (*path, "name")
        what, sentence = _sentence(detail, path, schema, document.values)
        faults.setdefault((document.place(path), what), []).append(sentence)
    (place, what), sentences = next(iter(faults.items()))
    rest = [f"{p}: {w}{' or '.join(dict.fromkeys(s))}" for (p, w), s in list(faults.items())[1:]]
    raise UsageError("\n".join([what + " or ".join(dict.fromkeys(sentences)), *rest]), where=place) from error


def _document_path(loc: tuple[str | int, ...], values: Any, missing: bool) -> Key:
    """Pydantic's location without the names that it inserts for the members of a union."""
    path: list[str | int] = []
    for i, part in enumerate(loc):
        known = values if isinstance(values, dict) else range(len(values)) if isinstance(values, list) else ()
        if part in known:
            path.append(part)
            values = values[part]
        elif missing and i == len(loc) - 1:
            path.append(part)
    return tuple(path)


def _sentence(detail: Any, path: Key, schema: dict[str, Any], values: Any) -> tuple[str, str]:
    name, kind = _dotted(path), detail["type"]
    if kind == "missing" and isinstance(path[-1], int):
        return f"'{_dotted(path[:-1])}' has too few values, got {path[-1]}", ""
    if kind == "missing":
        return f"missing setting '{name}'", ""
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), _names(schema, schema, path[:-1], values), n=1)
        return f"unknown setting '{name}'", f"; did you mean '{near[0]}'?" if near else ""
    if kind == "union_tag_not_found":
        return f"missing setting '{name}'", ""
    if kind in {"union_tag_invalid", "literal_error"}:
        got = detail["input"].get("name") if kind == "union_tag_invalid" else detail["input"]
        allowed = detail["ctx"]["expected_tags" if kind == "union_tag_invalid" else "expected"]
        near = difflib.get_close_matches(str(got), re.findall(r"'([^']*)'", allowed), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"choose from {allowed}"
        return f"'{name}' cannot be {got!r}; ", hint
    if kind == "value_error":
        return f"'{name}': " if name else "", detail["msg"].removeprefix("Value error, ")
    return f"'{name}' ", f"{detail['msg'].replace('Input should', 'should')}, got {detail['input']!r}"


def _names(root: dict[str, Any], schema: dict[str, Any], path: Key, values: Any) -> list[str]:
    """Settings that the JSON schema knows at `path`; of a union only the member whose `name` is the document's."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    members = schema.get("oneOf") or schema.get("anyOf") or schema.get("allOf")
    if members:
        return [name for member in members for name in _names(root, member, path, values)]
    properties = schema.get("properties", {})
    name = properties.get("name", {}).get("const")
    if name is not None and values.get("name", name) != name:
        return []
    if not path:
        return list(properties)
    below = schema.get("items", {}) if isinstance(path[0], int) else properties.get(path[0], {})
    return _names(root, below, path[1:], values[path[0]])


def _dotted(path: Key) -> str:
    return ".".join(map(str, path))


def changed(settings: SettingsType, words: Sequence[str], source: str) -> SettingsType:
    """The settings with some replaced by `key.path=value` words; raises as `build` does."""
    return build(_overridden(Document(source, settings.model_dump(mode="json"), {}), words), type(settings))


def load_task(path: str | Path, overrides: Sequence[str] = ()) -> Task:
    """The task that a configuration describes; `model.name` finds it in the catalogue.

    Raises:
        UsageError: the file or one of its settings is wrong.
    """
    return make_task(read(path, overrides))


def load_distillation(path: str | Path, overrides: Sequence[str] = ()) -> Task:
    """The task of a student's recipe with a teacher under `distill`; raises as `load_task` does."""
    return make_task(read(path, overrides), catalog.DISTILLED)


def make_task(document: Document, tasks: Mapping[str, str] = catalog.TASKS) -> Task:
    """The task of a document that was read before, see `load_task`; of those in `tasks`."""
    model = document.values.get("model")
    name = model.get("name") if isinstance(model, dict) else None
    place = document.place(("model", "name"))
    if not isinstance(name, str):
        raise UsageError("missing setting 'model.name'", where=place, do=f"Known: {', '.join(catalog.MODELS)}.")
    try:
        entry = catalog.find(name, catalog.MODELS, "model")
    except UsageError as error:
        raise UsageError(error.what, where=place, do=error.do) from None
    if entry.task not in tasks:
        raise UsageError(f"no models of {entry.task} here", where=place, got=name, wanted=f"one of {', '.join(tasks)}")
    task_type = catalog.load(tasks[entry.task])
    taught, teacher = "distill" in task_type.settings_type.model_fields, "distill" in document.values
    if taught and not teacher:
        raise UsageError("no teacher", where="distill", do="Give distill.teacher=CHECKPOINT.")
    if teacher and not taught:
        where = document.place(("distill",))
        raise UsageError("a student's configuration, with a teacher", where=where, do="Use `vol3d distill`.")
    return task_type(build(document, task_type.settings_type))


def dump(settings: BaseModel) -> str:
    """All settings as YAML, defaults written out; `read` and `build` give the same settings back."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
