"""The SQLite store's schema, step by step. Knows SQL; knows no record.

A step that was ever released is never edited: a change is a new step at the end.
"""

import sqlite3
import time
from collections.abc import Sequence

# The rows behind `after`, added to the sums of their hours. What is summed up: app/decisions/savings.py. REAL from the
# start: integers would overflow where a backend tells nonsense.
SUM_UP = """
    INSERT INTO hours
    SELECT tenant, hour, profile, mode, band, count(*), sum(tokens), sum(tokens * tokens),
           sum(duration_s), sum(duration_s * duration_s)
    FROM (
        SELECT tenant, CAST(time / 3600 AS INTEGER) AS hour, profile, mode,
               CASE WHEN score IS NULL THEN -1 ELSE max(0, min(9, CAST(score * 10 AS INTEGER))) END AS band,
               CAST(reasoning_tokens AS REAL) + answer_tokens AS tokens, duration_s
        FROM decisions
        WHERE seq > {after} AND status = 200 AND reasoning_tokens IS NOT NULL AND answer_tokens IS NOT NULL
              AND reason IN ('judge', 'session', 'budget', 'load', 'judge_failed', 'self_judged', 'escalated')
    )
    GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT DO UPDATE SET
        answers = answers + excluded.answers,
        tokens = tokens + excluded.tokens,
        tokens_squared = tokens_squared + excluded.tokens_squared,
        seconds = seconds + excluded.seconds,
        seconds_squared = seconds_squared + excluded.seconds_squared
"""

MIGRATIONS: Sequence[str] = (
    # 1: `seq` is the order of arrival, which paging follows: clocks jump. The indexes end in it, as SQLite's all do, so
    # that every filter of a tenant's decisions reads its page from the end of a range, without sorting.
    """
    CREATE TABLE decisions (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        time REAL NOT NULL,
        tenant TEXT NOT NULL,
        api TEXT NOT NULL,
        asked TEXT NOT NULL,
        profile TEXT NOT NULL,
        mode TEXT NOT NULL,
        reason TEXT NOT NULL,
        because TEXT NOT NULL,
        score REAL,
        threshold REAL,
        judge TEXT NOT NULL,
        pool TEXT NOT NULL,
        model TEXT NOT NULL,
        fallback_from TEXT NOT NULL,
        status INTEGER NOT NULL,
        stream INTEGER NOT NULL,
        prompt_tokens INTEGER,
        reasoning_tokens INTEGER,
        answer_tokens INTEGER,
        ttft_s REAL,
        duration_s REAL NOT NULL,
        judge_s REAL NOT NULL,
        prompt TEXT
    );
    CREATE INDEX decisions_tenant ON decisions (tenant);
    CREATE INDEX decisions_mode ON decisions (tenant, mode);
    CREATE INDEX decisions_reason ON decisions (tenant, reason);
    """,
    # 2: feedback, and sums by the hour, so that savings never read decisions (but here, once, those that are there).
    """
    CREATE TABLE feedback (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        decision_id TEXT NOT NULL,
        time REAL NOT NULL,
        verdict TEXT NOT NULL,
        correct INTEGER,
        note TEXT,
        tenant TEXT NOT NULL,
        idempotency TEXT
    );
    CREATE INDEX feedback_decision ON feedback (tenant, decision_id);
    CREATE UNIQUE INDEX feedback_idempotency ON feedback (tenant, idempotency);
    CREATE TABLE hours (
        tenant TEXT NOT NULL,
        hour INTEGER NOT NULL,
        profile TEXT NOT NULL,
        mode TEXT NOT NULL,
        band INTEGER NOT NULL,
        answers INTEGER NOT NULL,
        tokens REAL NOT NULL,
        tokens_squared REAL NOT NULL,
        seconds REAL NOT NULL,
        seconds_squared REAL NOT NULL,
        PRIMARY KEY (tenant, hour, profile, mode, band)
    ) WITHOUT ROWID;
    CREATE INDEX hours_hour ON hours (hour);
    """
    + SUM_UP.format(after=0),
    # 3: with which probability the mode was chosen, for learning from what was tried
    "ALTER TABLE decisions ADD COLUMN propensity REAL",
    # 4: what the other mode did, beside what the client got
    """
    CREATE TABLE shadows (
        seq INTEGER PRIMARY KEY,
        decision_id TEXT NOT NULL UNIQUE,
        time REAL NOT NULL,
        profile TEXT NOT NULL,
        mode TEXT NOT NULL,
        tokens INTEGER NOT NULL,
        seconds REAL NOT NULL,
        client_tokens INTEGER NOT NULL,
        client_seconds REAL NOT NULL,
        answer TEXT,
        tenant TEXT NOT NULL
    );
    CREATE INDEX shadows_tenant ON shadows (tenant, time)
    """,
)


class NewerSchema(Exception):
    """The file was written by a later version of the gateway."""


def migrate(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring a file, empty or older, to the newest schema, or change nothing. Raises NewerSchema or sqlite3.Error."""
    if version_of(connection) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")  # of several gateways that start on one file, one migrates
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, applied REAL NOT NULL)")
        version = version_of(connection)
        if version > len(migrations):
            raise NewerSchema(
                f"the file's schema has version {version}, this gateway knows {len(migrations)}: a newer one wrote it"
            )
        for step in range(version, len(migrations)):
            for statement in migrations[step].split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute("INSERT INTO migrations VALUES (?, ?)", (step + 1, time.time()))
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def version_of(connection: sqlite3.Connection) -> int:
    """The number of the last step that a file has seen; 0 for an empty file."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'").fetchone():
        return 0
    version: int = connection.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchone()[0]
    return version
