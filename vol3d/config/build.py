"""What a configuration says -> validated settings -> a task; a fault names the file and line, or the word, at fault."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from vol3d import catalog
from vol3d.config.chosen import MARK, settings_type
from vol3d.config.yaml import Document, Key, dotted, overridden, read, written
from vol3d.errors import UsageError
from vol3d.words import ELSEWHERE, SHORT

if TYPE_CHECKING:
    from vol3d.engine.task import TrainingTask

SettingsType = TypeVar("SettingsType", bound=BaseModel)


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
            path = (*path, _tag(detail))
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
    """What is at fault, and a hint that faults of one place are joined by."""
    name, kind = dotted(path), detail["type"]
    match kind:
        case "missing" if isinstance(path[-1], int):
            return f"'{dotted(path[:-1])}' has too few values, got {path[-1]}", ""
        case "missing" | "union_tag_not_found":
            return f"missing setting '{name}'", ""
        case "extra_forbidden":
            near = _nearest(schema, path, values)
            return f"unknown setting '{name}'", f"; did you mean '{near}'?" if near else ""
        case "union_tag_invalid":
            return _not_allowed(name, detail["input"].get(_tag(detail)), detail["ctx"]["expected_tags"])
        case "literal_error":
            return _not_allowed(name, detail["input"], detail["ctx"]["expected"])
        case "value_error":
            return f"'{name}': " if name else "", detail["msg"].removeprefix("Value error, ")
    return f"'{name}' ", f"{detail['msg'].replace('Input should', 'should')}, got {detail['input']!r}"


def _nearest(schema: dict[str, Any], path: Key, values: Any) -> str | None:
    """What the writer of an unknown setting may have meant.

    A name like it beside it, what another toolbox's name is called here, or the same name in another section.
    """
    word = str(path[-1])
    if near := difflib.get_close_matches(word, _names(schema, schema, path[:-1], values), n=1):
        return dotted((*path[:-1], near[0]))
    if word in ELSEWHERE or word in SHORT:
        return ELSEWHERE.get(word) or SHORT[word]
    sections = _names(schema, schema, (), values)
    there = (f"{section}.{word}" for section in sections if word in _names(schema, schema, (section,), values))
    return next(there, None)


def _tag(detail: Any) -> str:
    """The setting that decides between the members of a union, or the function of its name that finds it."""
    return str(detail["ctx"]["discriminator"]).strip("'()")


def _not_allowed(name: str, got: Any, allowed: str) -> tuple[str, str]:
    near = difflib.get_close_matches(str(got), re.findall(r"'([^']*)'", allowed), n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"choose from {allowed}"
    return f"'{name}' cannot be {got!r}; ", hint


def _names(root: dict[str, Any], schema: dict[str, Any], path: Key, values: Any) -> list[str]:
    """Settings that the JSON schema knows at `path`; of a union only the member that the document names."""
    schema = _followed(root, schema)
    given = values if isinstance(values, dict) else {}
    if MARK in schema:
        if "name" not in given:
            return []
        kind = settings_type(schema[MARK][0], given["name"])
        root = schema = kind.model_json_schema()
    if members := schema.get("oneOf", schema.get("anyOf", schema.get("allOf"))):
        return [name for member in members for name in _names(root, member, path, values)]
    properties = schema.get("properties", {})
    if any(_is_another(properties.get(tag, {}), given.get(tag)) for tag in ("name", "kind")):
        return []
    if not path:
        return list(properties)
    if isinstance(path[0], int):
        return _names(root, schema.get("items", {}), path[1:], values[path[0]])
    return _names(root, properties.get(path[0], {}), path[1:], given.get(path[0]))


def _followed(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference leads to."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def _is_another(tag: dict[str, Any], given: Any) -> bool:
    """Whether a document names another member of a union than the one whose constant tag has this schema."""
    const = tag.get("const")
    return const is not None and (tag.get("default", const) if given is None else given) != const


def changed(settings: SettingsType, words: Sequence[str], source: str) -> SettingsType:
    """The settings with some replaced by `key.path=value` words; raises as `build` does."""
    return build(overridden(Document(source, settings.model_dump(mode="json"), {}), words), type(settings))


def load_task(path: str | Path, overrides: Sequence[str] = ()) -> TrainingTask:
    """The task that a configuration describes; `model.name` finds it in the catalogue.

    Raises:
        UsageError: the file or one of its settings is wrong.
    """
    return make_task(read(path, overrides))


def load_distillation(path: str | Path, overrides: Sequence[str] = ()) -> TrainingTask:
    """The task of a student's recipe with a teacher under `distill`; raises as `load_task` does."""
    return make_task(read(path, overrides), catalog.DISTILLED)


def make_task(document: Document, tasks: Mapping[str, str] = catalog.TASKS) -> TrainingTask:
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
    return written(settings.model_dump(mode="json"))
