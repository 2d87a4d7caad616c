"""Shadows in SQL, for both stores but for tables' names and values' places. Knows columns; opens nothing."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from app.decisions.shadow import Shadow, ShadowSum

_COLUMNS: Final = Shadow.__struct_fields__
_SUMS: Final = ShadowSum.__struct_fields__
Execute = Callable[[str, Sequence[Any]], Any]


def keep(execute: Execute, table: str, place: str, tenant: str, shadow: Shadow) -> None:
    """Keep a shadow, unless its decision has one."""
    values = [
        str(v) if name == "mode" else v for name, v in zip(_COLUMNS, msgspec.structs.astuple(shadow), strict=True)
    ]
    places = ", ".join([place] * (len(_COLUMNS) + 1))
    execute(
        f"INSERT INTO {table} ({', '.join(_COLUMNS)}, tenant) VALUES ({places}) "  # noqa: S608 - our own names
        "ON CONFLICT (decision_id) DO NOTHING",
        (*values, tenant),
    )


def one(execute: Execute, table: str, place: str, tenant: str, decision_id: str) -> Shadow | None:
    """The shadow of a decision."""
    sql = f"SELECT {', '.join(_COLUMNS)} FROM {table} WHERE tenant = {place} AND decision_id = {place}"  # noqa: S608
    row = execute(sql, (tenant, decision_id)).fetchone()
    return None if row is None else msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), Shadow)


def sums(execute: Execute, table: str, place: str, tenant: str, from_s: float, to_s: float) -> list[ShadowSum]:
    """The sums of a time, by profile and mode. Every difference is a double: integers could overflow."""
    rows = execute(
        "SELECT profile, mode, count(*), sum(t), sum(t * t), sum(s), sum(s * s) FROM "  # noqa: S608
        "(SELECT profile, mode, CAST(tokens - client_tokens AS DOUBLE PRECISION) AS t, seconds - client_seconds AS s "
        f"FROM {table} WHERE tenant = {place} AND time >= {place} AND time < {place}) AS pairs GROUP BY 1, 2",
        (tenant, from_s, to_s),
    ).fetchall()
    return [msgspec.convert(dict(zip(_SUMS, row, strict=True)), ShadowSum) for row in rows]
