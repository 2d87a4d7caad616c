"""What this gateway tells others by way of Redis, and hears of them. Knows Redis; knows no request.

No request waits for it: decisions are made from memory, and every few milliseconds what was used here is told and what
others have used is heard (`Sharing.exchange`). Sessions of others come by a stream that is read all the time. Where the
server is away, slow or empty, every gateway goes on by itself, and tells everything again when it is back.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from time import monotonic
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.limits.account import Account
from app.limits.ledgers import Ledgers
from app.metrics.instruments import Counters
from app.state.peers import Peers
from app.state.script import ALIVE_S, EXCHANGE
from app.state.sessions import SharedSessions
from app.state.settings import State
from app.state.stable import digest
from app.state.window import SharedWindow
from router.policies.peers import Peer

log = logging.getLogger("thinkgate")
FULL_EVERY_S = 1.0
"""How often everything is told and asked for, not only what has changed here."""
FEW = 200
"""So many windows and counts of flights are told and asked for every time."""
MOST_SESSIONS = 10_000
MOST_WINDOWS = 2_000
_BLOCK_MS = 1000
_WORST_WAIT_S = 1.0
_FAILURES = (RedisError, OSError, TimeoutError, EOFError)


class Sharing:
    """Shares `sessions` and the accounts of `ledgers` with gateways of the same prefix. `errors` counts by kind."""

    def __init__(self, settings: State, sessions: SharedSessions, ledgers: Ledgers, errors: Counters) -> None:
        self._settings = settings
        self._sessions = sessions
        self._ledgers = ledgers
        self._errors = errors
        self._me = secrets.token_hex(8)
        self._base = f"{{{settings.prefix}}}"  # in braces: all keys are in one slot of a cluster
        self._counters: dict[str, SharedWindow] = {}
        self._peers = Peers()
        self.controllers: Callable[[], Iterable[tuple[Hashable, Peer]]] = lambda: ()
        """Those that act together with their like in other gateways, by names that are the same there."""
        self._flights: dict[bytes, int] = {}  # as the server has them
        self._full_s = float("-inf")
        self._offset_s: float | None = None  # the server's clock less the monotonic one
        self._last_s = monotonic()
        self._well = True
        self._tasks: list[asyncio.Task[None]] = []
        self._redis = self._client(settings.timeout_ms / 1e3)
        self._script = self._redis.register_script(EXCHANGE)
        self._reader = self._client(_BLOCK_MS / 1e3 + settings.timeout_ms / 1e3)

    # ------------------------------------------------------------------ for others

    def counter(self, name: str, span_s: float) -> SharedWindow:
        """What all gateways have counted under a name in the last `span_s` seconds: `add` and `used` of a window."""
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = SharedWindow(0, span_s)
        return counter

    @property
    def behind_s(self) -> float:
        """How long ago the last exchange was."""
        return monotonic() - self._last_s

    async def start(self) -> None:
        """Begin; the server need not be there."""
        self._last_s = monotonic()
        self._tasks = [asyncio.create_task(self._exchange_forever()), asyncio.create_task(self._read_forever())]

    async def stop(self) -> None:
        """Tell what is left, once, and end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._full_s = float("-inf")
        with suppress(*_FAILURES):
            async with asyncio.timeout(2 * self._settings.timeout_ms / 1e3):
                await self.exchange()
                await self._redis.hdel(f"{self._base}:alive", self._me)
        for client in (self._redis, self._reader):
            with suppress(*_FAILURES):
                await client.aclose()

    # ------------------------------------------------------------------ telling

    async def exchange(self) -> None:
        """Tell what has changed here, now and then everything; hear what others have used. Raises as redis does."""
        now_s = monotonic()
        full = now_s - self._full_s >= FULL_EVERY_S
        windows, flights = list(self._windows()), list(self._in_flight())
        if not full and len(windows) + len(flights) > FEW:
            windows = [one for one in windows if one[1].mine != one[1].sent]
            flights = [one for one in flights if one[1].in_flight != self._flights.get(one[0], 0)]
        entries = self._sessions.take(MOST_SESSIONS)
        words = self._peers.tell(self.controllers(), now_s)
        if not (full or windows or flights or entries or words):
            return
        try:
            while True:
                some, windows = windows[:MOST_WINDOWS], windows[MOST_WINDOWS:]
                await self._tell(entries, some, words, [] if windows else flights)
                entries, words = b"", []
                if not windows:
                    break
        except BaseException:
            if entries:
                self._sessions.give_back(entries)
            raise
        if full:
            self._full_s = now_s

    async def _tell(
        self,
        entries: bytes,
        windows: list[tuple[str, SharedWindow]],
        words: list[tuple[str, Peer, str]],
        flights: list[tuple[bytes, Account]],
    ) -> None:
        arguments: list[Any] = [self._me, ALIVE_S, self._sessions.ttl_s, entries, len(windows), len(words)]
        now_s = monotonic()
        told = []
        for name, window in windows:
            window.used(now_s)  # turns over what is over
            arguments += (name, window.span_s, window.span, window.mine, window.mine_before)
            told.append(window.mine if window.span else -1.0)
        for word_name, _, word in words:
            arguments += (word_name, word)
        counts = [account.in_flight for _, account in flights]
        for (name_, _), count in zip(flights, counts, strict=True):
            arguments += (f"flight:{name_.hex()}", count)
        answer: list[Any] = await self._script([self._base], arguments)
        now_s = monotonic()
        self._offset_s = float(answer[0]) - now_s
        at = 1
        for (_, window), sent in zip(windows, told, strict=True):
            span, past_s, others, before = answer[at : at + 4]
            window.told(int(span), float(past_s), float(others), float(before), now_s)
            window.sent = sent
            at += 4
        for word_name, peer, _ in words:
            self._peers.hear(word_name, peer, answer[at], now_s)
            at += 1
        for (name_, account), count, elsewhere in zip(flights, counts, answer[at:], strict=True):
            self._flights[name_] = count
            account.elsewhere = int(elsewhere)

    def _windows(self) -> Iterator[tuple[str, SharedWindow]]:
        for name, account in self._ledgers.accounts():
            for what, window in account.windows():
                if isinstance(window, SharedWindow):
                    yield f"used:{digest(name).hex()}:{what}", window
        for counter, window in self._counters.items():
            yield f"count:{counter}", window

    def _in_flight(self) -> Iterator[tuple[bytes, Account]]:
        for name, account in self._ledgers.accounts():
            if account.bounds_flights:
                yield digest(name), account

    async def _exchange_forever(self) -> None:
        wait_s = interval_s = self._settings.interval_ms / 1e3
        while True:
            await asyncio.sleep(wait_s)
            try:
                async with asyncio.timeout(2 * self._settings.timeout_ms / 1e3):
                    await self.exchange()
            except _FAILURES as error:
                self._failed(error)
                wait_s = min(_WORST_WAIT_S, 2 * wait_s)
            except Exception as error:  # a fault of ours must not end the sharing
                self._failed(error)
                wait_s = _WORST_WAIT_S
            else:
                self._went_well()
                wait_s = interval_s

    # ------------------------------------------------------------------ hearing

    async def _read_forever(self) -> None:
        last = ""
        while True:
            try:
                if self._offset_s is None:  # no exchange yet: the server's time is not known
                    await asyncio.sleep(self._settings.interval_ms / 1e3)
                    continue
                if not last:
                    since_s = monotonic() + self._offset_s - self._sessions.ttl_s
                    last = f"{max(0, int(since_s * 1e3))}-0"
                last = await self._read(last, self._offset_s)
            except Exception as error:  # whatever it is, it must not end the reading
                self._errors(_kind(error)).inc()
                await asyncio.sleep(_WORST_WAIT_S)

    async def _read(self, last: str, offset_s: float) -> str:
        """Wait for other gateways' sessions, and keep them; the last entry's name."""
        found: Any = await self._reader.xread({f"{self._base}:sessions": last}, count=200, block=_BLOCK_MS)
        for _, entries in found or ():
            for name, fields in entries:
                last = name.decode()
                if fields.get(b"g") != self._me.encode():
                    at_s = float(last.partition("-")[0]) / 1e3 - offset_s
                    self._sessions.told(fields.get(b"s", b""), min(at_s, monotonic()))
        return last

    # ------------------------------------------------------------------ health

    def _client(self, timeout_s: float) -> "Redis":
        return Redis.from_url(
            self._settings.url.get_secret_value(),
            socket_timeout=timeout_s,
            socket_connect_timeout=self._settings.timeout_ms / 1e3,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            client_name="thinkgate",
        )

    def _failed(self, error: Exception) -> None:
        kind = _kind(error)
        self._errors(kind).inc()
        if self._well:
            self._well = False
            log.warning(
                "state: Redis cannot be used (%s, %s); every gateway counts for itself", kind, type(error).__name__
            )
        if self.behind_s > ALIVE_S:
            for _, account in self._in_flight():
                account.elsewhere = 0

    def _went_well(self) -> None:
        self._last_s = monotonic()
        if not self._well:
            self._well = True
            log.warning("state: Redis is used again")


def _kind(error: BaseException) -> str:
    """A bounded label."""
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return "timeout"
    return "connection" if isinstance(error, OSError) or "Connection" in type(error).__name__ else "answer"
