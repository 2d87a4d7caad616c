"""The PostgreSQL store's schema, step by step. Knows SQL; knows no record.

A step that was ever released is never edited: a change is a new step at the end. The tables' names say whose they are,
since a database may hold others'.
"""

from collections.abc import Sequence
from typing import Any

import psycopg

MIGRATIONS: Sequence[str] = (
    # 1: `seq` is about the order of arrival, which paging follows: clocks jump.
    """
    CREATE TABLE thinkgate_decisions (
        seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        time DOUBLE PRECISION NOT NULL,
        tenant TEXT NOT NULL,
        api TEXT NOT NULL,
        asked TEXT NOT NULL,
        profile TEXT NOT NULL,
        mode TEXT NOT NULL,
        reason TEXT NOT NULL,
        because TEXT NOT NULL,
        score DOUBLE PRECISION,
        threshold DOUBLE PRECISION,
        judge TEXT NOT NULL,
        pool TEXT NOT NULL,
        model TEXT NOT NULL,
        fallback_from TEXT NOT NULL,
        status INTEGER NOT NULL,
        stream BOOLEAN NOT NULL,
        prompt_tokens BIGINT,
        reasoning_tokens BIGINT,
        answer_tokens BIGINT,
        ttft_s DOUBLE PRECISION,
        duration_s DOUBLE PRECISION NOT NULL,
        judge_s DOUBLE PRECISION NOT NULL,
        prompt TEXT
    );
    CREATE INDEX thinkgate_decisions_tenant ON thinkgate_decisions (tenant, seq);
    CREATE INDEX thinkgate_decisions_mode ON thinkgate_decisions (tenant, mode, seq);
    CREATE INDEX thinkgate_decisions_reason ON thinkgate_decisions (tenant, reason, seq);
    CREATE TABLE thinkgate_feedback (
        seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        decision_id TEXT NOT NULL,
        time DOUBLE PRECISION NOT NULL,
        verdict TEXT NOT NULL,
        correct BOOLEAN,
        note TEXT,
        tenant TEXT NOT NULL,
        idempotency TEXT
    );
    CREATE INDEX thinkgate_feedback_decision ON thinkgate_feedback (tenant, decision_id);
    CREATE UNIQUE INDEX thinkgate_feedback_idempotency ON thinkgate_feedback (tenant, idempotency);
    CREATE TABLE thinkgate_hours (
        tenant TEXT NOT NULL,
        hour BIGINT NOT NULL,
        profile TEXT NOT NULL,
        mode TEXT NOT NULL,
        band INTEGER NOT NULL,
        answers BIGINT NOT NULL,
        tokens DOUBLE PRECISION NOT NULL,
        tokens_squared DOUBLE PRECISION NOT NULL,
        seconds DOUBLE PRECISION NOT NULL,
        seconds_squared DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (tenant, hour, profile, mode, band)
    );
    CREATE INDEX thinkgate_hours_hour ON thinkgate_hours (hour);
    """,
    # 2: with which probability the mode was chosen, for learning from what was tried
    "ALTER TABLE thinkgate_decisions ADD COLUMN propensity DOUBLE PRECISION",
    # 3: what the other mode did, beside what the client got
    """
    CREATE TABLE thinkgate_shadows (
        seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        decision_id TEXT NOT NULL UNIQUE,
        time DOUBLE PRECISION NOT NULL,
        profile TEXT NOT NULL,
        mode TEXT NOT NULL,
        tokens BIGINT NOT NULL,
        seconds DOUBLE PRECISION NOT NULL,
        client_tokens BIGINT NOT NULL,
        client_seconds DOUBLE PRECISION NOT NULL,
        answer TEXT,
        tenant TEXT NOT NULL
    );
    CREATE INDEX thinkgate_shadows_tenant ON thinkgate_shadows (tenant, time);
    """,
)
_LOCK = 0x7468696E6B  # "think": nobody else's advisory lock, with luck


class NewerSchema(Exception):
    """The tables were made by a later version of the gateway."""


def migrate(connection: "psycopg.Connection[Any]", migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring a database to the newest schema, or change nothing. Raises NewerSchema or psycopg.Error."""
    if version_of(connection) == len(migrations):
        return  # who may only write rows need not be able to make tables
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))  # of several gateways that start, one migrates
        connection.execute(
            "CREATE TABLE IF NOT EXISTS thinkgate_migrations "
            "(version INTEGER PRIMARY KEY, applied TIMESTAMPTZ NOT NULL DEFAULT now())"
        )
        version = version_of(connection)
        if version > len(migrations):
            raise NewerSchema(
                f"the schema has version {version}, this gateway knows {len(migrations)}: a newer one made it"
            )
        for step in range(version, len(migrations)):
            connection.execute(migrations[step].encode())
            connection.execute("INSERT INTO thinkgate_migrations (version) VALUES (%s)", (step + 1,))


def version_of(connection: "psycopg.Connection[Any]") -> int:
    """The number of the last step that a database has seen; 0 for one without our tables."""
    row = connection.execute("SELECT to_regclass('thinkgate_migrations')").fetchone()
    if row is None or row[0] is None:
        return 0
    row = connection.execute("SELECT coalesce(max(version), 0) FROM thinkgate_migrations").fetchone()
    return 0 if row is None else int(row[0])
