"""Asks the other mode what it would have answered, when nobody waits. Knows exchanges that are over; no client.

Nothing here can fail or delay a request: a shadow begins after its client's answer has ended, by a connection of its
own, and only where the pool has room; it is broken off when the pool is pressed.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from app.config_file import ConfigError
from app.decisions.log import DecisionLog
from app.decisions.record import PROMPT_CHARS
from app.decisions.shadow import Shadow
from app.decisions.store import StoreError
from app.metrics.instruments import Counters
from app.policies.pressure import pressure_of
from app.pools.http_clients import HttpClients
from app.pools.pool import Pool
from app.settings import Settings
from app.shadowing.settings import ShadowSettings
from router.mode import Mode, Reason

if TYPE_CHECKING:
    from app.dataplane.plan import Plan
    from app.dataplane.planner import Planner
    from app.dataplane.routed import RoutedExchange

HOUR_S = 3600.0
LOOK_S = 0.5
"""How often a shadow that runs looks whether the pool is pressed."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Shadows:
    """The shadows of all profiles that have them. `counted` is by outcome: kept, failed, broken_off, no_room,
    no_tokens."""

    def __init__(
        self,
        policies: Mapping[str, ShadowSettings],
        planner: "Planner",
        log: DecisionLog,
        counted: Counters,
        connect_s: float,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._policies = dict(policies)
        self._planner = planner
        self._log = log
        self._counted = counted
        self._draw = draw
        self._clients = HttpClients(httpx.Timeout(None, connect=connect_s), transport)
        self._running: set[asyncio.Task[None]] = set()
        self._spent: dict[str, deque[tuple[float, int]]] = {name: deque() for name in policies}

    def over(self, exchange: "RoutedExchange", duration_s: float) -> None:
        """A client has its whole answer: perhaps a shadow begins."""
        plan = exchange.plan
        policy = self._policies.get(plan.profile.name)
        if policy is None or self._draw() >= policy.share or not _can_be(exchange):
            return
        usage = exchange.usage
        assert usage is not None  # noqa: S101 - _can_be has looked
        other = self._planner.fall_back(plan)
        if len(self._running) >= policy.max_in_flight or not _has_room(other.pool, policy):
            self._counted("no_room").inc()
        elif other.routing.mode is Mode.THINKING and self._used(plan.profile.name) >= policy.thinking_tokens_per_hour:
            self._counted("no_tokens").inc()
        else:
            asked = exchange.client.loop.create_task(
                self._shadow(other, policy, exchange.tenant, usage.completion_tokens, duration_s)
            )
            self._running.add(asked)
            asked.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Break off what runs."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._clients.close()

    # ------------------------------------------------------------------ inside

    def _used(self, profile: str) -> int:
        """Tokens of thinking that the profile's shadows have used in the last hour."""
        spent, now_s = self._spent[profile], monotonic()
        while spent and spent[0][0] <= now_s - HOUR_S:
            spent.popleft()
        return sum(tokens for _, tokens in spent)

    async def _shadow(
        self, other: "Plan", policy: ShadowSettings, tenant: str, client_tokens: int, client_s: float
    ) -> None:
        """Get the other mode's answer (`other` is its plan), and keep what it took."""
        try:
            asking = asyncio.ensure_future(self._ask(other))
            outcome = await _while_room(asking, other.pool, policy)
            if outcome is None:
                self._counted("broken_off").inc()
                return
            tokens, seconds, answer = outcome
            if other.routing.mode is Mode.THINKING:
                self._spent[other.profile.name].append((monotonic(), tokens))
            kept = answer[:PROMPT_CHARS] if self._log.store_prompts else None
            shadow = Shadow(
                other.routing.decision_id,
                time(),
                other.profile.name,
                other.routing.mode,
                tokens,
                round(seconds, 4),
                client_tokens,
                round(client_s, 4),
                kept,
            )
            await self._log.ask(self._log.keep_shadow, tenant, shadow)
            self._counted("kept").inc()
        except (httpx.HTTPError, StoreError, msgspec.DecodeError, LookupError, TypeError, ValueError, RuntimeError):
            self._counted("failed").inc()  # nobody waits for it

    async def _ask(self, plan: "Plan") -> tuple[int, float, str]:
        """(tokens, seconds, answer) of the other mode. Raises what the connection or the answer's shape raises."""
        replica = plan.pool.choose()
        if replica is None:
            raise LookupError("no replica")
        body = {**_decode(plan.body), "stream": False}
        body.pop("stream_options", None)
        request = replica.http_request("/v1/chat/completions")
        request["headers"]["content-type"] = "application/json"
        started = monotonic()
        replica.in_flight += 1
        try:
            answer = await self._clients.of(replica).post(content=_encode(body), **request)
        finally:
            replica.in_flight -= 1
        if answer.status_code != 200:
            raise ValueError(f"status {answer.status_code}")
        found: dict[str, Any] = _decode(answer.content)
        text = found["choices"][0]["message"].get("content") or ""
        return int(found["usage"]["completion_tokens"]), monotonic() - started, text


def shadows_of(settings: Settings, planner: "Planner", log: DecisionLog | None, counted: Counters) -> Shadows | None:
    """The configured shadows; None where no profile has any. Raises ConfigError where there is no log for them."""
    policies = {name: profile.shadow for name, profile in settings.profiles.items() if profile.shadow is not None}
    if not policies:
        return None
    if log is None:
        raise ConfigError(
            f"profiles.{next(iter(policies))}.shadow: shadows are kept in the decision log (decisions.url)"
        )
    return Shadows(policies, planner, log, counted, settings.timeouts.connect_s)


async def _while_room(
    asking: "asyncio.Future[tuple[int, float, str]]", pool: Pool, policy: ShadowSettings
) -> tuple[int, float, str] | None:
    """What is asked for; None where it was broken off, since others need the pool or it took too long."""
    until_s = monotonic() + policy.timeout_s
    try:
        while True:
            done, _ = await asyncio.wait((asking,), timeout=min(LOOK_S, max(0.0, until_s - monotonic())))
            if done:
                return asking.result()
            if monotonic() >= until_s or _pressed(pool, policy):
                return None
    finally:
        if not asking.done():
            asking.cancel()
            with suppress(asyncio.CancelledError, httpx.HTTPError):
                await asking


def _pressed(pool: Pool, policy: ShadowSettings) -> bool:
    return pool.waiting > 0 or pressure_of(pool) > policy.max_pressure


def _has_room(pool: Pool, policy: ShadowSettings) -> bool:
    up = sum(replica.up for replica in pool.replicas)
    return up > 0 and pool.in_flight <= policy.max_beside * up and not _pressed(pool, policy)


def _can_be(exchange: "RoutedExchange") -> bool:
    """One that the judge alone decided and that was answered as decided; with tools the other mode's call would be of
    no use, and several choices would be several answers."""
    plan = exchange.plan
    return (
        exchange.api == "chat"
        and exchange.usage is not None
        and plan.route is not None
        and plan.routing.reason is Reason.JUDGE
        and plan.request.tools == 0
        and plan.request.choices == 1
    )
