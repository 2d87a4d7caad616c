"""`thinkgate keys`: create, list, rotate and revoke the keys of a keys file. Knows the file; talks to no gateway."""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.config_file import ConfigError, load_settings
from app.keys.digest import digest_of, new_key
from app.keys.file import StoredKey, locked, read_keys, write_keys
from app.limits.settings import Limits


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command and its parts."""
    parser = commands.add_parser(
        "keys",
        help="create, list, rotate and revoke clients' keys",
        description="Keep the keys of a keys file (auth.keys_file). A running gateway sees a change within a second.",
    )
    parts = parser.add_subparsers(dest="part", metavar="WHAT", required=True)
    create = parts.add_parser("create", help="make a key and print it, once")
    create.add_argument("--name", default="", help="what the key is for; shown by `list`")
    create.add_argument("--tenant", default="default", help="whose key it is")
    create.add_argument("--profile", default="", help="profile of all its requests, instead of the route's")
    create.add_argument("--may-choose", nargs="+", default=[], metavar="PROFILE", help="profiles it may choose")
    create.add_argument("--routes", nargs="+", default=["*"], help="routes it may name in `model` (default: any)")
    create.add_argument("--models", nargs="+", help="pools' own model names it may use (default: as for routes)")
    for name, field in Limits.model_fields.items():
        text = field.description or ""
        create.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=text[:1].lower() + text[1:])
    create.add_argument("--days", type=float, help="how long it is valid (default: for ever)")
    shown = parts.add_parser("list", help="show all keys; never the keys themselves")
    rotate = parts.add_parser("rotate", help="make a key with the same rights; the old one stays valid for a while")
    rotate.add_argument("id", help="the old key's id, as `list` shows it")
    rotate.add_argument("--keep-hours", type=float, default=24.0, help="how long the old one stays valid (default: 24)")
    revoke = parts.add_parser("revoke", help="take a key out of the file")
    revoke.add_argument("id", help="the key's id, as `list` shows it, or its name where only one key has it")
    for part in (create, shown, rotate, revoke):
        where = part.add_mutually_exclusive_group(required=True)
        where.add_argument("--file", metavar="FILE", help="the keys file; made where there is none")
        where.add_argument("--config", metavar="FILE", help="the configuration that names it (auth.keys_file)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do it; what is printed on standard output is for pipes, the rest goes to standard error."""
    path = _path(arguments)
    if arguments.part == "list":
        _print(read_keys(path))
        return 0
    with locked(path):
        keys = read_keys(path) if path.exists() else []
        if arguments.part == "create":
            return _create(path, keys, arguments)
        found = _find(keys, arguments.id)
        if arguments.part == "revoke":
            write_keys(path, [key for key in keys if key is not found])
            print(f"{found.id} is revoked; {len(keys) - 1} keys are left", file=sys.stderr)
            return 0
        return _rotate(path, keys, found, arguments.keep_hours)


def _create(path: Path, keys: list[StoredKey], arguments: argparse.Namespace) -> int:
    key, now = new_key(), _now()
    limits = {name: value for name in Limits.model_fields if (value := getattr(arguments, name)) is not None}
    if any(value < 1 for value in limits.values()):
        raise ConfigError("a limit must be 1 or more; leave it out for none")
    stored = StoredKey(
        digest=digest_of(key.encode()),
        name=arguments.name,
        tenant=arguments.tenant,
        profile=arguments.profile,
        profiles=arguments.may_choose,
        routes=arguments.routes,
        models=arguments.models,
        limits=Limits(**limits),
        created=now,
        expires=None if arguments.days is None else now + timedelta(days=arguments.days),
    )
    write_keys(path, [*keys, stored])
    print(f"{stored.id} for tenant {stored.tenant}; this is the only time that the key is shown:", file=sys.stderr)
    print(key)
    return 0


def _rotate(path: Path, keys: list[StoredKey], old: StoredKey, keep_hours: float) -> int:
    key, now = new_key(), _now()
    fresh = old.model_copy(update={"digest": digest_of(key.encode()), "created": now, "expires": None})
    ends = now + timedelta(hours=keep_hours)
    ending = old.model_copy(update={"expires": min(ends, old.expires) if old.expires is not None else ends})
    write_keys(path, [*(ending if k is old else k for k in keys), fresh])
    print(f"{old.id} stays valid until {_time(ending.expires)}; {fresh.id} follows it:", file=sys.stderr)
    print(key)
    return 0


def _find(keys: list[StoredKey], name: str) -> StoredKey:
    found = [key for key in keys if key.id == name] or [key for key in keys if name and key.name == name]
    if len(found) != 1:
        raise ConfigError(f"{len(found) or 'no'} keys have the id or name `{name}`; `thinkgate keys list` shows all")
    return found[0]


def _print(keys: list[StoredKey]) -> None:
    now = _now()
    rows = [("ID", "TENANT", "NAME", "ROUTES", "CREATED", "EXPIRES")]
    for key in keys:
        expires = "-" if key.expires is None else _time(key.expires) + (" (expired)" if key.expired(now) else "")
        rows.append((key.id, key.tenant, key.name or "-", ",".join(key.routes), _time(key.created), expires))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _path(arguments: argparse.Namespace) -> Path:
    if arguments.file:
        return Path(arguments.file)
    auth = load_settings(arguments.config).auth
    if auth is None or not auth.keys_file:
        raise ConfigError(f"{arguments.config}: auth.keys_file is not set; set it, or use --file")
    return Path(auth.keys_file)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _time(when: datetime | None) -> str:
    return "-" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
