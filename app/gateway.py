"""Composition: every collaborator is made and wired here, once. Knows all parts; does none of their work.

The data plane stands in front of FastAPI: a streamed request never enters the framework, whose layers cost more than
the gateway's whole work (docs/benchmarks.md). Under the gateway's own server it does not even enter ASGI
(server/lane.py); under any other it does. FastAPI answers everything else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx
from fastapi import FastAPI

from app.api.console import console, console_paths
from app.api.decisions import decisions
from app.api.documentation import document_data_plane
from app.api.dry_run import dry_run
from app.api.feedback import feedback
from app.api.models import models
from app.api.operations import VERSION, operations
from app.api.savings import savings
from app.auth import Authenticator
from app.callers import anyone, callers_from
from app.config_file import ConfigError
from app.dataplane.asgi_client import AsgiClient, Receive, Send, read_body
from app.dataplane.chat import chat
from app.dataplane.client import Client, ClientGone, Endpoint
from app.dataplane.completions.endpoint import completions
from app.dataplane.deadlines import Deadlines
from app.dataplane.exchange import Exchange
from app.dataplane.messages.endpoint import count_tokens, messages
from app.dataplane.passthrough.endpoint import PASSED_THROUGH, PassThroughEndpoint
from app.dataplane.plan import Caller
from app.dataplane.planner import Planner
from app.dataplane.request_head import RequestHead
from app.dataplane.responses.by_id import ResponseById, is_by_id
from app.dataplane.responses.endpoint import ResponsesEndpoint
from app.dataplane.responses.made import MadeResponses
from app.dataplane.second_answer import Rescuer
from app.dataplane.services import Services
from app.decisions.log import DecisionLog
from app.decisions.url import StoreMissing, store_for
from app.error_answers import naming, one_error_shape, send_error
from app.errors import GatewayError, MethodNotAllowed, RateLimited
from app.judging.backend_judge import BackendJudge, instruct_pool
from app.keys.keyring import Keyring
from app.metrics import Meters
from app.observing.build import observer_for
from app.oidc.build import issuer_for, token_check
from app.pools.discovery import Discovery
from app.pools.health import HealthChecks
from app.pools.pool import Pool
from app.pools.replica import Replica
from app.settings import Settings
from app.shadowing.shadows import Shadows, shadows_of
from app.state.shared import Shared
from app.state.stable import stable_hash
from router.judges import load_judge
from router.judges.base import Judge
from router.judges.cascade import CascadePolicy
from router.judges.question import NO, QUESTION, YES, Question
from router.think_router import ThinkRouter

CLOSE_AFTER_S = 30.0  # questions to a backend that were asked before a reload are answered by then
_FIXED_SERVER = ("host", "port", "listeners", "workers")
_FIXED = ("decisions", "state", "access_log", "tracing")


class Gateway:
    """The ASGI application."""

    def __init__(self, settings: Settings, judge: Judge, health_transport: httpx.AsyncBaseTransport | None) -> None:
        self.stopping = False
        self.pools: dict[str, Pool] = {}  # one for good: others look at it
        self.leaving: list[Pool] = []  # no longer configured, but with requests that have not ended
        self.meters = Meters(self.pools.values(), lambda: self.planner.policies)
        self.decisions = decision_log(settings, self.meters)
        self._observer = observer_for(settings.access_log, settings.tracing, self.meters.observations_dropped)
        self.shared = Shared(settings, self.meters, lambda: self.planner.policies)
        self._sessions, self._ledgers = self.shared.sessions, self.shared.ledgers
        self._deadlines = Deadlines()
        self._discovery = Discovery(self.pools.values())
        self._health = HealthChecks(
            self.pools.values(),
            settings.health,
            self._replica_changed,
            transport=health_transport,
            leaving=self.leaving,
        )
        self._responses = MadeResponses()
        self._closing: set[asyncio.Task[None]] = set()
        self._use(self._make(settings, judge))

    def apply(self, settings: Settings, judge: Judge) -> list[str]:
        """Use another configuration from now on, as a whole or not at all; what still needs a restart.

        Requests that have begun end by the old one. Raises ConfigError.
        """
        settings, unchanged = keep_fixed(settings, self.settings)
        parts = self._make(settings, judge)
        keyring, asking, rescuer = self._keyring, self.planner.backend_judge, self.planner.rescuer
        shadows = self._services.shadows
        parts.planner.policies.succeed(self.planner.policies)
        parts.keyring.succeed(keyring)
        self._use(parts)
        self._discovery.refresh()
        self._keyring.start()
        self._close(keyring.stop())
        if asking is not None:
            self._close(_later(asking.close))
        if rescuer is not None:
            self._close(_later(rescuer.close))
        if shadows is not None:
            self._close(_later(shadows.close))
        return unchanged

    def _make(self, settings: Settings, judge: Judge) -> "_Parts":
        """All that depends on the configuration; touches nothing that is in use. Raises ConfigError."""
        pools = pools_from(settings)
        keyring = Keyring(settings.auth, self._keys_changed, issuer_for(settings.auth, self.meters.oidc_fetches))
        asking = self._backend_judge(settings, judge, pools, lambda: planner)
        router = ThinkRouter(asking or judge, sessions=self._sessions, default_mode=settings.judge.on_failure)
        planner = Planner(settings, router, pools)
        planner.backend_judge = asking
        planner.rescuer = Rescuer(planner, settings.timeouts)
        if self.shared.sharing is not None:
            planner.opening_hash = stable_hash
        shadows = shadows_of(settings, planner, self.decisions, self.meters.shadows)
        return _Parts(settings, pools, keyring, router, planner, shadows)

    def _use(self, parts: "_Parts") -> None:
        """Put the parts in the places of those in use."""
        settings = self.settings = parts.settings
        self.router, self.planner, self._keyring = parts.router, parts.planner, parts.keyring
        for name, pool in self.pools.items():
            if name in parts.pools:
                parts.pools[name].succeed(pool)
            else:
                pool.retire()
                self.leaving.append(pool)
        self.leaving[:] = [pool for pool in self.leaving if pool.in_flight or pool.waiting]
        self.pools.clear()
        self.pools.update(parts.pools)
        self._sessions.capacity, self._sessions.ttl_s = settings.sessions.capacity, settings.sessions.ttl_s
        self._health.settings = settings.health
        self._auth = self._authenticator(settings)
        self._ledgers.forget_unused()
        self._services = Services(
            self.planner,
            self.meters,
            settings.timeouts,
            self.decisions,
            self._deadlines,
            self._observer,
            parts.shadows,
        )
        self._data_plane = self._endpoints()
        self.api = self._control_plane(f"{self.router.judge.name}@{self.router.judge.version}")

    def _close(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """ASGI entry: key first, then the data plane or FastAPI."""
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        head = RequestHead(scope["path"], scope["headers"])
        path, by_name = head.path, head.by_name
        endpoint = self._endpoint(scope["method"], path, scope["query_string"])
        if endpoint is not None:
            client = AsgiClient(receive, send, asyncio.get_running_loop())
            try:
                caller = self.may_call(path, by_name)
                server = self.settings.server
                body = await read_body(receive, head.headers, server.max_body_bytes, server.body_timeout_s)
            except ClientGone:
                return
            except GatewayError as error:
                send_error(client, error, path, by_name)
                return
            client.watch()
            endpoint.answer(client, head, body, caller)
            await client.finished
            client.close()
            return
        try:
            scope["thinkgate.caller"] = self.may_call(path, by_name)
            allowed = "POST" if path in self._data_plane else is_by_id(path)
            if allowed:
                raise MethodNotAllowed(f"{path[:200]} takes {allowed}, not {scope['method']}.", allow=allowed)
        except GatewayError as error:
            send_error(AsgiClient(receive, send, asyncio.get_running_loop()), error, path, by_name)
            return
        await self.api(scope, receive, naming(send, by_name))

    def _endpoints(self) -> dict[str, Endpoint]:
        """The data plane's endpoints by path; all take POST."""
        services = self._services
        passed: dict[str, Endpoint] = {path: PassThroughEndpoint(services, path) for path in PASSED_THROUGH}
        return {
            "/v1/chat/completions": chat(services),
            "/v1/completions": completions(services),
            "/v1/responses": ResponsesEndpoint(services, self._responses),
            "/v1/messages": messages(services),
            "/v1/messages/count_tokens": count_tokens(services),
            **passed,
        }

    def _endpoint(self, method: str, path: str, query: bytes) -> Endpoint | None:
        """Who answers a request of the data plane; None for what is FastAPI's."""
        if method == "POST" and path in self._data_plane:
            return self._data_plane[path]
        if method == is_by_id(path):
            return ResponseById(self._services, self._responses, query)
        return None

    def serves_directly(self, path: str) -> bool:
        """Is a POST to this path the data plane's, so that the server may call `answer` instead of ASGI?"""
        return path in self._data_plane

    def may_call(self, path: str, by_name: Mapping[bytes, bytes]) -> Caller:
        """The caller of a request. Raises as its key does; a data-plane request is counted, and RateLimited raised."""
        try:
            caller = self._auth.caller(path, by_name)
            if caller.ledger is not None and path in self._data_plane:
                caller.ledger.request(monotonic())
        except GatewayError as error:
            if isinstance(error, RateLimited):
                self.meters.shed("limit").inc()
            if self._observer is not None and path in self._data_plane:
                self._observer.turned_away(path, error.status)
            raise
        return caller

    def answer(self, client: Client, head: RequestHead, body: bytes, caller: Caller) -> None:
        """Begin to answer a data-plane request whose key was good and whose body has been read. Never raises."""
        self._data_plane[head.path].answer(client, head, body, caller)

    def _backend_judge(
        self, settings: Settings, first: Judge, pools: dict[str, Pool], planner: Callable[[], Planner]
    ) -> BackendJudge | None:
        """The judge that asks a backend, where the settings want one; `first` is a cascade's own."""
        j = settings.judge
        if j.kind not in ("llm", "cascade"):
            return None
        return BackendJudge(
            instruct_pool(pools, j.pool),
            lambda pending, pool: planner().instruct_fields(pending, pool),
            timeout_s=(j.timeout_ms or 1000.0) / 1e3,
            first=first if j.kind == "cascade" else None,
            policy=CascadePolicy(j.margin, j.weight),
            question=Question(
                j.question.text or QUESTION,
                frozenset(word.strip().lower() for word in j.question.yes) or YES,
                frozenset(word.strip().lower() for word in j.question.no) or NO,
            ),
        )

    def _authenticator(self, settings: Settings) -> Authenticator:
        everyone = anyone(settings, self._ledgers)
        if settings.auth is None:
            return Authenticator(None, anyone=everyone)
        callers = callers_from(self._keyring.grants(), settings, self._ledgers)
        tokens = token_check(self._keyring.issuer, settings, self._ledgers)
        return Authenticator(callers, (*settings.auth.open_paths, *console_paths(settings.console)), everyone, tokens)

    def _keys_changed(self) -> None:
        """The keys file has changed, or one of its keys has expired."""
        self._auth.replace(callers_from(self._keyring.grants(), self.settings, self._ledgers))

    def _replica_changed(self, pool: Pool, replica: Replica) -> None:
        """A health check has found another state."""
        pool.capacity_changed()
        for waiting in self._deadlines.kept():
            if isinstance(waiting, Exchange):
                waiting.move_on()

    def _control_plane(self, judge: str) -> FastAPI:
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            if self.decisions is not None:
                self.decisions.start()
            if self._observer is not None:
                self._observer.start()
            await self.shared.start()
            self._keyring.start()
            await self._discovery.start()
            await self._health.start()
            yield
            await self._keyring.stop()
            await self._discovery.stop()
            await self._health.stop()
            for task in self._closing:
                task.cancel()
            if self._services.shadows is not None:
                await self._services.shadows.close()
            if self.planner.rescuer is not None:
                await self.planner.rescuer.close()
            if self.planner.backend_judge is not None:
                await self.planner.backend_judge.close()
            for pool in self.pools.values():
                pool.close()
            await self.shared.stop()
            if self.decisions is not None:
                await self.decisions.stop()
            if self._observer is not None:
                await self._observer.stop()

        api = FastAPI(
            title="ThinkGate",
            version=VERSION,
            summary="An OpenAI-compatible gateway that decides for each request whether the answer needs thinking.",
            lifespan=lifespan,
            redirect_slashes=False,
        )
        api.include_router(operations(self.settings, self.pools, self.meters, judge, lambda: self.stopping))
        api.include_router(models(self.settings))
        api.include_router(dry_run(self.planner, self.settings.server))
        api.include_router(decisions(self.decisions))
        api.include_router(
            feedback(self.decisions, self.settings.server, lambda mode, word: self.meters.feedback(mode, word).inc())
        )
        api.include_router(savings(self.decisions))
        api.include_router(console(self.settings.console))
        document_data_plane(api)
        one_error_shape(api)
        return api


async def _later(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await asyncio.sleep(CLOSE_AFTER_S)
    await close()


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a configuration makes."""

    settings: Settings
    pools: dict[str, Pool]
    keyring: Keyring
    router: ThinkRouter
    planner: Planner
    shadows: Shadows | None


def keep_fixed(settings: Settings, old: Settings) -> tuple[Settings, list[str]]:
    """The new settings with the old ones' values where only a restart can change them, and the names of those."""
    names = [f"server.{n}" for n in _FIXED_SERVER if getattr(settings.server, n) != getattr(old.server, n)]
    server = settings.server.model_copy(update={n: getattr(old.server, n) for n in _FIXED_SERVER})
    names += [name for name in _FIXED if getattr(settings, name) != getattr(old, name)]
    return settings.model_copy(update={"server": server, **{name: getattr(old, name) for name in _FIXED}}), names


def create_app(
    settings: Settings, *, judge: Judge | None = None, health_transport: httpx.AsyncBaseTransport | None = None
) -> Gateway:
    """The gateway for `settings`. A `judge` or the health checks' transport may be given instead of the configured."""
    if judge is None:
        judge = judge_from(settings)
    return Gateway(settings, judge, health_transport)


def decision_log(settings: Settings, meters: Meters) -> DecisionLog | None:
    """The configured log, which opens nothing before it is started. Raises ConfigError where it cannot be made."""
    kept = settings.decisions
    if not kept.url:
        return None
    try:
        store = store_for(kept.url)
    except (StoreMissing, ValueError) as error:
        raise ConfigError(f"decisions.url: {error}") from error
    return DecisionLog(
        store,
        keep_days=kept.keep_days,
        store_prompts=kept.store_prompts,
        dropped=meters.decisions_dropped,
    )


def pools_from(settings: Settings) -> dict[str, Pool]:
    """The configured pools. Raises ConfigError for certificates that cannot be read."""
    pools = {}
    for name, pool in settings.pools.items():
        try:
            pools[name] = Pool(name, pool, settings.timeouts, health=settings.health, retries=settings.retries)
        except OSError as error:
            raise ConfigError(f"pools.{name}.{error}") from error
    return pools


def judge_from(settings: Settings) -> Judge:
    """The configured judge; raises what its loading raises."""
    j = settings.judge
    options: dict[str, Any] = {}
    if j.kind in ("llm", "cascade"):  # a cascade begins with the linear judge; the llm judge asks in any case
        return load_judge("linear", **({"path": j.path} if j.path else {}))
    if j.kind in ("linear", "encoder") and j.path:
        options["path"] = j.path
    elif j.kind == "constant":
        options["score"] = j.score
    elif j.kind == "random":
        options["seed"] = j.seed
    return load_judge(j.kind, **options)
