"""What all tables of the configuration share: closed keys, strict types, and holes where mistakes were found."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, field_validator
from pydantic_core import CoreSchema, core_schema


class _Hole:
    """What stands where a mistake was found, so that the rules can judge the rest. True, and equal to itself alone."""

    def __repr__(self) -> str:
        return "HOLE"


HOLE: Any = _Hole()


def known(*values: Any) -> bool:
    """Return whether none of the values is a hole."""
    return HOLE not in values


class Table(BaseModel):
    """What all tables share: unknown keys are mistakes, types are never guessed, values stay as they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _keep_holes(cls, value: Any, read: Callable[[Any], Any]) -> Any:
        return value if value is HOLE else read(value)


def written(default: str | int, description: str) -> Any:
    """Return a field whose default is read as if an operator had written it."""
    return Field(default=default, validate_default=True, description=description)


class OneOrMore:
    """A list that may be written as the one value that it holds, as pydantic wants it in `Annotated`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        several = handler(schema)
        return {"anyOf": [several["items"], several]}

    @staticmethod
    def _listed(value: Any) -> Any:
        return [value] if isinstance(value, str | int) else value
