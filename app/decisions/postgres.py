"""Decisions in PostgreSQL. Knows SQL and records; knows no queue, no thread and no tenant's rights.

Several gateways may write to one database. Reading and feedback take a connection of their own each time: they are
rare, and a connection that is never kept is never stale.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg

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
from app.decisions.impatient import ImpatientConnection, connect
from app.decisions.paging import read_page
from app.decisions.postgres_schema import MIGRATIONS, NewerSchema, migrate
from app.decisions.record import DecisionRecord
from app.decisions.savings import BANDS, BY_GATEWAY, UNSCORED, HourSum
from app.decisions.shadow import Shadow, ShadowSum
from app.decisions.store import SUMS_KEEP_S, Query, StoreError
from router.mode import Mode

READ_LIMIT_S = 5.0
WRITE_LIMIT_S = 10.0
_COLUMNS = DecisionRecord.__struct_fields__
_LIST = ", ".join(_COLUMNS)
_SUM_FIELDS = HourSum.__struct_fields__
_TYPES = {float: "float8", int: "bigint", bool: "boolean"}


def _array(hint: Any) -> str:
    """The place of a column's values in a statement."""
    kinds = [_TYPES[kind] for kind in getattr(hint, "__args__", (hint,)) if kind in _TYPES]
    return f"%s::{kinds[0] if kinds else 'text'}[]"


_ARRAYS = ", ".join(_array(hint) for hint in DecisionRecord.__annotations__.values())
# A column is an array, so that a batch is one statement of as many parameters as there are columns. What is new is
# added to the sums of its hour in the same statement; in order, lest two gateways wait for each other.
_INSERT = f"""
    WITH new AS (
        INSERT INTO thinkgate_decisions ({_LIST}) SELECT * FROM unnest({_ARRAYS})
        ON CONFLICT (id) DO NOTHING
        RETURNING *
    )
    INSERT INTO thinkgate_hours AS h
    SELECT tenant, hour, profile, mode, band, count(*), sum(tokens), sum(tokens * tokens), sum(duration_s),
           sum(duration_s * duration_s)
    FROM (
        SELECT tenant, floor(time / 3600)::bigint AS hour, profile, mode, duration_s,
               CASE WHEN score IS NULL THEN {UNSCORED}
                    ELSE greatest(0, least({BANDS - 1}, floor(score * {BANDS})::int)) END AS band,
               reasoning_tokens::float8 + answer_tokens AS tokens
        FROM new
        WHERE status = 200 AND reasoning_tokens IS NOT NULL AND answer_tokens IS NOT NULL
              AND reason IN ({", ".join(f"'{reason.value}'" for reason in BY_GATEWAY)})
    ) AS answered
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (tenant, hour, profile, mode, band) DO UPDATE SET
        answers = h.answers + excluded.answers,
        tokens = h.tokens + excluded.tokens,
        tokens_squared = h.tokens_squared + excluded.tokens_squared,
        seconds = h.seconds + excluded.seconds,
        seconds_squared = h.seconds_squared + excluded.seconds_squared
"""  # noqa: S608 - our own names
_SELECT = f"SELECT {_LIST} FROM thinkgate_decisions WHERE tenant = %s"  # noqa: S608
_FORGET = (
    "DELETE FROM thinkgate_{0} WHERE seq IN "
    "(SELECT seq FROM (SELECT seq, time FROM thinkgate_{0} ORDER BY seq LIMIT %s) AS oldest WHERE time < %s)"
)
_FEEDBACK = "id, decision_id, time, verdict, correct, note"
_SUMS = (
    "SELECT profile, mode, band, sum(answers)::bigint, sum(tokens), sum(tokens_squared), sum(seconds), "
    "sum(seconds_squared) FROM thinkgate_hours WHERE tenant = %s AND hour >= %s AND hour < %s GROUP BY 1, 2, 3"
)
# What a record's own values can be blamed for; everything else is the server's fault, and passes.
_BAD_ROW = (psycopg.DataError, UnicodeError, OverflowError)


class PostgresStore:
    """Implements `DecisionStore`. The tables are made at the first write. Raises ValueError for a URL that libpq
    cannot read."""

    def __init__(self, url: str, *, migrations: Sequence[str] = MIGRATIONS) -> None:
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            raise ValueError("is no URL that PostgreSQL's client library can read") from None  # it may hold a password
        self._url = url
        self._migrations = migrations
        self._writing: ImpatientConnection | None = None

    # ------------------------------------------------------------------ the writer's thread

    def write(self, records: Sequence[DecisionRecord]) -> int:
        """Keep the records in one transaction; how many of them can never be kept."""
        rows = [msgspec.structs.astuple(record) for record in records]
        with self._transaction() as connection:
            if not rows:
                return 0
            try:
                with connection.transaction():
                    connection.execute(_INSERT, _arrays(rows))
                return 0
            except _BAD_ROW:  # one of them: find it, so that it does not cost the others
                return sum(not _insert(connection, row) for row in rows)

    def forget(self, before_s: float, limit: int) -> int:
        """Delete old decisions among the `limit` oldest."""
        sums_before = min(before_s, time.time() - SUMS_KEEP_S) / 3600
        with self._transaction() as connection:
            for table in ("feedback", "shadows"):
                connection.execute(_FORGET.format(table), (limit, before_s))
            connection.execute("DELETE FROM thinkgate_hours WHERE hour < %s", (sums_before,))
            return connection.execute(_FORGET.format("decisions"), (limit, before_s)).rowcount

    def close(self) -> None:
        """Close the writer's connection."""
        connection, self._writing = self._writing, None
        if connection is not None:
            connection.close()  # waits for nobody

    @contextmanager
    def _transaction(self) -> Iterator[ImpatientConnection]:
        """Whatever goes wrong inside, nothing is kept, and the next transaction begins with a new connection."""
        try:
            connection = self._writing or self._open()
            connection.give_up_after(WRITE_LIMIT_S)
            with connection.transaction():
                _limit(connection, WRITE_LIMIT_S)
                yield connection
        except (psycopg.Error, NewerSchema) as error:
            self.close()
            raise StoreError(_words(error)) from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> ImpatientConnection:
        connection = self._writing = connect(self._url, float("inf"))  # a migration takes as long as it takes
        migrate(connection, self._migrations)
        return connection

    # ------------------------------------------------------------------ any thread

    def page(self, query: Query) -> list[DecisionRecord]:
        """A page, the newest first."""
        with self._asking() as connection:
            rows = read_page(connection.execute, _LIST, "thinkgate_decisions", "%s", query)
        return [_record(row) for row in rows]

    def get(self, tenant: str, decision_id: str) -> DecisionRecord | None:
        """One decision of a tenant."""
        with self._asking() as connection:
            row = connection.execute(f"{_SELECT} AND id = %s", (tenant, decision_id)).fetchone()
        return None if row is None else _record(row)

    def give(self, tenant: str, feedback: Feedback, idempotency: str) -> Given:
        """Keep feedback, once for each `idempotency` of a tenant."""
        with self._asking() as connection:
            return _give(connection, tenant, feedback, idempotency)

    def feedback(self, tenant: str, decision_id: str) -> list[Feedback]:
        """What was said of a decision, the oldest first."""
        sql = f"SELECT {_FEEDBACK} FROM thinkgate_feedback WHERE tenant = %s AND decision_id = %s ORDER BY seq"  # noqa: S608
        with self._asking() as connection:
            return [_said(row) for row in connection.execute(sql, (tenant, decision_id)).fetchall()]

    def keep_shadow(self, tenant: str, shadow: Shadow) -> None:
        """Keep a shadow."""
        if shadow.answer is not None:  # what no text of PostgreSQL may hold is replaced
            clean = shadow.answer.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
            shadow = msgspec.structs.replace(shadow, answer=clean)
        with self._asking() as connection:
            shadow_rows.keep(connection.execute, "thinkgate_shadows", "%s", tenant, shadow)

    def shadow(self, tenant: str, decision_id: str) -> Shadow | None:
        """The shadow of a decision."""
        with self._asking() as connection:
            return shadow_rows.one(connection.execute, "thinkgate_shadows", "%s", tenant, decision_id)

    def shadow_sums(self, tenant: str, from_s: float, to_s: float) -> list[ShadowSum]:
        """The sums of a time."""
        with self._asking() as connection:
            return shadow_rows.sums(connection.execute, "thinkgate_shadows", "%s", tenant, from_s, to_s)

    def sums(self, tenant: str, first_hour: int, last_hour: int) -> list[HourSum]:
        """The sums of the hours from `first_hour` to before `last_hour`."""
        with self._asking() as connection:
            rows = connection.execute(_SUMS, (tenant, first_hour, last_hour)).fetchall()
        return [msgspec.convert(dict(zip(_SUM_FIELDS, row, strict=True)), HourSum) for row in rows]

    @contextmanager
    def _asking(self) -> Iterator[ImpatientConnection]:
        """A connection and a transaction of its own."""
        try:
            connection = connect(self._url, READ_LIMIT_S)
            try:
                with connection.transaction():
                    _limit(connection, READ_LIMIT_S)
                    yield connection
            finally:
                connection.close()
        except psycopg.Error as error:
            raise StoreError(_words(error)) from error


def _limit(connection: ImpatientConnection, limit_s: float) -> None:
    # In the transaction, not at the connection's start: poolers refuse settings there.
    connection.execute(f"SET LOCAL statement_timeout = {round(limit_s * 1e3)}")


def _arrays(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    # str() of a StrEnum is its value as a plain string: the driver would look for an enum's type in the database.
    columns = zip(_COLUMNS, zip(*rows, strict=True), strict=True)
    return [[str(v) for v in column] if name in ("mode", "reason") else list(column) for name, column in columns]


def _insert(connection: ImpatientConnection, row: tuple[Any, ...]) -> bool:
    """One row, with what no text of PostgreSQL may hold replaced."""
    clean = [v.replace("\0", "\ufffd").encode("utf-8", "replace").decode() if isinstance(v, str) else v for v in row]
    try:
        with connection.transaction():
            connection.execute(_INSERT, _arrays([tuple(clean)]))
    except _BAD_ROW:
        return False
    return True


def _give(connection: ImpatientConnection, tenant: str, f: Feedback, idempotency: str) -> Given:
    known = f"SELECT {_FEEDBACK} FROM thinkgate_feedback WHERE tenant = %s AND idempotency = %s"  # noqa: S608
    if idempotency:
        row = connection.execute(known, (tenant, idempotency)).fetchone()
        if row is not None:
            return before(_said(row), f)
    decision = connection.execute(  # locked, so that what follows is done by one at a time
        "SELECT mode FROM thinkgate_decisions WHERE id = %s AND tenant = %s FOR UPDATE", (f.decision_id, tenant)
    ).fetchone()
    if decision is None:
        raise UnknownDecision
    counted = connection.execute(
        "SELECT count(*) FROM thinkgate_feedback WHERE tenant = %s AND decision_id = %s", (tenant, f.decision_id)
    ).fetchone()
    if counted is not None and counted[0] >= MOST_A_DECISION:
        raise TooMuchFeedback
    new = connection.execute(
        f"INSERT INTO thinkgate_feedback ({_FEEDBACK}, tenant, idempotency) "  # noqa: S608
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (tenant, idempotency) DO NOTHING",
        (f.id, f.decision_id, f.time, f.verdict.value, f.correct, f.note, tenant, idempotency or None),
    )
    if not new.rowcount:  # another gateway was faster
        return before(_said(connection.execute(known, (tenant, idempotency)).fetchone()), f)
    return Given(f, Mode(decision[0]))


def _said(row: Any) -> Feedback:
    id_, decision_id, time_s, verdict, correct, note = row
    return Feedback(id_, decision_id, time_s, Verdict(verdict), correct, note)


def _record(row: tuple[Any, ...]) -> DecisionRecord:
    return msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), DecisionRecord)


def _words(error: Exception) -> str:
    """What happened, without values: those of a statement may be a client's."""
    if isinstance(error, psycopg.errors.Error) and error.sqlstate:
        return f"{type(error).__name__} ({error.sqlstate})"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
