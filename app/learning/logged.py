"""What a decision log holds to learn from, in SQLite or PostgreSQL. Reads alone, beside a gateway that writes.

Knows the tables and their columns (the stores' schemas); knows no store.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.decisions.record import PROMPT_CHARS
from app.learning.files import FileTrouble

READ_LIMIT_S = 600.0
_POSTGRES = ("postgresql://", "postgres://")


def read_prompts(log: str | Path) -> list[dict[str, Any]]:
    """`{id, prompt}` of every prompt that was kept whole, once each, the oldest first; `log` is SQLite's file or
    PostgreSQL's URL. Raises FileTrouble."""
    rows = _select(log, "SELECT id, prompt FROM {}decisions WHERE prompt IS NOT NULL ORDER BY seq")
    whole = {str(prompt): str(name) for name, prompt in rows if len(prompt) < PROMPT_CHARS}
    if not whole:
        raise FileTrouble(f"{_named(log)}: keeps no whole prompt (decisions.store_prompts)")
    return [{"id": name, "prompt": prompt} for prompt, name in whole.items()]


def read_explored(log: str | Path, since_s: float = 0.0) -> list[dict[str, Any]]:
    """`{prompt, thinks, propensity, correct, tokens}` of every decision that chance had a say in, whose prompt was kept
    whole and of which feedback says whether the answer was correct (the last word counts); from `since_s` (since 1970)
    on. Raises FileTrouble."""
    rows = _select(
        log,
        "SELECT d.prompt, d.mode, d.propensity, f.correct, "
        "coalesce(d.reasoning_tokens, 0) + coalesce(d.answer_tokens, 0) "
        "FROM {0}decisions d JOIN {0}feedback f ON f.decision_id = d.id AND f.tenant = d.tenant AND f.seq = "
        "(SELECT max(seq) FROM {0}feedback WHERE decision_id = d.id AND tenant = d.tenant AND correct IS NOT NULL) "
        "WHERE d.propensity IS NOT NULL AND d.prompt IS NOT NULL AND d.status = 200 AND d.time >= {1} ORDER BY d.seq",
        since_s,
    )
    names = ("prompt", "thinks", "propensity", "correct", "tokens")
    return [
        dict(zip(names, (prompt, float(mode == "thinking"), propensity, float(correct), float(tokens)), strict=True))
        for prompt, mode, propensity, correct, tokens in rows
        if len(prompt) < PROMPT_CHARS
    ]


def _select(log: str | Path, sql: str, *values: float) -> Sequence[Sequence[Any]]:
    """The rows; in `sql`, {} or {0} is what tables' names begin with, {1} the place of a value."""
    if str(log).startswith(_POSTGRES):
        return _from_postgres(str(log), sql.format("thinkgate_", "%s"), values)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(log))}?mode=ro", uri=True, timeout=5.0)) as connection:
            return connection.execute(sql.format("", "?"), values).fetchall()
    except sqlite3.Error as error:
        raise FileTrouble(f"{log}: {error}") from error


def _from_postgres(url: str, sql: str, values: Sequence[float]) -> Sequence[Sequence[Any]]:
    try:
        import psycopg
    except ImportError as error:
        raise FileTrouble("a log in PostgreSQL needs a driver: pip install 'thinkgate[postgres]'") from error
    from app.decisions.impatient import connect

    try:
        with closing(connect(url, READ_LIMIT_S)) as connection:
            return connection.execute(sql.encode(), list(values) or None).fetchall()
    except psycopg.Error as error:
        raise FileTrouble(f"{_named(url)}: {str(error).strip() or type(error).__name__}") from error


def _named(log: str | Path) -> str:
    """The log as it may be told: a URL can hold a password."""
    return "the PostgreSQL log" if str(log).startswith(_POSTGRES) else str(log)
