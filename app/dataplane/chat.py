"""POST /v1/chat/completions: parse, decide, rewrite, forward, relay. Knows the order; each step lives elsewhere."""

import logging
from collections.abc import Mapping
from time import monotonic

from app.dataplane.attempt import Attempt, Limits, StreamAttempt
from app.dataplane.chat_answer import edit_answer
from app.dataplane.chat_request import ChatRequest
from app.dataplane.chat_stream import ChatStream
from app.dataplane.client import Client, ClientGone, Headers
from app.dataplane.headers import for_client, for_upstream, lines_of
from app.dataplane.plan import Caller, Plan, Planner, new_id
from app.dataplane.usage import Usage
from app.errors import GatewayError, UpstreamBusy, UpstreamError, UpstreamFailed, UpstreamTimeout
from app.metrics import Meters
from app.metrics.instruments import Buckets
from app.metrics.meters import ModeSeries
from app.pools.replica import Replica
from app.settings import Settings

log = logging.getLogger("thinkgate")
_RETRY_STATUSES = frozenset((502, 503, 504))
_PATH = b"POST /v1/chat/completions HTTP/1.1\r\n"


class Exchange:
    """One request on its way: what every step needs, and what is known of it so far."""

    __slots__ = ("client", "forwarded", "phase", "plan", "request_id", "started_s")

    def __init__(self, client: Client, request_id: bytes) -> None:
        self.client = client
        self.request_id = request_id
        self.forwarded = b""
        self.started_s = monotonic()
        self.plan: Plan | None = None
        self.phase = "judging"


class ChatEndpoint:
    """The data plane's handler for chat completions, behind the gateway's front."""

    def __init__(self, settings: Settings, planner: Planner, meters: Meters) -> None:
        self._limits = Limits(settings.timeouts)
        self._planner = planner
        self._meters = meters

    async def answer(
        self, client: Client, headers: Headers, by_name: Mapping[bytes, bytes], body: bytes, caller: Caller
    ) -> None:
        """Answer one request. Never raises: every failure becomes the API's own error.

        Runs without a task (`Driven`), so nothing here may need `asyncio.current_task`.
        """
        request_id = by_name.get(b"x-request-id", b"")[:256] or new_id("req_").encode()
        exchange = Exchange(client, request_id)
        status = 499
        try:
            request = ChatRequest.parse(body)
            exchange.plan = self._planner.plan(request, by_name, caller)
            self._count_decision(exchange.plan)
            exchange.forwarded = for_upstream(headers, request_id)
            status = await self._answer(exchange)
        except ClientGone:
            self._meters.client_disconnects(exchange.phase).inc()
        except GatewayError as error:
            status = error.status
            self._refuse(exchange, error)
        except Exception as error:
            log.error("internal error in chat completions: %s", type(error).__name__, exc_info=_without_values(error))
            status = 500
            self._refuse(exchange, GatewayError("The gateway failed; the request was not answered."))
        finally:
            self._count_request(exchange, status)

    async def _answer(self, exchange: Exchange) -> int:
        """Try the chosen pool, then the other mode's where that is allowed; the status that the client got."""
        while True:
            plan = exchange.plan
            assert plan is not None  # noqa: S101
            try:
                return await self._try_pool(exchange, plan)
            except (UpstreamBusy, UpstreamFailed, UpstreamTimeout, UpstreamError) as error:
                retryable = not isinstance(error, UpstreamError) or error.status >= 500
                if not (retryable and plan.may_fall_back and not plan.routing.fallback_from):
                    raise
                exchange.plan = self._planner.fall_back(plan)
                self._meters.fallbacks(plan.routing.mode.value, plan.routing.mode.other.value, _cause(error)).inc()

    async def _try_pool(self, exchange: Exchange, plan: Plan) -> int:
        """Try the pool's replicas, each once at most."""
        tried: set[Replica] = set()
        failure: GatewayError | None = None
        while (replica := plan.pool.choose(tried)) is not None:
            tried.add(replica)
            if len(tried) > 1:
                self._meters.retries.inc()
            try:
                return await self._try_replica(exchange, plan, replica)
            except OSError as error:  # TimeoutError is one
                replica.up = False
                kind = "connect_timeout" if isinstance(error, TimeoutError) else "connect"
                self._meters.upstream_errors(plan.pool.name, kind).inc()
                failure = failure or UpstreamBusy(
                    f"No replica of the pool `{plan.pool.name}` can be reached.", retry_after_s=1
                )
            except UpstreamError as error:
                self._meters.upstream_errors(plan.pool.name, f"status_{error.status}").inc()
                if error.status not in _RETRY_STATUSES:
                    raise
                failure = error
            except GatewayError as error:
                self._meters.upstream_errors(plan.pool.name, _cause(error)).inc()
                failure = error
                if isinstance(error, UpstreamTimeout):
                    raise  # the client has waited long enough
        raise failure or UpstreamBusy(f"The pool `{plan.pool.name}` has no replica.", retry_after_s=1)

    async def _try_replica(self, exchange: Exchange, plan: Plan, replica: Replica) -> int:
        client = exchange.client
        client.check()
        wire = b"".join(
            (
                _PATH,
                replica.head,
                b"content-type: application/json\r\ncontent-length: %d\r\n" % len(plan.body),
                exchange.forwarded,
                b"\r\n",
                plan.body,
            )
        )
        kind = StreamAttempt if plan.request.stream else Attempt
        exchange.phase = "queued"
        connection = replica.idle_connection()
        if connection is not None:
            attempt = kind(replica, connection, client, self._limits)
            self._meters.overhead.observe(attempt.sent_s - exchange.started_s)
            try:
                status = await attempt.head(wire)
            except ConnectionError:
                if connection.received:
                    raise UpstreamFailed("The backend broke off before the answer began.") from None
                connection = None  # it was closed just now, while idle: nothing of the request was read
        if connection is None:
            connection = await replica.connect()
            if client.gone:
                connection.abort()
            client.check()
            attempt = kind(replica, connection, client, self._limits)
            self._meters.overhead.observe(attempt.sent_s - exchange.started_s)
            try:
                status = await attempt.head(wire)
            except ConnectionError:
                raise UpstreamFailed("The backend broke off before the answer began.") from None
        replica.up = True
        if isinstance(attempt, StreamAttempt) and status == 200 and _is_event_stream(attempt.connection.headers):
            exchange.phase = "streaming"
            return await self._relay(exchange, plan, attempt)
        exchange.phase = "answering"
        return await self._relay_whole(exchange, plan, attempt, status)

    async def _relay(self, exchange: Exchange, plan: Plan, attempt: StreamAttempt) -> int:
        """A stream: the relay runs in callbacks; this waits for its end and counts."""
        routing = plan.routing.json() if plan.profile.metadata != "headers" else b""
        stream = ChatStream(
            routing=routing,
            reasoning=plan.profile.reasoning,
            show_usage=plan.request.wants_usage,
            choices=plan.request.choices,
        )

        def head() -> bytes:
            # nginx in front would hold the stream back without the last line.
            return (
                self._lines(exchange, plan, attempt.connection.headers, attempt.sent_s) + b"x-accel-buffering: no\r\n"
            )

        attempt.begin(stream, head, Buckets(self._meters.gaps.bounds))
        await attempt.finished
        series = self._meters.mode(plan.routing.mode)
        if attempt.first_token_s:
            series.ttft.observe(attempt.first_token_s - exchange.started_s)
        if attempt.first_answer_s:
            series.tta.observe(attempt.first_answer_s - exchange.started_s)
        series.gaps.merge(attempt.gaps)
        usage = stream.usage
        if usage is not None:
            thought = usage.reasoning_tokens(stream.reasoning_events, stream.answer_events)
            _count_tokens(series, usage, thought)
        if stream.error is not None:
            self._meters.upstream_errors(plan.pool.name, _cause(stream.error)).inc()
            return stream.error.status
        return 200

    async def _relay_whole(self, exchange: Exchange, plan: Plan, attempt: Attempt, status: int) -> int:
        """An answer in one piece, or the backend's error."""
        raw = await attempt.whole()
        upstream_headers = attempt.connection.headers
        if status >= 400:
            raise UpstreamError.from_answer(status, raw, dict(upstream_headers).get(b"retry-after", b""))
        routing = plan.routing.json() if plan.profile.metadata != "headers" else b""
        answer = edit_answer(raw, routing=routing, reasoning=plan.profile.reasoning)
        lines = self._lines(exchange, plan, upstream_headers, attempt.sent_s)
        exchange.client.start(status, lines, len(answer.body))
        exchange.client.end(answer.body)
        if answer.usage is not None:
            _count_tokens(self._meters.mode(plan.routing.mode), answer.usage, answer.reasoning_tokens)
        return status

    def _lines(self, exchange: Exchange, plan: Plan, upstream: Headers, sent_s: float) -> bytes:
        """The answer's header lines: the backend's, and ours."""
        return b"%b%bserver-timing: judge;dur=%.3f, queue;dur=0, upstream;dur=%.3f\r\n" % (
            for_client(upstream, exchange.request_id),
            plan.routing.lines() if plan.profile.metadata != "body" else b"",
            plan.judge_s * 1e3,
            (monotonic() - sent_s) * 1e3,
        )

    def _refuse(self, exchange: Exchange, error: GatewayError) -> None:
        """The error as the whole answer; the decision goes with it where there is one."""
        body = error.body()
        lines = lines_of([*error.headers(), (b"x-request-id", exchange.request_id)])
        if exchange.plan is not None and exchange.plan.profile.metadata != "body":
            lines += exchange.plan.routing.lines()
        exchange.client.start(error.status, lines, len(body))
        exchange.client.end(body)

    # ------------------------------------------------------------------ counting: it never fails a request

    def _count_decision(self, plan: Plan) -> None:
        decision = plan.routing.decision
        judge = decision.judge
        self._meters.decisions(decision.mode, decision.reason, judge).inc()
        if decision.score is not None:
            self._meters.judge_score.observe(decision.score)
            self._meters.judge_duration(judge).observe(plan.judge_s)

    def _count_request(self, exchange: Exchange, status: int) -> None:
        plan = exchange.plan
        if plan is None:
            self._meters.requests("chat", "none", "none", str(status)).inc()
            return
        routing = plan.routing
        self._meters.requests("chat", routing.mode, routing.reason, str(status)).inc()
        if status == 200:
            self._meters.mode(routing.mode).duration.observe(monotonic() - exchange.started_s)


def _count_tokens(series: ModeSeries, usage: Usage, thought: int) -> None:
    series.prompt_tokens.inc(usage.prompt_tokens)
    series.reasoning_tokens.inc(thought)
    series.answer_tokens.inc(max(0, usage.completion_tokens - thought))


def _is_event_stream(headers: Headers) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)


def _cause(error: GatewayError) -> str:
    """A bounded word for what went wrong."""
    return f"status_{error.status}" if isinstance(error, UpstreamError) else str(error.code)


def _without_values(error: BaseException) -> BaseException:
    """The error with its place but without its message, which may hold a client's text."""
    bare = type(error)("…") if type(error).__init__ is Exception.__init__ else Exception(type(error).__name__)
    return bare.with_traceback(error.__traceback__)
