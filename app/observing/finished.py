"""A request that is over, in plain values. Knows exchanges; knows neither log lines nor spans."""

from time import monotonic, time
from typing import TYPE_CHECKING, Any

import msgspec

from app.dataplane.request_head import RequestHead
from app.dataplane.usage import Usage
from app.metadata import Routing
from app.observing.trace import Trace

if TYPE_CHECKING:
    from app.dataplane.exchange import Exchange

_BY_ID = "/v1/responses/{response_id}"  # an id is a client's value, and there is no end of them


class Finished(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Times are in seconds; `time` since 1970, when the request was over. What is not known has its default.

    `request_id` is the gateway's own: a client's would be a header value of its own choice. `left` is the phase in
    which a client left (status 499). `ttft_s` and `tta_s` are known of streams: to the first token, and to the first of
    the answer.
    """

    time: float
    api: str
    method: str
    path: str
    tenant: str
    status: int
    duration_s: float
    request_id: str = ""
    decision_id: str = ""
    trace_id: str = ""
    asked: str = ""
    stream: bool = False
    mode: str = ""
    reason: str = ""
    score: float | None = None
    threshold: float | None = None
    judge: str = ""
    profile: str = ""
    pool: str = ""
    model: str = ""
    fallback_from: str = ""
    left: str = ""
    prompt_tokens: int | None = None
    reasoning_tokens: int | None = None
    answer_tokens: int | None = None
    judge_s: float = 0.0
    queue_s: float = 0.0
    ttft_s: float | None = None
    tta_s: float | None = None


class Over(msgspec.Struct, frozen=True):
    """What is taken from an exchange at its end, on the event loop: as few steps as can be, and nothing that holds a
    body or a connection. `finished` makes the rest of it, in a thread."""

    time: float
    now_s: float
    started_s: float
    api: str
    path: str
    tenant: str
    status: int
    request_id: bytes
    phase: str
    waited_s: float
    trace: Trace | None
    pool: str = ""
    routing: Routing | None = None
    asked: str = ""
    stream: bool = False
    judge_s: float = 0.0
    usage: Usage | None = None
    thought: int = 0
    first_token_s: float = 0.0
    first_answer_s: float = 0.0


def over(exchange: "Exchange", head: RequestHead, api: str, status: int, trace: Trace | None) -> Over:
    """An exchange that got `status`. Never raises, even for one that has hardly begun."""
    e: Any = exchange  # what is looked for is not there in every kind
    plan: Any = getattr(e, "plan", None)
    request_id = b"" if b"x-request-id" in head.by_name else e.request_id
    first = (time(), monotonic(), e.started_s, api, head.path, e.tenant, status, request_id, e.phase, e.waited_s, trace)
    if plan is None:
        return Over(*first)
    routing = getattr(plan, "routing", None)
    if routing is None:
        return Over(*first, plan.pool.name)
    request = plan.request
    return Over(
        *first,
        routing.pool,
        routing,
        request.model,
        request.stream,
        plan.judge_s,
        e.usage,
        e.thought,
        e.first_token_s,
        e.first_answer_s,
    )


def finished(o: Over) -> Finished:
    """In words and numbers."""
    routing, usage = o.routing, o.usage
    decision = None if routing is None else routing.decision
    by_id = o.path.startswith("/v1/responses/")
    cancels = by_id and o.path.endswith("/cancel")
    return Finished(
        time=round(o.time, 6),
        api=o.api,
        method="GET" if by_id and not cancels else "POST",
        path=(_BY_ID + "/cancel" if cancels else _BY_ID) if by_id else o.path,
        tenant=o.tenant,
        status=o.status,
        duration_s=round(o.now_s - o.started_s, 6),
        request_id=o.request_id.decode("latin-1"),
        decision_id="" if routing is None else routing.decision_id,
        trace_id="" if o.trace is None else o.trace.trace_id,
        asked=o.asked,
        stream=o.stream,
        mode="" if routing is None else routing.mode.value,
        reason="" if routing is None else routing.reason.value,
        score=None if decision is None else decision.score,
        threshold=None if decision is None else decision.threshold,
        judge="" if decision is None else decision.judge,
        profile="" if decision is None else decision.profile,
        pool=o.pool,
        model="" if routing is None else routing.model,
        fallback_from="" if routing is None else routing.fallback_from,
        left=o.phase if o.status == 499 else "",
        prompt_tokens=None if usage is None else usage.prompt_tokens,
        reasoning_tokens=None if usage is None else o.thought,
        answer_tokens=None if usage is None else max(0, usage.completion_tokens - o.thought),
        judge_s=o.judge_s,
        queue_s=max(0.0, o.waited_s),
        ttft_s=o.first_token_s - o.started_s if o.first_token_s else None,
        tta_s=o.first_answer_s - o.started_s if o.first_answer_s else None,
    )
