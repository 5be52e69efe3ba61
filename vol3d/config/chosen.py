"""Settings whose type is found by their `name`: the catalogue decides which one module is imported."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import PydanticKnownError, core_schema

from vol3d import catalog
from vol3d.errors import CheckpointError

MARK = "x-catalogue"
"""Of a JSON schema: what stands here is one of the settings that `members` finds."""


LATER = "data_later"
"""In the context of a validation: settings of data sets stay `Unread`."""


@dataclass(frozen=True)
class Unread:
    """Settings that were not looked at yet: a checkpoint predicts without the data set that it was trained on."""

    table: str
    values: dict[str, Any]

    def read(self) -> BaseModel:
        """The settings.

        Raises:
            CheckpointError: they do not fit this release.
        """
        try:
            return _strictly(settings_type(self.table, self.values["name"]), self.values)
        except ValidationError as error:
            what = f"its settings of the data set do not fit this release: {error}"
            raise CheckpointError(what, where="data") from error

    def model_dump(self, mode: str) -> dict[str, Any]:
        """As of settings."""
        return self.values


class FromCatalogue:
    """Annotates a field: `model: Annotated[Settings, FromCatalogue("models", "lidar")]`.

    Args:
        table: of the catalogue.
        task: only what this task runs is allowed.
    """

    def __init__(self, table: Literal["models", "datasets"], task: str) -> None:
        self.table, self.task = table, task

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(_dump, info_arg=True)
        return core_schema.with_info_plain_validator_function(self._validate, serialization=written)

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {MARK: [self.table, self.task]}

    def _validate(self, value: Any, info: ValidationInfo) -> BaseModel | Unread:
        known = members(self.table, self.task)
        name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)

        if name is None:
            raise PydanticKnownError("union_tag_not_found", {"discriminator": "'name'"})
        if name not in known:
            tags = ", ".join(f"'{one}'" for one in known)
            raise PydanticKnownError(
                "union_tag_invalid", {"discriminator": "'name'", "tag": name, "expected_tags": tags}
            )

        if self.table == "datasets" and info.context and LATER in info.context:
            return Unread(self.table, value)
        kind = settings_type(self.table, name)
        if info.mode == "json":
            return _strictly(kind, value)
        return kind.model_validate(value)


def members(table: str, task: str) -> list[str]:
    """Names in a table of the catalogue that a task runs."""
    return [name for name, entry in catalog.TABLES[table].items() if task in entry.tasks]


def settings_type(table: str, name: str) -> type[BaseModel]:
    """The settings class behind a name; imports its module and no other."""
    return catalog.load(catalog.TABLES[table][name].target)


def _strictly(kind: type[BaseModel], values: dict[str, Any]) -> BaseModel:
    """As a configuration file's: `"4"` is no number, and a list is read as the tuple that it becomes."""
    return kind.model_validate_json(json.dumps(values), strict=True)


def _dump(value: BaseModel | Unread, info: core_schema.SerializationInfo) -> dict[str, Any]:
    return value.model_dump(mode=info.mode)
