"""A page of decisions out of a store that speaks SQL. Knows the query's conditions; knows no database's words."""

from collections.abc import Callable, Sequence
from typing import Any

from app.decisions.store import Query, UnknownCursor

Execute = Callable[[str, Sequence[Any]], Any]
"""Runs a statement; what it gives has `fetchone` and `fetchall`."""


def read_page(execute: Execute, columns: str, table: str, mark: str, query: Query) -> list[tuple[Any, ...]]:
    """The rows of a page, the newest first. `mark` stands for a value in a statement. Raises UnknownCursor."""
    where, values = f"tenant = {mark}", [query.tenant]
    for column, wanted in (("mode", query.mode), ("reason", query.reason)):
        if wanted is not None:
            where, values = f"{where} AND {column} = {mark}", [*values, wanted.value]
    bound: list[Any] = []
    if query.before:
        sql = f"SELECT seq FROM {table} WHERE id = {mark} AND tenant = {mark}"  # noqa: S608 - our own names
        found = execute(sql, (query.before, query.tenant)).fetchone()
        if found is None:
            raise UnknownCursor(query.before)
        where, bound = f"{where} AND seq < {mark}", [found[0]]
    sql = f"SELECT {columns} FROM {table} WHERE {where} ORDER BY seq DESC LIMIT {mark}"  # noqa: S608
    rows: list[tuple[Any, ...]] = execute(sql, [*values, *bound, query.limit]).fetchall()
    return rows
