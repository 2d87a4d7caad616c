"""One replica of a pool: its address, its idle connections, its health as seen. Knows no policy.

Health has two sources: `up` is what the last check or connection attempt said, the breaker what the requests say.
"""

import asyncio
import time
import zlib
from collections import deque
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

from app.pools.answer_head import KnownHeads
from app.pools.breaker import Breaker
from app.pools.connection import Connection
from app.pools.queue_depth import QueueDepth
from app.pools.settings import Health, Timeouts
from app.pools.time_limit import within

# uvicorn, which serves vLLM, closes idle connections after 5 s; a request sent at that moment would be lost.
IDLE_LIMIT_S = 4.0
_HEALTH = Health()


class Replica:
    """`in_flight` counts requests that have not ended, connecting ones included: who chooses a replica counts it up.

    `well`: up, and its breaker closed. `load_beyond`: requests at the backend beyond those in flight here, by its own
    word. `place` is its number in the pool. `address` is the IP address to connect to where the name is not looked up
    by the system.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        timeouts: Timeouts,
        health: Health = _HEALTH,
        *,
        tls: SSLContext | None = None,
        server_name: str = "",
        address: str = "",
        place: int = 0,
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname  # noqa: S101 - the settings have checked it
        self.url = url
        self.name = url if not address else f"{url} ({address})"
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.place = place
        self.up = self.well = True
        self.retired = False
        self.in_flight = 0
        self.load_beyond = 0.0
        self.depth: QueueDepth | None = None  # its own word, as it came
        self.salt = zlib.crc32(self.name.encode())
        self.address = address
        self.tls = tls if parts.scheme == "https" else None
        self._server_name = (server_name or self.host) if self.tls is not None else None
        self._timeouts = timeouts
        self._api_key = api_key
        self._breaker = Breaker(health)
        self._troubled = False  # something has failed since the last success
        self._known = KnownHeads()
        self._idle: deque[Connection] = deque()  # last in, first out: the warmest connection, and the rest may expire
        name = f"[{self.host}]" if ":" in self.host else self.host
        self._authority = f"{name}:{self.port}"
        head = f"host: {self._authority}\r\n"
        if api_key:
            head += f"authorization: Bearer {api_key}\r\n"
        self.head = head.encode("latin-1")
        self._target = address or self.host
        numeric = f"[{self._target}]" if ":" in self._target else self._target
        self._base = f"{parts.scheme}://{numeric}:{self.port}"

    # ------------------------------------------------------------------ health

    def checked(self, up: bool) -> None:
        """A health check, or an attempt to connect, has told whether it can be reached."""
        self.up = up
        if not up:
            self._troubled = True
            self.load_beyond = 0.0
        self.well = up and self._breaker.closed

    def answering(self) -> None:
        """It begins to answer a request."""
        if not self.well:
            self._breaker.answering(time.monotonic())
            self.up = self.well = True

    def succeeded(self) -> None:
        """It has answered a request, to the end."""
        if self._troubled:
            self._troubled = False
            self._breaker.succeeded(time.monotonic())
            self.up = self.well = True

    def failed(self) -> bool:
        """It has not answered a request, or broke off; whether it is left alone from now on."""
        self._troubled = True
        opened = self._breaker.failed(time.monotonic())
        self.well = self.up and self._breaker.closed
        return opened

    def may_try(self, now_s: float) -> bool:
        """It is left alone: is it time that one request tries?"""
        return self.up and self._breaker.may_try(now_s)

    def trying(self, now_s: float) -> None:
        """One request tries."""
        self._breaker.trying(now_s)

    def no_verdict(self) -> None:
        """A request has ended without telling anything of the replica, for its client left."""
        if self._troubled:
            self._breaker.given_up(time.monotonic())

    def queue_seen(self, running: float, waiting: float, cache: float = 0.0) -> None:
        """What the backend says of all its requests. Those that it lets wait count twice: there, another one will."""
        self.depth = QueueDepth(running, waiting, cache)
        self.load_beyond = max(0.0, running + waiting - self.in_flight) + waiting

    # ------------------------------------------------------------------ other ways to ask it

    def http_request(self, path: str) -> dict[str, Any]:
        """Arguments for httpx, for those who ask by other means than this connection pool."""
        headers = {"host": self._authority, **self.auth_header()}
        extensions = {"sni_hostname": self._server_name} if self._server_name else {}
        return {"url": self._base + path, "headers": headers, "extensions": extensions}

    def auth_header(self) -> dict[str, str]:
        """The key's header, for those who ask by other means than this connection pool."""
        return {"authorization": f"Bearer {self._api_key}"} if self._api_key else {}

    # ------------------------------------------------------------------ connections

    def idle_connection(self) -> Connection | None:
        """A connection that was used before and is still open, or None."""
        idle = self._idle
        if not idle:
            return None
        now = time.monotonic()
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
        opening = asyncio.get_running_loop().create_connection(
            lambda: Connection(self._known),
            self._target,
            self.port,
            ssl=self.tls,
            server_hostname=self._server_name,
        )
        _, connection = await within(self._timeouts.connect_s, opening)
        return connection

    def release(self, connection: Connection) -> None:
        """Take back a connection; one that cannot be used again is closed."""
        if connection.reusable() and not self.retired:
            connection.idle_since_s = time.monotonic()
            self._idle.append(connection)
        else:
            connection.abort()

    def drop_stale(self) -> None:
        """Close the connections that have been idle for too long to be used again."""
        idle, oldest_s = self._idle, time.monotonic() - IDLE_LIMIT_S
        while idle and (idle[0].closed or idle[0].idle_since_s < oldest_s):
            idle.popleft().abort()

    def retire(self) -> None:
        """It leaves its pool: what is in flight ends in peace, and no connection is kept."""
        self.retired = True
        self.close()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().abort()
