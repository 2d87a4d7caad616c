"""POST /v1/chat/completions: parse, decide, rewrite, forward, relay. Knows the wire format; exchange.py the way."""

import asyncio
import logging
from collections.abc import Mapping
from time import monotonic
from typing import cast

from app.dataplane.chat_answer import edit_answer
from app.dataplane.chat_request import ChatRequest
from app.dataplane.chat_stream import ChatStream
from app.dataplane.client import Client, Headers
from app.dataplane.exchange import Exchange, Services, cause_of, without_values
from app.dataplane.headers import for_client, for_upstream, lines_of
from app.dataplane.plan import Caller, Plan, Planner, new_id
from app.dataplane.usage import Usage
from app.errors import GatewayError, UpstreamError, UpstreamFailed
from app.judging.pending import Pending
from app.metrics import Meters
from app.metrics.instruments import Buckets
from app.metrics.meters import ModeSeries
from app.pools.replica import Replica
from app.settings import Settings

log = logging.getLogger("thinkgate")
_PATH = b"POST /v1/chat/completions HTTP/1.1\r\n"
MAX_WHOLE_ANSWER_BYTES = 256 * 1024 * 1024


class ChatEndpoint:
    """The data plane's handler for chat completions, behind the gateway's front."""

    def __init__(self, settings: Settings, planner: Planner, meters: Meters) -> None:
        self._services = Services(planner, meters, settings.timeouts)

    def answer(
        self, client: Client, headers: Headers, by_name: Mapping[bytes, bytes], body: bytes, caller: Caller
    ) -> None:
        """Begin to answer one request. Never raises: every failure becomes the API's own error."""
        request_id = by_name.get(b"x-request-id", b"")[:256] or new_id("req_").encode()
        services = self._services
        exchange = ChatExchange(services, client, request_id)
        try:
            request = ChatRequest.parse(body)
            plan = services.planner.plan(request, by_name, caller)
            exchange.forwarded = for_upstream(headers, request_id)
            if type(plan) is Plan:
                exchange.begin(plan)
            else:
                exchange.judge(cast(Pending, plan))
        except GatewayError as error:
            exchange.refuse(error)
            services.meters.requests("chat", "none", "none", str(error.status)).inc()
        except Exception as error:
            log.error("internal error: %s", type(error).__name__, exc_info=without_values(error))
            exchange.refuse(GatewayError("The gateway failed; the request was not answered."))
            services.meters.requests("chat", "none", "none", "500").inc()


class ChatExchange(Exchange):
    """A chat completion's way: an answer in one piece, or a stream relayed event by event."""

    __slots__ = (
        "_judging",
        "_last_token_s",
        "_parts",
        "_size",
        "_stream",
        "first_answer_s",
        "first_token_s",
        "forwarded",
        "gaps",
        "request_id",
    )

    def __init__(self, services: Services, client: Client, request_id: bytes) -> None:
        super().__init__(services, client)
        self.request_id = request_id
        self.forwarded = b""
        self._stream: ChatStream | None = None
        self._judging: asyncio.Task[Plan] | None = None
        self._parts: list[bytes] = []
        self._size = 0

    def begin(self, plan: Plan) -> None:
        """The mode is decided: on the way."""
        self.plan = plan
        _count_decision(self.services.meters, plan)
        self.dispatch()

    def judge(self, pending: Pending) -> None:
        """The judge has to ask a backend first; meanwhile the client may leave."""
        self.client.listener = self
        self._judging = self.client.loop.create_task(self.services.planner.judged(pending))
        self._judging.add_done_callback(self._judged)

    def _judged(self, task: "asyncio.Task[Plan]") -> None:
        if task.cancelled() or self.over:
            return
        self._judging = None
        self.begin(task.result())

    def client_gone(self) -> None:
        """Called by the client."""
        if self._judging is not None:
            self._judging.cancel()
        super().client_gone()

    def request_head(self, replica: Replica) -> bytes:
        """The request's head for a replica."""
        return b"%b%bcontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n" % (
            _PATH,
            replica.head,
            len(self.plan.body),
            self.forwarded,
        )

    def on_head(self) -> None:
        """A stream, or an answer (or error) in one piece?"""
        plan, connection = self.plan, self.connection
        if plan.request.stream and connection.status == 200 and _is_event_stream(connection.headers):
            self._stream = ChatStream(
                routing=plan.routing.json() if plan.profile.metadata != "headers" else b"",
                reasoning=plan.profile.reasoning,
                show_usage=plan.request.wants_usage,
                choices=plan.request.choices,
            )
            self.gaps = Buckets(self.services.meters.gaps.bounds)
            self.first_token_s = self.first_answer_s = self._last_token_s = 0.0
        else:
            self._stream = None
            self._parts = []
            self._size = 0

    def on_body(self, data: bytes, now_s: float) -> None:
        """Relay a stream's events as they come; keep the parts of anything else."""
        stream = self._stream
        if stream is None:
            self._parts.append(data)
            self._size += len(data)
            if self._size > MAX_WHOLE_ANSWER_BYTES:
                self.give_up(UpstreamFailed("The backend's answer is too large."))
            return
        before = stream.answer_events + stream.reasoning_events
        out = stream.feed(data)
        if not self.started:
            if not out:
                return
            if stream.error is not None:
                # Nothing has been sent: the error can still become a status, or another attempt.
                self.give_up(stream.error)
                return
            self.started = True
            # nginx in front would hold the stream back without the last line.
            self.client.start(200, self._lines() + b"x-accel-buffering: no\r\n")
        tokens = stream.answer_events + stream.reasoning_events - before
        if tokens:
            if self.first_token_s:
                self.gaps.observe((now_s - self._last_token_s) / tokens, tokens)
            else:
                self.first_token_s = now_s
            self._last_token_s = now_s
            if not self.first_answer_s and stream.answer_events:
                self.first_answer_s = now_s
        if stream.done:
            self.client.end(out)
            self._end_stream(stream)
        elif out:
            self.client.write(out)

    def on_end(self, error: GatewayError | None) -> None:
        """Whole or broken off."""
        stream = self._stream
        if stream is not None:
            if not self.started:
                self.retry(error or UpstreamFailed("The backend ended the stream before it began."))
                return
            self.client.end(stream.finish() if error is None else stream.fail(error))
            self._end_stream(stream)
        elif error is not None:
            self.retry(error)
        else:
            self._end_whole(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))

    def refuse(self, error: GatewayError) -> None:
        """The error as the whole answer; the decision goes with it where there is one."""
        body = error.body()
        lines = lines_of([*error.headers(), (b"x-request-id", self.request_id)])
        plan: Plan | None = getattr(self, "plan", None)
        if plan is not None and plan.profile.metadata != "body":
            lines += plan.routing.lines()
        self.client.start(error.status, lines, len(body))
        self.client.end(body)

    def on_over(self, status: int) -> None:
        """Count the request."""
        if self._judging is not None:
            self.services.meters.requests("chat", "none", "none", str(status)).inc()
            return
        routing = self.plan.routing
        self.services.meters.requests("chat", routing.mode, routing.reason, str(status)).inc()
        if status == 200:
            self.services.meters.mode(routing.mode).duration.observe(monotonic() - self.started_s)

    def _end_whole(self, raw: bytes) -> None:
        plan, upstream = self.plan, self.connection
        if upstream.status >= 400:
            wait = dict(upstream.headers).get(b"retry-after", b"")
            self.retry(UpstreamError.from_answer(upstream.status, raw, wait))
            return
        routing = plan.routing.json() if plan.profile.metadata != "headers" else b""
        answer = edit_answer(raw, routing=routing, reasoning=plan.profile.reasoning)
        self.started = True
        self.client.start(upstream.status, self._lines(), len(answer.body))
        self.client.end(answer.body)
        if answer.usage is not None:
            _count_tokens(self.services.meters.mode(plan.routing.mode), answer.usage, answer.reasoning_tokens)
        self.finish(upstream.status)

    def _end_stream(self, stream: ChatStream) -> None:
        series = self.services.meters.mode(self.plan.routing.mode)
        if self.first_token_s:
            series.ttft.observe(self.first_token_s - self.started_s)
        if self.first_answer_s:
            series.tta.observe(self.first_answer_s - self.started_s)
        series.gaps.merge(self.gaps)
        usage = stream.usage
        if usage is not None:
            _count_tokens(series, usage, usage.reasoning_tokens(stream.reasoning_events, stream.answer_events))
        if stream.error is not None:
            self._count_error(cause_of(stream.error))
        self.finish(200 if stream.error is None else stream.error.status)

    def _lines(self) -> bytes:
        """The answer's header lines: the backend's, and ours."""
        plan = self.plan
        judge_us = int(plan.judge_s * 1e6)
        upstream_us = int((monotonic() - self.sent_s) * 1e6)
        return b"%b%bserver-timing: judge;dur=%d.%03d, queue;dur=0, upstream;dur=%d.%03d\r\n" % (
            for_client(self.connection.headers, self.request_id),
            plan.routing.lines() if plan.profile.metadata != "body" else b"",
            *divmod(judge_us, 1000),
            *divmod(upstream_us, 1000),
        )


def _count_decision(meters: Meters, plan: Plan) -> None:
    decision = plan.routing.decision
    judge = decision.judge
    meters.decisions(decision.mode, decision.reason, judge).inc()
    if decision.score is not None:
        meters.judge_score.observe(decision.score)
        meters.judge_duration(judge).observe(plan.judge_s)


def _count_tokens(series: ModeSeries, usage: Usage, thought: int) -> None:
    series.prompt_tokens.inc(usage.prompt_tokens)
    series.reasoning_tokens.inc(thought)
    series.answer_tokens.inc(max(0, usage.completion_tokens - thought))


def _is_event_stream(headers: Headers) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)
