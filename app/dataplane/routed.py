"""A routed request's way, whatever its protocol: judge, forward, relay, count. Knows no protocol's wire format."""

import asyncio
from time import monotonic
from typing import ClassVar

from app.dataplane.client import Client, Headers
from app.dataplane.event_stream import Relay
from app.dataplane.exchange import Exchange, cause_of
from app.dataplane.headers import for_client, lines_of
from app.dataplane.plan import Caller, Plan
from app.dataplane.recording import record_of
from app.dataplane.request_head import RequestHead
from app.dataplane.services import Services
from app.dataplane.usage import Usage
from app.dataplane.whole_answer import WholeAnswer, failure_in
from app.errors import GatewayError, UpstreamFailed
from app.ids import request_id
from app.judging.pending import Pending
from app.metrics.instruments import Buckets
from app.metrics.meters import ModeSeries
from app.pools.replica import Replica
from router.mode import Mode
from router.policies.controls import Taken

MAX_WHOLE_ANSWER_BYTES = 256 * 1024 * 1024


class RoutedExchange(Exchange):
    """An answer in one piece, or a stream relayed event by event. Subclasses know the protocol."""

    api: ClassVar[str]
    """The endpoint's short name in metrics and in the decision log."""
    path: ClassVar[str]
    _request_line: ClassVar[bytes]

    gaps: Buckets
    """Times between tokens; there only with a stream."""
    first_token_s = first_answer_s = _last_token_s = 0.0
    usage: Usage | None = None
    thought = 0
    """Tokens spent on thinking."""
    _stream: Relay | None = None
    _judging: "asyncio.Task[Plan] | None" = None
    _whole = b""
    _parts: list[bytes] | None = None
    _size = 0
    _taken: Taken = ()
    """Of the profile's token budgets."""

    def __init_subclass__(cls) -> None:
        cls._request_line = b"POST %b HTTP/1.1\r\n" % cls.path.encode()

    def __init__(self, services: Services, client: Client, incoming: RequestHead, caller: Caller) -> None:
        super().__init__(services, client)
        self.incoming = incoming
        self.request_id = request_id(incoming.by_name)
        self.tenant = caller.tenant

    # ------------------------------------------------------------------ what a protocol adds

    def open_stream(self, routing: bytes) -> Relay:
        """The reader and writer of a stream's events; `routing` is JSON, or empty for none."""
        raise NotImplementedError

    def read_whole(self, raw: bytes, routing: bytes) -> WholeAnswer:
        """An answer that came in one piece."""
        raise NotImplementedError

    def special_answer(self, raw: bytes) -> bytes | None:
        """An answer in one piece to a request that needs more than the usual relay, as it is to be read; None where it
        will be given later."""
        return raw

    def goes_on(self, stream: Relay) -> bool:
        """Will the stream go on, although the backend has ended it?"""
        return False

    def error_body(self, error: GatewayError) -> bytes:
        """An error in the protocol's own shape."""
        return error.body()

    def id_lines(self) -> bytes:
        """The header lines under which the client finds the request's id."""
        return b"x-request-id: %b\r\n" % self.request_id

    # ------------------------------------------------------------------ on the way there

    def begin(self, plan: Plan) -> None:
        """The mode is decided: on the way."""
        self.plan = plan
        special = plan.special
        if special is not None and special.told is None:  # the model decides itself: counted when it has
            self.dispatch()
            return
        decision = plan.routing.decision
        score = decision.score
        series = self.services.meters.decided(decision.mode, decision.reason, decision.judge, decision.profile)
        series.decisions.value += 1
        if decision.propensity is not None and decision.because:  # by the score alone there is nothing to explain
            self.services.meters.explored(decision.mode).inc()
        if score is not None:
            series.score.observe(score)
            series.judging.observe(plan.judge_s)
        if plan.controls is not None:
            plan.controls.decided(decision)
            if decision.mode is Mode.THINKING:
                self._taken = plan.controls.thinking_began(self.started_s)
        if self.ledger is None or self.may_think(plan):
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

    def gateway_stops(self, error: GatewayError) -> None:
        """Called by the client."""
        if self._judging is not None:
            self._judging.cancel()
        super().gateway_stops(error)

    def request_head(self, replica: Replica) -> bytes:
        """The request's head for a replica."""
        observer = self.services.observer
        return b"%b%bcontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b\r\n" % (
            self._request_line,
            replica.head,
            len(self.plan.body),
            self.request_id,
            self.incoming.forwarded() if observer is None else observer.forwarded(self, self.incoming, replica),
        )

    # ------------------------------------------------------------------ on the way back

    def on_head(self) -> None:
        """A stream, or an answer (or error) in one piece?"""
        plan, connection = self.plan, self.connection
        if plan.request.stream and connection.status == 200 and is_event_stream(connection.headers):
            self._stream = self.open_stream(plan.routing.json() if plan.profile.metadata != "headers" else b"")
            self.gaps = Buckets(self.services.meters.gaps.bounds)
            self.first_token_s = self.first_answer_s = self._last_token_s = 0.0
        else:
            self._stream = None
            self._whole = b""
            self._parts = None
            self._size = 0

    def on_body(self, data: bytes, chunk: bytes, now_s: float) -> None:
        """Relay a stream's events as they come; keep the parts of anything else."""
        stream = self._stream
        if stream is None:
            self._keep(data)
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
            self.client.start(200, self.lines() + b"x-accel-buffering: no\r\n")
        answered = stream.answer_events
        tokens = answered + stream.reasoning_events - before
        if tokens > 0:
            if self.first_token_s:
                self.gaps.observe((now_s - self._last_token_s) / tokens, tokens)
            else:
                self.first_token_s = now_s
            self._last_token_s = now_s
        if not answered:  # what had passed for the answer may have turned out to be thinking
            self.first_answer_s = 0.0
        elif not self.first_answer_s:
            self.first_answer_s = now_s
        if stream.done:
            self.client.end(out)
            self.end_stream(stream)
        elif out:
            self.client.write(out, chunk if out is data else b"")

    def _keep(self, data: bytes) -> None:
        """A part of an answer in one piece; most come in one part."""
        self._size += len(data)
        if self._parts is not None:
            self._parts.append(data)
        elif self._whole:
            self._parts = [self._whole, data]
        else:
            self._whole = data
        if self._size > MAX_WHOLE_ANSWER_BYTES:
            self.give_up(UpstreamFailed("The backend's answer is too large."))

    def on_end(self, error: GatewayError | None) -> None:
        """Whole or broken off."""
        stream = self._stream
        if stream is not None:
            if not self.started:
                self.retry(error or UpstreamFailed("The backend ended the stream before it began."))
                return
            if self.goes_on(stream):
                return
            self.client.end(stream.finish() if error is None else stream.fail(error))
            self.end_stream(stream)
        elif error is not None:
            self.retry(error)
        else:
            self._end_whole(self._whole if self._parts is None else b"".join(self._parts))

    def refuse(self, error: GatewayError) -> None:
        """The error as the whole answer; the decision goes with it where there is one."""
        body = self.error_body(error)
        lines = lines_of(error.headers()) + self.id_lines()
        plan: Plan | None = getattr(self, "plan", None)
        if plan is not None and plan.profile.metadata != "body":
            lines += plan.routing.lines()
        self.client.start(error.status, lines, len(body))
        self.client.end(body)

    def on_over(self, status: int) -> None:
        """Count the request, and log its decision."""
        services = self.services
        meters = services.meters
        if services.observer is not None:
            services.observer.over(self, self.incoming, self.api, status)
        if self._judging is not None:
            meters.requests(self.api, "none", "none", str(status)).inc()
            return
        controls = self.plan.controls
        if self.ledger is not None or controls is not None:
            stream = self._stream
            thought = self.thought if self.usage is not None or stream is None else stream.reasoning_events
            chunks = 0 if stream is None else stream.reasoning_events + stream.answer_events
            self.charge(status, self.usage, thought, chunks)
            if controls is not None:
                controls.thinking_ended(self._taken, thought, monotonic())
        routing = self.plan.routing
        duration_s = monotonic() - self.started_s
        meters.requests(self.api, routing.mode, routing.reason, str(status)).value += 1
        if status == 200:
            meters.mode(routing.mode).duration.observe(duration_s)
        if services.decisions is not None:
            services.decisions.append(record_of(self, status, duration_s, services.decisions.store_prompts))
            if services.shadows is not None and status == 200:
                services.shadows.over(self, duration_s)

    def lines(self) -> bytes:
        """The answer's header lines: the backend's, and ours."""
        plan, head = self.plan, self.connection.head
        lines = head.lines
        if lines is None:
            lines = head.lines = for_client(head.headers)
        return b"%b%b%bserver-timing: judge;dur=%.3f, queue;dur=%.3f, upstream;dur=%.3f\r\n" % (
            lines,
            self.id_lines(),
            plan.routing.lines() if plan.profile.metadata != "body" else b"",
            plan.judge_s * 1e3,
            self.waited_s * 1e3,
            (monotonic() - self.sent_s) * 1e3,
        )

    # ------------------------------------------------------------------ inside

    def _end_whole(self, raw: bytes) -> None:
        plan, upstream = self.plan, self.connection
        failure = failure_in(upstream.status, upstream.headers, raw)
        if failure is not None:
            self.retry(failure)
            return
        if plan.special is not None:
            special = self.special_answer(raw)
            if special is None:
                return
            raw = special
        self.give(raw, upstream.status, self.lines())

    def give(self, raw: bytes, status: int, lines: bytes) -> None:
        """Give the client an answer in one piece."""
        plan = self.plan
        answer = self.read_whole(raw, plan.routing.json() if plan.profile.metadata != "headers" else b"")
        self.started = True
        self.client.start(status, lines, len(answer.body))
        self.client.end(answer.body)
        if answer.usage is not None:
            self._count_tokens(self.services.meters.mode(plan.routing.mode), answer.usage, answer.reasoning_tokens)
        self.finish(status)

    def end_stream(self, stream: Relay) -> None:
        """The client has all of a stream: count it."""
        series = self.services.meters.mode(self.plan.routing.mode)
        if self.first_token_s:
            series.ttft.observe(self.first_token_s - self.started_s)
        if self.first_answer_s:
            series.tta.observe(self.first_answer_s - self.started_s)
        series.gaps.merge(self.gaps)
        usage = stream.usage
        if usage is not None:
            self._count_tokens(series, usage, usage.reasoning_tokens(stream.reasoning_events, stream.answer_events))
        if stream.error is not None:
            self._count_error(cause_of(stream.error))
        self.finish(200 if stream.error is None else stream.error.status)

    def _count_tokens(self, series: ModeSeries, usage: Usage, thought: int) -> None:
        self.usage, self.thought = usage, thought
        series.prompt_tokens.value += usage.prompt_tokens
        series.reasoning_tokens.value += thought
        series.answer_tokens.value += max(0, usage.completion_tokens - thought)


def is_event_stream(headers: Headers) -> bool:
    """Does the answer's head announce server-sent events?"""
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)
