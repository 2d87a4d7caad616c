"""A connection to PostgreSQL that waits for nothing longer than it was told. Knows the driver; knows no SQL.

A server that is stopped, or a machine that is gone, answers nothing: `statement_timeout` is the server's own, and TCP
would wait for minutes. So the limit is kept on this side too, half as long again: the server's word goes first.
"""

from time import monotonic
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen

CONNECT_LIMIT_S = 5
LOOK_UP_S = 0.1


class ImpatientConnection(psycopg.Connection[Any]):
    """`until_s`, in monotonic seconds, is when it gives up. It is of no use after that."""

    until_s = float("inf")

    def give_up_after(self, limit_s: float) -> None:
        """So long, and half as long, may everything take from now on."""
        self.until_s = monotonic() + 1.5 * limit_s

    def wait(self, gen: PQGen[RV], interval: float = LOOK_UP_S, timeout: float | None = None) -> RV:
        """As the driver waits. Raises psycopg.OperationalError where it takes too long."""
        left_s = max(0.0, self.until_s - monotonic())
        limits_s = [limit for limit in (left_s, timeout) if limit is not None and limit < float("inf")]
        try:
            return super().wait(gen, interval, min(limits_s, default=None))
        except psycopg.OperationalError:
            if monotonic() >= self.until_s:
                self.close()  # else the driver would try to roll back
            raise


def connect(url: str, limit_s: float) -> ImpatientConnection:
    """A connection for `limit_s` seconds of work, without a transaction. Raises psycopg.Error."""
    connection: ImpatientConnection = ImpatientConnection.connect(
        url,
        autocommit=True,
        prepare_threshold=None,  # poolers in between keep no prepared statements
        connect_timeout=CONNECT_LIMIT_S,
        application_name="thinkgate",
    )
    connection.give_up_after(limit_s)
    return connection
