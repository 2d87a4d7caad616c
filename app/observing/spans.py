"""Finished requests as OpenTelemetry spans. Knows the SDK (extra: otel) and its conventions; knows no request.

Spans are made when all is over, in the exporter's thread: nothing is kept open while a request runs. Attributes:
https://opentelemetry.io/docs/specs/semconv/gen-ai/ and http/; our own begin with `thinkgate.`.
"""

import uuid
from collections.abc import Iterator
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from app.api.operations import VERSION
from app.observing.finished import Finished, Over, finished
from app.observing.outbox import Undelivered
from app.observing.settings import Tracing
from app.observing.trace import Trace

EXPORT_TIMEOUT_S = 10
LEFT = 499  # the client did
OPERATIONS = {"chat": "chat", "responses": "chat", "messages": "chat", "completions": "text_completion"}
_SCOPE = InstrumentationScope("thinkgate", VERSION)


class SpanExporter:
    """Sends spans by OTLP over HTTP. For one thread."""

    def __init__(self, settings: Tracing) -> None:
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._exporter = OTLPSpanExporter(settings.endpoint, headers=headers, timeout=EXPORT_TIMEOUT_S)
        self._resource = Resource.create(
            {
                "service.name": settings.service_name,
                "service.version": VERSION,
                "service.instance.id": str(uuid.uuid4()),
            }
        )

    def export(self, requests: list[Over]) -> None:
        """Send all spans of the requests. Raises Undelivered."""
        spans = [span for request in requests for span in spans_of(request, self._resource)]
        if self._exporter.export(spans) is not SpanExportResult.SUCCESS:  # which has tried again by itself
            raise Undelivered("the collector takes no spans", again=False)


def spans_of(over: Over, resource: Resource) -> Iterator[ReadableSpan]:
    """The request's span, and those of judge, queue and every attempt at a backend below it; none without a trace."""
    r, trace, end_s = finished(over), over.trace, over.now_s
    if trace is None:
        return
    start_s = over.started_s

    def at(monotonic_s: float) -> int:
        return int((over.time - (end_s - monotonic_s)) * 1e9)

    def span(
        name: str, span_id: str, parent: str, kind: SpanKind, begin_s: float, until_s: float, **more: Any
    ) -> ReadableSpan:
        return ReadableSpan(
            name,
            _context(trace.trace_id, span_id),
            _context(trace.trace_id, parent) if parent else None,
            resource,
            kind=kind,
            start_time=at(begin_s),
            end_time=at(max(begin_s, until_s)),
            instrumentation_scope=_SCOPE,
            **more,
        )

    failed = r.status >= 500
    yield span(
        f"{r.method} {r.path}",
        trace.span_id,
        trace.parent,
        SpanKind.SERVER,
        start_s,
        end_s,
        attributes=_request_attributes(r),
        status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
    )
    judged_s = start_s + r.judge_s
    if r.judge_s:
        yield span(
            "judge",
            _below(trace, 1),
            trace.span_id,
            SpanKind.INTERNAL,
            start_s,
            judged_s,
            attributes=_known(
                {"thinkgate.judge": r.judge, "thinkgate.score": r.score, "thinkgate.threshold": r.threshold}
            ),
        )
    if r.queue_s:
        yield span(
            "queue",
            _below(trace, 2),
            trace.span_id,
            SpanKind.INTERNAL,
            judged_s,
            judged_s + r.queue_s,
            attributes=_known({"thinkgate.pool": r.pool}),
        )
    for i, attempt in enumerate(trace.attempts):
        last = i == len(trace.attempts) - 1
        until_s = end_s if last else trace.attempts[i + 1].sent_s
        good = last and (r.status < 400 or r.status == LEFT)  # a client's span fails by 4xx too, a server's does not
        attributes: dict[str, Any] = {"thinkgate.pool": attempt.pool, "thinkgate.replica": attempt.replica}
        events = []
        operation = OPERATIONS.get(r.api, r.api)
        if last:
            attributes |= _answer_attributes(r, operation, start_s - attempt.sent_s)
            if r.tta_s is not None:
                events = [Event("thinkgate.first_answer_token", timestamp=at(start_s + r.tta_s))]
        if not good:
            attributes["error.type"] = str(r.status) if last else "retried"
        yield span(
            f"{operation} {r.model}".strip() if last else operation,
            attempt.span_id,
            trace.span_id,
            SpanKind.CLIENT,
            attempt.sent_s,
            until_s,
            attributes=attributes,
            events=events,
            status=Status(StatusCode.UNSET if good else StatusCode.ERROR),
        )


def _request_attributes(r: Finished) -> dict[str, Any]:
    return _known(
        {
            "http.request.method": r.method,
            "http.route": r.path,
            "http.response.status_code": r.status,
            "error.type": str(r.status) if r.status >= 500 else "",
            "gen_ai.request.model": r.asked,
            "thinkgate.api": r.api,
            "thinkgate.tenant": r.tenant,
            "thinkgate.decision_id": r.decision_id,
            "thinkgate.mode": r.mode,
            "thinkgate.reason": r.reason,
            "thinkgate.score": r.score,
            "thinkgate.threshold": r.threshold,
            "thinkgate.judge": r.judge,
            "thinkgate.profile": r.profile,
            "thinkgate.pool": r.pool,
            "thinkgate.fallback_from": r.fallback_from,
            "thinkgate.client_left": r.left,
        }
    )


def _answer_attributes(r: Finished, operation: str, since_s: float) -> dict[str, Any]:
    """Of the attempt that answered; `since_s` turns times since the request began into times since it was sent."""
    generated = None if r.answer_tokens is None else r.answer_tokens + (r.reasoning_tokens or 0)
    return _known(
        {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "vllm",
            "gen_ai.request.model": r.model,
            "gen_ai.response.model": r.model if r.status == 200 else "",
            "gen_ai.request.stream": r.stream,
            "gen_ai.response.time_to_first_chunk": None if r.ttft_s is None else max(0.0, r.ttft_s + since_s),
            "gen_ai.usage.input_tokens": r.prompt_tokens,
            "gen_ai.usage.output_tokens": generated,
            "gen_ai.usage.reasoning.output_tokens": r.reasoning_tokens,
            "http.response.status_code": r.status,
        }
    )


def _known(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value not in (None, "")}


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _below(trace: Trace, number: int) -> str:
    """Ids of spans that nobody had to know before, told apart from the request's own."""
    return f"{(int(trace.span_id, 16) ^ number) or 0xFFFF:016x}"
