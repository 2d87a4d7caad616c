"""Decisions in a SQLite file. Knows SQL and records; knows no queue, no thread and no tenant's rights.

Writing with WAL and `synchronous=NORMAL`: a commit is a write to the page cache, so that a killed process loses nothing
that was committed and the disk is waited for at checkpoints only; a machine that loses power may lose the last commits,
never the file.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

import msgspec

from app.decisions import shadow_rows
from app.decisions.feedback import (
    MOST_A_DECISION,
    Feedback,
    Given,
    TooMuchFeedback,
    UnknownDecision,
    Verdict,
    before,
)
from app.decisions.paging import read_page
from app.decisions.record import DecisionRecord
from app.decisions.savings import HourSum
from app.decisions.shadow import Shadow, ShadowSum
from app.decisions.sqlite_schema import MIGRATIONS, SUM_UP, NewerSchema, migrate
from app.decisions.store import SUMS_KEEP_S, Query, StoreError
from router.mode import Mode, Reason

ROWS_A_STATEMENT = 50
"""Rows in one INSERT. Python's lock is let go and fought for once a statement: with a row each, the writer would step
on the event loop's toes five hundred times a batch."""

READ_LIMIT_S = 5.0
BUSY_LIMIT_S = 5.0
_CACHE_KIB = 8192
_COLUMNS = DecisionRecord.__struct_fields__
_SUM_FIELDS = HourSum.__struct_fields__
_LIST = ", ".join(_COLUMNS)
_PLACES = f"({', '.join('?' * len(_COLUMNS))})"
_INSERT = f"INSERT OR IGNORE INTO decisions ({_LIST}) VALUES "  # noqa: S608 - our own names
_SELECT = f"SELECT {_LIST} FROM decisions WHERE tenant = ?"  # noqa: S608
# The oldest first, by arrival: no index on the time is needed. A row from a clock that ran ahead only waits its turn.
_FORGET = (
    "DELETE FROM {0} WHERE seq IN (SELECT seq FROM (SELECT seq, time FROM {0} ORDER BY seq LIMIT ?) WHERE time < ?)"
)
_FEEDBACK = "id, decision_id, time, verdict, correct, note"
_SUMS = (
    "SELECT profile, mode, band, sum(answers), sum(tokens), sum(tokens_squared), sum(seconds), sum(seconds_squared) "
    "FROM hours WHERE tenant = ? AND hour >= ? AND hour < ? GROUP BY 1, 2, 3"
)
# What a record's own values can be blamed for; everything else is the disk's fault, and passes.
_BAD_ROW = (sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError, UnicodeError)
# sqlite3 looks for adapters at every value that is not exactly a str, int or float: half a microsecond each. So modes
# are turned to plain text by look-up, and None to NaN, which SQLite stores as NULL.
_NULL = float("nan")
_TEXT: dict[Mode | Reason, str] = {member: member.value for kind in (Mode, Reason) for member in kind}


class SqliteStore:
    """Implements `DecisionStore`. The file is made at the first write, readable by its owner alone."""

    def __init__(self, path: str, *, migrations: Sequence[str] = MIGRATIONS) -> None:
        self._path = path
        self._migrations = migrations
        self._writing: sqlite3.Connection | None = None

    # ------------------------------------------------------------------ the writer's thread

    def write(self, records: Sequence[DecisionRecord]) -> int:
        """Keep the records in one transaction; how many of them can never be kept."""
        rows = [_row(record) for record in records]
        with self._transaction() as connection:
            last = connection.execute("SELECT coalesce(max(seq), 0) FROM decisions").fetchone()[0]
            refused = 0
            try:
                for i in range(0, len(rows), ROWS_A_STATEMENT):
                    some = rows[i : i + ROWS_A_STATEMENT]
                    statement = _INSERT + ",".join([_PLACES] * len(some))
                    connection.execute(statement, [value for row in some for value in row])
            except _BAD_ROW:  # one of them: find it, so that it does not cost the others
                refused = sum(not _insert(connection, row) for row in rows)
            connection.execute(SUM_UP.format(after=last))  # what is new: rows that were there already are not
        return refused

    def forget(self, before_s: float, limit: int) -> int:
        """Delete old decisions among the `limit` oldest."""
        with self._transaction() as connection:
            for table in ("feedback", "shadows"):
                connection.execute(_FORGET.format(table), (limit, before_s))
            connection.execute("DELETE FROM hours WHERE hour < ?", (min(before_s, time.time() - SUMS_KEEP_S) / 3600,))
            return connection.execute(_FORGET.format("decisions"), (limit, before_s)).rowcount

    def close(self) -> None:
        """Close the writer's connection."""
        connection, self._writing = self._writing, None
        if connection is not None:
            try:
                connection.close()  # rolls back what was not committed
            except sqlite3.Error:
                pass

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Whatever goes wrong inside, nothing is kept, and the next transaction begins with a new connection."""
        try:
            connection = self._writing or self._open()
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError, NewerSchema) as error:
            self.close()
            raise StoreError(_words(error)) from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> sqlite3.Connection:
        # The file may come to hold prompts; what SQLite puts beside it takes over its permissions.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = self._writing = sqlite3.connect(self._path, isolation_level=None, timeout=BUSY_LIMIT_S)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        migrate(connection, self._migrations)
        return connection

    # ------------------------------------------------------------------ any thread

    def page(self, query: Query) -> list[DecisionRecord]:
        """A page, the newest first."""
        with self._reading() as connection:
            rows = read_page(connection.execute, _LIST, "decisions", "?", query)
        return [_record(row) for row in rows]

    def get(self, tenant: str, decision_id: str) -> DecisionRecord | None:
        """One decision of a tenant."""
        with self._reading() as connection:
            row = connection.execute(f"{_SELECT} AND id = ?", (tenant, decision_id)).fetchone()
        return None if row is None else _record(row)

    def give(self, tenant: str, feedback: Feedback, idempotency: str) -> Given:
        """Keep feedback, once for each `idempotency` of a tenant."""
        try:
            with self._changing() as connection:
                return _give(connection, tenant, feedback, idempotency)
        except sqlite3.Error as error:
            raise StoreError(_words(error)) from error

    def feedback(self, tenant: str, decision_id: str) -> list[Feedback]:
        """What was said of a decision, the oldest first."""
        sql = f"SELECT {_FEEDBACK} FROM feedback WHERE tenant = ? AND decision_id = ? ORDER BY seq"  # noqa: S608
        with self._reading() as connection:
            return [_said(row) for row in connection.execute(sql, (tenant, decision_id)).fetchall()]

    def keep_shadow(self, tenant: str, shadow: Shadow) -> None:
        """Keep a shadow."""
        try:
            with self._changing() as connection:
                shadow_rows.keep(connection.execute, "shadows", "?", tenant, shadow)
        except sqlite3.Error as error:
            raise StoreError(_words(error)) from error

    def shadow(self, tenant: str, decision_id: str) -> Shadow | None:
        """The shadow of a decision."""
        with self._reading() as connection:
            return shadow_rows.one(connection.execute, "shadows", "?", tenant, decision_id)

    def shadow_sums(self, tenant: str, from_s: float, to_s: float) -> list[ShadowSum]:
        """The sums of a time."""
        with self._reading() as connection:
            return shadow_rows.sums(connection.execute, "shadows", "?", tenant, from_s, to_s)

    def sums(self, tenant: str, first_hour: int, last_hour: int) -> list[HourSum]:
        """The sums of the hours from `first_hour` to before `last_hour`."""
        with self._reading() as connection:
            rows = connection.execute(_SUMS, (tenant, first_hour, last_hour)).fetchall()
        return [msgspec.convert(dict(zip(_SUM_FIELDS, row, strict=True)), HourSum) for row in rows]

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A connection and a transaction of its own."""
        uri = f"file:{quote(self._path)}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_LIMIT_S)) as connection:
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("BEGIN IMMEDIATE")  # closing rolls back what did not get as far as its COMMIT
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own for each read: opened in a tenth of a millisecond, and bound to no thread."""
        try:
            uri = f"file:{quote(self._path)}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=1.0)) as connection:
                until_s = time.monotonic() + READ_LIMIT_S
                connection.set_progress_handler(lambda: time.monotonic() > until_s, 100_000)
                yield connection
        except sqlite3.Error as error:
            raise StoreError(_words(error)) from error


def _give(connection: sqlite3.Connection, tenant: str, feedback: Feedback, idempotency: str) -> Given:
    if idempotency:
        sql = f"SELECT {_FEEDBACK} FROM feedback WHERE tenant = ? AND idempotency = ?"  # noqa: S608
        row = connection.execute(sql, (tenant, idempotency)).fetchone()
        if row is not None:
            return before(_said(row), feedback)
    sql = "SELECT mode FROM decisions WHERE id = ? AND tenant = ?"
    decision = connection.execute(sql, (feedback.decision_id, tenant)).fetchone()
    if decision is None:
        raise UnknownDecision
    sql = "SELECT count(*) FROM feedback WHERE tenant = ? AND decision_id = ?"
    if connection.execute(sql, (tenant, feedback.decision_id)).fetchone()[0] >= MOST_A_DECISION:
        raise TooMuchFeedback
    f = feedback
    connection.execute(
        f"INSERT INTO feedback ({_FEEDBACK}, tenant, idempotency) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (f.id, f.decision_id, f.time, f.verdict.value, f.correct, f.note, tenant, idempotency or None),
    )
    return Given(feedback, Mode(decision[0]))


def _said(row: tuple[Any, ...]) -> Feedback:
    id_, decision_id, time_s, verdict, correct, note = row
    return Feedback(id_, decision_id, time_s, Verdict(verdict), None if correct is None else bool(correct), note)


def _insert(connection: sqlite3.Connection, row: tuple[Any, ...]) -> bool:
    try:
        connection.execute(_INSERT + _PLACES, row)
    except _BAD_ROW:
        return False
    return True


def _row(r: DecisionRecord) -> tuple[Any, ...]:
    """The values of the columns, in order."""
    return (
        r.id,
        r.time,
        r.tenant,
        r.api,
        r.asked,
        r.profile,
        _TEXT[r.mode],
        _TEXT[r.reason],
        r.because,
        _NULL if r.score is None else r.score,
        _NULL if r.threshold is None else r.threshold,
        r.judge,
        r.pool,
        r.model,
        r.fallback_from,
        r.status,
        1 if r.stream else 0,
        _NULL if r.prompt_tokens is None else r.prompt_tokens,
        _NULL if r.reasoning_tokens is None else r.reasoning_tokens,
        _NULL if r.answer_tokens is None else r.answer_tokens,
        _NULL if r.ttft_s is None else r.ttft_s,
        r.duration_s,
        r.judge_s,
        _NULL if r.prompt is None else r.prompt,
        _NULL if r.propensity is None else r.propensity,
    )


def _record(row: tuple[Any, ...]) -> DecisionRecord:
    # not strict: SQLite has no booleans
    return msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), DecisionRecord, strict=False)


def _words(error: Exception) -> str:
    return (error.strerror or "cannot be opened").lower() if isinstance(error, OSError) else str(error)
