"""Traces as a real receiver gets them from the real gateway."""

import pytest

from app.config_file import ConfigError, parse_settings
from app.gateway import create_app
from app.observing import build
from tests.app.conftest import Start, both_ways, soon
from tests.app.observing.conftest import Collector
from tests.app.scripted_upstream import error, stream

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PATIENCE_S = 20
SECRETS = ("hello", "tg-secret", "my-own-id", "agent/7")


def ns(span: dict, end: str) -> int:
    return int(span[f"{end}_time_unix_nano"])


@both_ways
async def test_a_request_is_a_trace_with_its_judge_and_its_backend(start: Start, collector: Collector) -> None:
    run = await start(score=0.9, tracing={"endpoint": collector.url, "service_name": "gate-7"})
    run.deep.default = stream("trained_thinking_stream")
    answer = await run.chat(stream=True, headers={"traceparent": PARENT, "tracestate": "vendor=1"})
    assert answer.status_code == 200
    assert await soon(lambda: len(collector.spans) == 3, PATIENCE_S), collector.spans

    root, judge, upstream = (collector.named(n) for n in ("POST /v1/chat/completions", "judge", "chat thinking"))
    assert collector.resource["service.name"] == "gate-7"
    assert {span["trace_id"] for span in collector.spans} == {root["trace_id"]}
    assert root["kind"], upstream["kind"] == ("SPAN_KIND_SERVER", "SPAN_KIND_CLIENT")
    assert judge["parent_span_id"] == upstream["parent_span_id"] == root["span_id"]
    assert len({span["span_id"] for span in collector.spans}) == 3

    # W3C in: the client's span is the parent. W3C out: the backend's parent is the span of the attempt.
    sent = run.deep.requests[0].headers
    assert sent["traceparent"] == f"00-{hexed(root['trace_id'])}-{hexed(upstream['span_id'])}-01"
    assert sent["traceparent"][3:35] == PARENT[3:35]
    assert hexed(root["parent_span_id"]) == PARENT[36:52]
    assert sent["tracestate"] == "vendor=1"
    assert run.deep.requests[0].raw_head.lower().count(b"traceparent:") == 1

    told = answer.headers
    attributes = root["attributes"]
    assert attributes["thinkgate.decision_id"] == told["x-thinkgate-decision-id"]
    assert attributes["thinkgate.mode"] == "thinking"
    assert attributes["thinkgate.reason"] == "judge"
    assert attributes["thinkgate.score"] == 0.9
    assert attributes["http.response.status_code"] == 200
    assert attributes["gen_ai.request.model"] == "auto"
    assert "status" not in root or root["status"] == {}
    usage = upstream["attributes"]
    assert usage["gen_ai.operation.name"] == "chat"
    assert usage["gen_ai.provider.name"] == "vllm"
    assert usage["gen_ai.response.model"] == "thinking"
    assert usage["gen_ai.request.stream"] is True
    assert usage["gen_ai.usage.input_tokens"] > 0
    assert usage["gen_ai.usage.output_tokens"] > usage["gen_ai.usage.reasoning.output_tokens"] > 0
    assert 0 <= usage["gen_ai.response.time_to_first_chunk"] * 1e9 <= ns(upstream, "end") - ns(upstream, "start") + 1e6
    assert [event["name"] for event in upstream["events"]] == ["thinkgate.first_answer_token"]

    # Nothing sticks out of what is above it, but for the rounding of clocks.
    slack = 1_000_000
    for child in (judge, upstream):
        assert ns(root, "start") - slack <= ns(child, "start") <= ns(child, "end") <= ns(root, "end") + slack
    assert ns(judge, "end") <= ns(upstream, "start") + slack


def hexed(base64: str) -> str:
    """Protobuf's JSON has bytes in base64."""
    from base64 import b64decode

    return b64decode(base64).hex()


async def test_attempts_that_failed_and_waits_are_spans_of_their_own(start: Start, collector: Collector) -> None:
    run = await start(replicas=2, tracing={"endpoint": collector.url})
    run.fast.scripts.append(error(503))
    assert (await run.chat()).status_code == 200
    assert await soon(lambda: len(collector.spans) == 4, PATIENCE_S), collector.spans
    failed, good = collector.named("chat"), collector.named("chat instruct")
    assert failed["attributes"]["error.type"] == "retried"
    assert failed["status"]["code"] == "STATUS_CODE_ERROR"
    assert {failed["attributes"]["thinkgate.replica"], good["attributes"]["thinkgate.replica"]} == {0, 1}
    sent = [request.headers["traceparent"][36:52] for request in run.fast.requests]
    assert sent == [hexed(failed["span_id"]), hexed(good["span_id"])]
    assert ns(failed, "end") <= ns(good, "start")


async def test_a_failure_is_an_error_and_a_refusal_is_none(start: Start, collector: Collector) -> None:
    run = await start(tracing={"endpoint": collector.url}, profiles={"default": {"fallback": False}})
    run.fast.default = error(500, "tg-secret")
    assert (await run.chat()).status_code == 500
    assert (await run.post("/v1/chat/completions", {"model": "nobody", "messages": []})).status_code in (400, 404)
    assert await soon(lambda: len(collector.spans) == 4, PATIENCE_S), collector.spans
    roots = {
        span["attributes"]["http.response.status_code"]: span for span in collector.spans if span["name"][0] == "P"
    }
    assert roots.pop(500)["status"]["code"] == "STATUS_CODE_ERROR"
    (refused,) = roots.values()
    assert refused.get("status", {}) == {}
    assert "tg-secret" not in str(collector.spans)


async def test_a_clients_own_mistake_is_an_error_of_the_attempt_alone(start: Start, collector: Collector) -> None:
    run = await start(tracing={"endpoint": collector.url})
    run.fast.default = error(400, "no such thing")
    assert (await run.chat()).status_code == 400
    assert await soon(lambda: len(collector.spans) == 3, PATIENCE_S), collector.spans
    assert collector.named("POST /v1/chat/completions").get("status", {}) == {}
    attempt = collector.named("chat instruct")
    assert attempt["status"]["code"] == "STATUS_CODE_ERROR"
    assert attempt["attributes"]["error.type"] == "400"


async def test_what_is_passed_through_is_traced_too(start: Start, collector: Collector) -> None:
    run = await start(tracing={"endpoint": collector.url})
    answer = await run.post("/tokenize", {"model": "auto", "prompt": "hello"}, {"traceparent": PARENT})
    assert answer.status_code == 200
    assert await soon(lambda: len(collector.spans) == 2, PATIENCE_S), collector.spans
    root, upstream = collector.named("POST /tokenize"), collector.named("tokenize")
    assert run.fast.requests[0].headers["traceparent"][36:52] == hexed(upstream["span_id"])
    assert upstream["attributes"]["thinkgate.pool"] == root["attributes"]["thinkgate.pool"] == "fast"


@pytest.mark.parametrize(
    ("given", "sample", "kept"),
    [(PARENT[:-1] + "0", 1.0, False), (PARENT, 0.0, True), (None, 0.0, False), (None, 1.0, True), ("junk", 1.0, True)],
)
async def test_who_decides_what_is_kept(
    start: Start, collector: Collector, given: str | None, sample: float, kept: bool
) -> None:
    run = await start(tracing={"endpoint": collector.url, "sample": sample})
    headers = {"tracestate": "vendor=1", **({"traceparent": given} if given else {})}
    assert (await run.chat(headers=headers)).status_code == 200
    sent = run.fast.requests[0].headers
    assert sent["traceparent"].endswith("-01" if kept else "-00")  # the backend does as the gateway does
    assert ("tracestate" in sent) == (given not in (None, "junk"))  # which belongs to a traceparent
    if kept:
        assert await soon(lambda: collector.spans, PATIENCE_S)
        assert all(hexed(span["trace_id"]) == sent["traceparent"][3:35] for span in collector.spans)
    # What is not kept never reaches the queue, so the next trace comes alone.
    (await run.chat(headers={"traceparent": PARENT})).raise_for_status()
    assert await soon(lambda: any(hexed(s["trace_id"]) == PARENT[3:35] for s in collector.spans), PATIENCE_S)
    assert len({span["trace_id"] for span in collector.spans}) == (2 if kept and given != PARENT else 1)


async def test_no_text_key_or_header_of_a_client_is_in_a_trace(start: Start, collector: Collector) -> None:
    run = await start(
        auth={"keys": [{"key": "tg-secret"}]}, tracing={"endpoint": collector.url, "headers": {"x-collector": "c-key"}}
    )
    headers = {"authorization": "Bearer tg-secret", "x-request-id": "my-own-id", "user-agent": "agent/7"}
    assert (await run.chat(headers=headers)).status_code == 200
    assert await soon(lambda: collector.spans, PATIENCE_S)
    assert not [word for word in SECRETS if word in str(collector.spans)]
    assert collector.requests[0]["x-collector"] == "c-key"


async def test_a_collector_that_refuses_fails_no_request(start: Start, collector: Collector) -> None:
    collector.status = 400
    run = await start(tracing={"endpoint": collector.url})
    assert (await run.chat()).status_code == 200

    async def lost() -> float:
        return await run.metric("thinkgate_observations_dropped_total", sink="traces")

    assert await soon(lambda: collector.requests, PATIENCE_S)
    assert await soon(lambda: run.app.meters.observations_dropped("traces").value, PATIENCE_S)
    assert await lost() == 1
    assert (await run.chat()).status_code == 200


async def test_without_tracing_the_clients_headers_pass_by_as_they_are(start: Start) -> None:
    run = await start()
    assert (await run.chat(headers={"traceparent": PARENT, "tracestate": "a=b"})).status_code == 200
    assert run.fast.requests[0].headers["traceparent"] == PARENT
    assert run.fast.requests[0].headers["tracestate"] == "a=b"
    assert run.app._services.observer is None


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "app.observing.spans", None)
    pools = {name: {"model": name, "replicas": ["http://127.0.0.1:1"]} for name in ("fast", "deep")}
    settings = parse_settings(
        {
            "pools": pools,
            "routes": {"auto": {"instruct": "fast", "thinking": "deep"}},
            "judge": {"kind": "constant"},
            "tracing": {"endpoint": "http://127.0.0.1:1/v1/traces"},
        },
        {},
    )
    with pytest.raises(ConfigError, match=r"tracing\.endpoint: needs the extra `otel`"):
        create_app(settings)
    assert build.observer_for(settings.access_log, settings.tracing.model_copy(update={"endpoint": ""}), None) is None
