"""From a YAML file to settings: environment variables, the nearest known key for a typo, errors that name the field."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from app.settings import Settings
from router.family import load_families

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class ConfigError(Exception):
    """The configuration cannot be used; the message has one line a problem, each naming its field and the fix."""


def load_settings(path: str | Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read, expand and validate the file; raises ConfigError with every problem found."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(f"{path}: {where}not YAML: {getattr(error, 'problem', error)}") from error
    except (ValueError, RecursionError) as error:  # PyYAML makes dates of what looks like one
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigError(f"{path}: not YAML that can be used: {why}") from error
    try:
        return parse_settings(data, os.environ if environ is None else environ)
    except ConfigError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from error


def parse_settings(data: Any, environ: Mapping[str, str]) -> Settings:
    """Expand `${NAME}` and `${NAME:-default}` in every string, then validate."""
    if not isinstance(data, dict):
        raise ConfigError("the configuration must be a mapping with at least `pools` and `routes`")
    missing: list[str] = []
    try:
        data = _expand(data, environ, missing, "")
    except RecursionError as error:
        raise ConfigError("the configuration holds itself (an alias within its own anchor), or is too deep") from error
    if missing:
        raise ConfigError("\n".join(missing))
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(problem) for problem in error.errors())) from error
    try:
        families = load_families(settings.families)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"families: {error}") from error
    for alias, route in settings.routes.items():
        if route.family not in families:
            raise ConfigError(f"routes.{alias}.family: `{route.family}` is not known{_nearest(route.family, families)}")
        kind = families[route.family].kind
        if (kind != "pair") != bool(route.pool):
            need = "`instruct` and `thinking`" if kind == "pair" else "`pool`"
            raise ConfigError(f"routes.{alias}: family `{route.family}` is {_KINDS[kind]} and needs {need}")
    return settings


_KINDS = {"pair": "a pair", "hybrid": "a hybrid", "self-judging": "one model that judges itself"}


def _expand(value: Any, environ: Mapping[str, str], missing: list[str], where: str) -> Any:
    if isinstance(value, dict):
        return {k: _expand(v, environ, missing, f"{where}.{k}".lstrip(".")) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, environ, missing, f"{where}[{i}]") for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(m: re.Match[str]) -> str:
        name, default = m.group(1), m.group(2)
        found = environ.get(name) or default
        if found is None:
            missing.append(f"{where}: environment variable {name} is not set (or write ${{{name}:-default}})")
            return ""
        return found

    return _VARIABLE.sub(replace, value)


def _explain(problem: Any) -> str:
    loc = problem["loc"]
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in loc).lstrip(".") or "configuration"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown key{_nearest(str(loc[-1]), known_keys(loc[:-1]))}"
    if problem["type"] == "missing":
        return f"{where}: is required"
    return f"{where}: {message[:1].lower()}{message[1:]}"


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f"; did you mean `{near[0]}`?" if near else f"; known are {', '.join(sorted(known))}" if known else ""


def known_keys(loc: tuple[Any, ...]) -> list[str]:
    """The keys that the schema knows at a place in the configuration, given as a path of keys and indexes."""
    kind: Any = Settings
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[part].annotation if part in kind.model_fields else None
        else:  # dict[str, X] or list[X]
            kind = get_args(kind)[-1] if get_args(kind) else None
        for option in get_args(kind):  # X | None
            if isinstance(option, type) and issubclass(option, BaseModel) and type(None) in get_args(kind):
                kind = option
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
