"""Escalation with real vLLM: its own log-probabilities decide, and the client sees one answer and none of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Server, config_for, start_gateway, wait_idle
from tests.e2e.test_thinking import SOLUTION, ask, metric

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
streaming = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture(scope="module")
def gateway(engines: dict[str, Server], log_dir: Path) -> Iterator[Server]:
    """Every score is just below the threshold; the profiles differ in what they expect of a draft."""
    config: dict[str, Any] = config_for(engines)
    config["judge"] = {"kind": "constant", "score": 0.45}
    config["profiles"] = {
        "default": {},
        "fast-only": {"mode": "instruct"},
        "strict": {"escalation": {"bound": -0.0001, "time_ms": 60_000}},
        "lenient": {"escalation": {"bound": -20, "time_ms": 60_000, "tokens": 3}},
    }
    server = start_gateway(config, log_dir, "escalation-gateway")
    try:
        yield server
    finally:
        assert server.stop() == 0


@streaming
def test_an_unsure_draft_gives_way_to_thinking(gateway: Server, engines: dict[str, Server], stream: bool) -> None:
    before = metric(gateway, "thinkgate_escalations_total")
    content, reasoning, routing, answer = ask(gateway, stream, model="auto", profile="strict")
    assert content.strip() == SOLUTION
    assert reasoning
    assert (routing["mode"], routing["reason"], routing["model"]) == ("thinking", "escalated", "mini-thinking")
    assert routing["draft_tokens"] >= 1
    assert '"logprobs":{' not in answer.text
    assert metric(gateway, "thinkgate_escalations_total") == before + 1
    wait_idle(engines["instruct"], 5)


@streaming
def test_a_draft_that_will_do_is_the_same_answer_as_without_a_watch(gateway: Server, stream: bool) -> None:
    content, _, routing, answer = ask(gateway, stream, model="auto", profile="lenient")
    plain, _, _, _ = ask(gateway, stream, model="auto", profile="default")
    assert content == plain
    assert (routing["mode"], routing["reason"], routing["model"]) == ("instruct", "judge", "mini-instruct")
    assert "draft_tokens" not in routing
    assert '"logprobs":{' not in answer.text


@streaming
def test_who_asks_for_logprobs_gets_vllms_own(gateway: Server, stream: bool) -> None:
    _, _, _, answer = ask(gateway, stream, model="auto", profile="lenient", logprobs=True, top_logprobs=2)
    assert '"logprobs":{' in answer.text
    assert '"top_logprobs":[{' in answer.text
