"""One trace through gateway and a real vLLM: its own spans hang below the gateway's span of the attempt."""

import time
from pathlib import Path

import httpx
import pytest

from tests.app.observing.conftest import Collector, collector
from tests.e2e.conftest import START_LIMIT_S, config_for, start_engine, start_gateway

__all__ = ["collector"]  # the fixture

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
PATIENCE_S = 60
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_vllms_own_spans_hang_below_the_gateways(collector: Collector, log_dir: Path) -> None:
    engine = start_engine(
        "instruct",
        log_dir,
        "traced",
        flags=("--otlp-traces-endpoint", collector.url),
        env={"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_SERVICE_NAME": "vllm"},
    )
    servers = [engine]
    try:
        engine.wait_ready("/health", START_LIMIT_S)
        config = config_for({"instruct": engine, "thinking": engine}, tracing={"endpoint": collector.url})
        del config["auth"]
        for pool in config["pools"].values():  # type: ignore[attr-defined]
            pool["model"] = "traced"
        gateway = start_gateway(config, log_dir, "gateway-traced")
        servers.append(gateway)
        body = {"model": "auto-instruct", "messages": [{"role": "user", "content": "hello"}]}
        url = f"{gateway.url}/v1/chat/completions"
        answer = httpx.post(url, json=body, headers={"traceparent": PARENT}, timeout=60, trust_env=False)
        assert answer.status_code == 200, answer.text
        wanted = ("POST /v1/chat/completions", "chat traced", "llm_request")
        end = time.monotonic() + PATIENCE_S
        while not set(wanted) <= {span["name"] for span in collector.spans} and time.monotonic() < end:
            time.sleep(0.1)
        root, attempt, inside = map(collector.named, wanted)
        assert root["trace_id"] == attempt["trace_id"] == inside["trace_id"]
        assert attempt["parent_span_id"] == root["span_id"]
        assert inside["parent_span_id"] == attempt["span_id"]
        tokens = answer.json()["usage"]["completion_tokens"]
        assert attempt["attributes"]["gen_ai.usage.output_tokens"] == tokens
        assert inside["attributes"]["gen_ai.usage.completion_tokens"] == tokens  # vLLM's name for the same
    finally:
        for server in servers:
            server.stop()
