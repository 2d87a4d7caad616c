"""Does a value fit a JSON schema? Knows the keywords below, refuses others: a rule that is not checked is no rule."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: not isinstance(value, bool) and isinstance(value, int | float) and value == int(value),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
_KNOWN: Final = frozenset(
    (
        *("type", "enum", "const", "properties", "required", "additionalProperties", "items", "anyOf", "pattern"),
        *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"),
        *("$schema", "title", "description", "default", "examples"),
    )
)


class SchemaTrouble(ValueError):
    """The schema cannot be used; the message says why."""


def check_schema(schema: Any) -> None:
    """Raises SchemaTrouble for a schema that says more than is checked here, or is none."""
    if not isinstance(schema, dict):
        raise SchemaTrouble("a schema is a JSON object")
    unknown = sorted(set(schema) - _KNOWN)
    if unknown:
        raise SchemaTrouble(f"the schema's keyword `{unknown[0]}` is not supported; use a Python grader for it")
    names = schema.get("type", [])
    for name in [names] if isinstance(names, str) else names:
        if name not in _TYPES:
            raise SchemaTrouble(f"`{name}` is no type of a JSON schema")
    if "pattern" in schema:
        try:
            re.compile(schema["pattern"])
        except (re.error, TypeError) as error:
            raise SchemaTrouble(f"the schema's pattern cannot be used: {error}") from None
    below = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            below.append(schema[name])
    for inner in below:
        check_schema(inner)


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a parsed JSON value fits a schema that `check_schema` took."""
    names = schema.get("type")
    if names is not None and not any(_TYPES[name](value) for name in ([names] if isinstance(names, str) else names)):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "anyOf" in schema and not any(fits(value, one) for one in schema["anyOf"]):
        return False
    if isinstance(value, dict):
        return _object_fits(value, schema)
    if isinstance(value, list):
        inner = schema.get("items")
        return _between(len(value), schema, "minItems", "maxItems") and (
            inner is None or all(fits(one, inner) for one in value)
        )
    if isinstance(value, str):
        whole = _between(len(value), schema, "minLength", "maxLength")
        return whole and ("pattern" not in schema or re.search(schema["pattern"], value) is not None)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _between(value, schema, "minimum", "maximum")
    return True


def _object_fits(value: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    if not all(name in value for name in schema.get("required", ())):
        return False
    for name, inner in value.items():
        rule = properties.get(name, others)
        if rule is False or (isinstance(rule, dict) and not fits(inner, rule)):
            return False
    return True


def _between(size: float, schema: Mapping[str, Any], least: str, most: str) -> bool:
    return bool(schema.get(least, size) <= size <= schema.get(most, size))
