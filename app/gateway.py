"""Composition: every collaborator is made and wired here, once. Knows all parts; does none of their work.

The data plane stands in front of FastAPI: a streamed request never enters the framework, whose layers cost more than
the gateway's whole work (docs/benchmarks.md). Under the gateway's own server it does not even enter ASGI
(server/lane.py); under any other it does. FastAPI answers everything else.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from app.api.documentation import document_data_plane
from app.api.dry_run import dry_run
from app.api.models import models
from app.api.operations import VERSION, operations
from app.auth import Authenticator
from app.dataplane.asgi_client import AsgiClient, Receive, Send, read_body
from app.dataplane.chat import ChatEndpoint
from app.dataplane.client import Client, ClientGone, Headers
from app.dataplane.headers import lines_of
from app.dataplane.plan import Caller, Planner
from app.errors import BadRequest, GatewayError, MethodNotAllowed, NotFound
from app.judging.backend_judge import BackendJudge, instruct_pool
from app.metrics import Meters
from app.pools.health import HealthChecks
from app.pools.pool import Pool
from app.settings import Settings
from router.judges import load_judge
from router.judges.base import Judge
from router.judges.cascade import CascadePolicy
from router.judges.question import NO, QUESTION, YES, Question
from router.session import MemorySessions
from router.think_router import ThinkRouter

log = logging.getLogger("thinkgate")


class Gateway:
    """The ASGI application."""

    def __init__(self, settings: Settings, judge: Judge, health_transport: httpx.AsyncBaseTransport | None) -> None:
        self.settings = settings
        self.pools = {name: Pool(name, pool, settings.timeouts) for name, pool in settings.pools.items()}
        self.meters = Meters(self.pools.values())
        sessions = MemorySessions(settings.sessions.capacity, settings.sessions.ttl_s)
        asking = self._backend_judge(judge)
        self.router = ThinkRouter(asking or judge, sessions=sessions, default_mode=settings.judge.on_failure)
        self.planner = Planner(settings, self.router, self.pools)
        self.planner.backend_judge = asking
        for name, profile in self.planner.profiles.items():
            self.meters.threshold.labels(name).set(profile.threshold)
        self._auth = Authenticator(settings.auth)
        self._health = HealthChecks(
            self.pools.values(), settings.health, lambda _pool, _replica: None, transport=health_transport
        )
        self._data_plane = {"/v1/chat/completions": ChatEndpoint(settings, self.planner, self.meters)}
        self.api = self._control_plane(f"{self.router.judge.name}@{self.router.judge.version}")

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """ASGI entry: key first, then the data plane or FastAPI."""
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        headers = scope["headers"]
        if scope["path"] in self._data_plane and scope["method"] == "POST":
            client = AsgiClient(receive, send, asyncio.get_running_loop())
            by_name = dict(headers)
            try:
                caller = self.may_call(scope["path"], by_name)
                server = self.settings.server
                body = await read_body(receive, headers, server.max_body_bytes, server.body_timeout_s)
            except ClientGone:
                return
            except GatewayError as error:
                send_error(client, error)
                return
            client.watch()
            self.answer(client, scope["path"], headers, by_name, body, caller)
            await client.finished
            client.close()
            return
        try:
            scope["thinkgate.caller"] = self.may_call(scope["path"], dict(headers))
            if scope["path"] in self._data_plane:
                raise MethodNotAllowed(f"{scope['path']} takes POST, not {scope['method']}.", allow="POST")
        except GatewayError as error:
            send_error(AsgiClient(receive, send, asyncio.get_running_loop()), error)
            return
        await self.api(scope, receive, send)

    def serves_directly(self, path: str) -> bool:
        """Is a POST to this path the data plane's, so that the server may call `answer` instead of ASGI?"""
        return path in self._data_plane

    def may_call(self, path: str, by_name: Mapping[bytes, bytes]) -> Caller:
        """The caller of a request. Raises Unauthorized."""
        return self._auth.caller(path, by_name)

    def answer(
        self,
        client: Client,
        path: str,
        headers: Headers,
        by_name: Mapping[bytes, bytes],
        body: bytes,
        caller: Caller,
    ) -> None:
        """Begin to answer a data-plane request whose key was good and whose body has been read. Never raises."""
        self._data_plane[path].answer(client, headers, by_name, body, caller)

    def _backend_judge(self, first: Judge) -> BackendJudge | None:
        """The judge that asks a backend, where the settings want one; `first` is a cascade's own."""
        j = self.settings.judge
        if j.kind not in ("llm", "cascade"):
            return None
        return BackendJudge(
            instruct_pool(self.pools, j.pool),
            lambda pending, pool: self.planner.instruct_fields(pending, pool),
            timeout_s=(j.timeout_ms or 1000.0) / 1e3,
            first=first if j.kind == "cascade" else None,
            policy=CascadePolicy(j.margin, j.weight),
            question=Question(
                j.question.text or QUESTION,
                frozenset(word.strip().lower() for word in j.question.yes) or YES,
                frozenset(word.strip().lower() for word in j.question.no) or NO,
            ),
        )

    def _control_plane(self, judge: str) -> FastAPI:
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            await self._health.start()
            yield
            await self._health.stop()
            if self.planner.backend_judge is not None:
                await self.planner.backend_judge.close()
            for pool in self.pools.values():
                pool.close()

        api = FastAPI(
            title="ThinkGate",
            version=VERSION,
            summary="An OpenAI-compatible gateway that decides for each request whether the answer needs thinking.",
            lifespan=lifespan,
            redirect_slashes=False,
        )
        api.include_router(operations(self.settings, self.pools, self.meters, judge))
        api.include_router(models(self.settings))
        api.include_router(dry_run(self.planner, self.settings.server))
        document_data_plane(api)
        _one_error_shape(api)
        return api


def create_app(
    settings: Settings, *, judge: Judge | None = None, health_transport: httpx.AsyncBaseTransport | None = None
) -> Gateway:
    """The gateway for `settings`. A `judge` or the health checks' transport may be given instead of the configured."""
    if judge is None:
        judge = judge_from(settings)
    return Gateway(settings, judge, health_transport)


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


def _one_error_shape(api: FastAPI) -> None:
    """Every failure inside FastAPI leaves in the API's own shape, never as `{"detail": …}` or plain text."""

    def answer(error: GatewayError) -> Response:
        headers = {k.decode(): v.decode() for k, v in error.headers()}
        return Response(error.body(), error.status, headers)

    @api.exception_handler(GatewayError)
    async def ours(_: Request, error: GatewayError) -> Response:
        return answer(error)

    @api.exception_handler(ClientGone)
    async def gone(_: Request, error: ClientGone) -> Response:
        return Response(status_code=400)  # nobody reads it

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answer(BadRequest(f"{where}: {first['msg']}", param=where))

    @api.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        path = request.scope["path"][:200]
        if error.status_code == 404:
            return answer(NotFound(f"Unknown path: {path}. GET /openapi.json lists what there is."))
        if error.status_code == 405:
            allow = (error.headers or {}).get("Allow", "")
            return answer(MethodNotAllowed(f"{path} does not take {request.method}.", allow=allow))
        plain = GatewayError(str(error.detail))
        plain.status = error.status_code
        return answer(plain)

    @api.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        log.error("internal error at %s: %s", request.scope["path"], type(error).__name__)
        return answer(GatewayError("The gateway failed; the request was not answered."))


def send_error(client: Client, error: GatewayError) -> None:
    """The error as the whole answer."""
    body = error.body()
    client.start(error.status, lines_of(error.headers()), len(body))
    client.end(body)
