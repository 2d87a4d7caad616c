"""Write docs/configuration.md from the schema in app/settings.py, or check that it is fresh. Knows Markdown.

python docs/generate_configuration.py            write the page
python docs/generate_configuration.py --check    exit with status 1 if the committed page is stale
"""

import argparse
import json
import sys
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from app.settings import Settings

HERE = Path(__file__).parent
PAGE = HERE / "configuration.md"
EXAMPLE = HERE / "example.yaml"

WITHOUT_EFFECT: dict[str, str] = {}
"""Keys that are accepted and validated, so that a configuration written by the contract loads, but change nothing.

tests/docs/test_docs.py fails when one of them begins to be used.
"""

_HEAD = """\
# Configuration

<!-- Generated from app/settings.py by docs/generate_configuration.py: change the schema and run it again. -->

ThinkGate reads one YAML file: `thinkgate serve --config FILE`. A change of the file counts while the gateway runs
([operations.md](operations.md#start-check-stop)). `thinkgate serve --config FILE --check` validates the file and exits:
status 0 if it can be used, 2 if not, with one line a problem.

## An example

This file, [example.yaml](example.yaml), works as it stands, given `THINKGATE_KEY` in the environment and three vLLM
servers behind it.

```yaml
{example}```

## How the file is read

- `${{NAME}}` in any string is replaced by the environment variable, `${{NAME:-default}}` by the default where the
  variable is unset or empty. One that is missing and has no default is an error. Keep keys in the environment.
- An unknown key is an error, and the message names the nearest known one: `server.prot: unknown key; did you mean
  `port`?`
- Names are checked across sections: a route's pools, profile and family must exist; an alias must not be the model name
  of a pool; a hybrid family takes `pool`, a pair takes `instruct` and `thinking`.
- `NAME` below stands for a name that you choose, `[]` for an element of a list. Times end in `_s` (seconds) or `_ms`
  (milliseconds).
"""

_INERT = "- Keys marked ◌ are accepted and checked but change nothing in this version.\n"

_FAMILIES = """\
A family tells how a backend is told to think or not. [Routing](routing.md#adding-a-family--新增模型家族) describes its
keys; a family of yours with the name of a shipped one replaces it.
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD.format(example=EXAMPLE.read_text(encoding="utf-8")) + (_INERT if WITHOUT_EFFECT else "")]
    for key, field in Settings.model_fields.items():
        model = _model_in(field.annotation)
        if model is None:
            parts.append(f"## `{key}.NAME`\n\n{field.description}\n\n{_FAMILIES}")
            continue
        path = f"{key}.NAME" if _is_mapping(field.annotation) else key
        for where, section in _sections(path, model):
            level = "###" if "[]" in where else "##"
            words = _about(field, section) if section is model else _words(section)
            parts.append(f"{level} `{where}`\n\n{words}\n\n{_table(where, section)}")
    return "\n".join(parts)


def keys() -> Iterator[str]:
    """Every path of the schema, sections included: `server`, `server.port`, `auth.keys[].tenant`, `pools.NAME`."""
    for key, field in Settings.model_fields.items():
        yield key
        model = _model_in(field.annotation)
        path = f"{key}.NAME" if _is_mapping(field.annotation) else key
        if model is None:
            yield path
            continue
        for where, section in _sections(path, model):
            yield where
            yield from (f"{where}.{name}" for name in section.model_fields)


def _sections(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """A section and the sections inside it, with their paths."""
    yield path, model
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _sections(f"{path}.{name}" + ("[]" if get_origin(field.annotation) is list else ""), inner)


def _words(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _about(field: FieldInfo, section: type[BaseModel]) -> str:
    """What a top-level key is for, and whether it must be there."""
    said = field.description or ""
    words = said if _is_mapping(field.annotation) and said else f"{_words(section)} {said}".strip()
    return f"{words} {'Required.' if field.is_required() else 'Optional.'}"


def _table(where: str, section: type[BaseModel]) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        inert = WITHOUT_EFFECT.get(f"{where}.{name}")
        text = (field.description or "") + (f" ◌ No effect yet: {inert}." if inert else "")
        cells = [f"`{name}`", _kind(field.annotation, field.metadata), _default(field), text]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "see below"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{json.dumps(value, ensure_ascii=False)}`" if value != "" else "empty"


def _kind(annotation: Any, metadata: list[Any]) -> str:
    """A type in an operator's words, its limits included."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _kind(inner, [*metadata, *more])
    if origin in (Union, types.UnionType):
        return _kind(next(a for a in get_args(annotation) if a is not type(None)), metadata)
    if origin is Literal:
        return _either([f"`{value}`" for value in get_args(annotation)])
    if origin is list:
        return f"list of {_kind(get_args(annotation)[0], [])}" + (", at least one" if _limits(metadata) else "")
    if origin is dict:
        key, value = get_args(annotation)
        return f"mapping from {_kind(key, [])} to {_kind(value, [])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _either([f"`{member.value}`" for member in annotation])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    words = {bool: "true or false", int: "integer", float: "number", str: "text", SecretStr: "secret text"}
    return words.get(annotation, str(annotation)) + _limits(metadata)


def _either(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _limits(metadata: list[Any]) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits: list[str] = []
    for item in metadata:
        for constraint in (item, *getattr(item, "metadata", ())):
            limits += [
                f"{sign} {value:g}" if isinstance(value, float) else f"{sign} {value}"
                for name, sign in signs.items()
                if (value := getattr(constraint, name, None)) is not None
            ]
            if getattr(constraint, "min_length", None):
                limits.append("not empty")
    return f", {', '.join(limits)}" if limits else ""


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds: itself, or as the values of a mapping or list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg)) is not None), None)


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict


def main() -> int:
    """Write or check; the exit status."""
    parser = argparse.ArgumentParser(description="Write docs/configuration.md from app/settings.py.")
    parser.add_argument("--check", action="store_true", help="only tell whether the committed page is fresh")
    check: bool = parser.parse_args().check
    text = page()
    if not check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/configuration.md is stale: run `python docs/generate_configuration.py`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
