"""One replica of a pool: its address, its idle connections, its health as seen. Knows no policy."""

import asyncio
import time
from urllib.parse import urlsplit

from app.pools.connection import Connection
from app.settings import Timeouts

# uvicorn, which serves vLLM, closes idle connections after 5 s; a request sent at that moment would be lost.
IDLE_LIMIT_S = 4.0


class Replica:
    """`in_flight` counts requests that have not ended; `up` is what the last check or request said."""

    def __init__(self, url: str, api_key: str | None, timeouts: Timeouts) -> None:
        parts = urlsplit(url)
        assert parts.hostname  # noqa: S101 - the settings have checked it
        self.url = url
        self.host = parts.hostname
        self.port = parts.port or 80
        self.up = True
        self.in_flight = 0
        self._timeouts = timeouts
        self._api_key = api_key
        self._idle: list[Connection] = []  # last in, first out: the warmest connection, and the rest may expire
        name = f"[{self.host}]" if ":" in self.host else self.host
        head = f"host: {name}:{self.port}\r\n"
        if api_key:
            head += f"authorization: Bearer {api_key}\r\n"
        self.head = head.encode("latin-1")

    def auth_header(self) -> dict[str, str]:
        """The key's header, for those who ask by other means than this connection pool."""
        return {"authorization": f"Bearer {self._api_key}"} if self._api_key else {}

    def idle_connection(self) -> Connection | None:
        """A connection that was used before and is still open, or None."""
        now = time.monotonic()
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.closed:
                continue
            if now - connection.idle_since_s > IDLE_LIMIT_S:
                connection.abort()
                continue
            return connection
        return None

    def connect(self) -> "asyncio.Task[Connection]":
        """A new connection; the task raises OSError or TimeoutError. A task, since time limits need one."""
        return asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeouts.connect_s):
            _, connection = await loop.create_connection(Connection, self.host, self.port)
        return connection

    def release(self, connection: Connection) -> None:
        """Take back a connection; one that cannot be used again is closed."""
        if connection.reusable():
            connection.idle_since_s = time.monotonic()
            self._idle.append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().abort()
