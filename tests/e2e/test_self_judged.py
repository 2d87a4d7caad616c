"""The miniature that judges itself, served by real vLLM behind the gateway: its verdicts, its words, our prefills."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import KEY, Server, hard_question, start_gateway

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
EASY = "What is the capital of France?"
TAGS = ("<judge>", "</judge>", "<think", "</think", "<answer>", "</answer>")


@pytest.fixture(scope="module")
def kat_gateway(kat_engine: Server, log_dir: Path) -> Iterator[Server]:
    config = {
        "auth": {"keys": [{"key": KEY, "profiles": ["*"]}]},
        "pools": {"own": {"model": "mini-kat", "replicas": [kat_engine.url]}},
        "routes": {"auto": {"family": "kat-v1", "pool": "own"}},
    }
    gateway = start_gateway(config, log_dir, "kat-gateway")
    try:
        yield gateway
    finally:
        assert gateway.stop() == 0


def ask(gateway: Server, prompt: str, stream: bool, **fields: Any) -> tuple[str, str, dict[str, Any], httpx.Response]:
    """(content, reasoning, routing, response)"""
    answer = httpx.post(
        gateway.url + "/v1/chat/completions",
        json={
            "model": "auto",
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": 300,
            "temperature": 0,
            "stream": stream,
            **fields,
        },
        headers={"authorization": f"Bearer {KEY}"},
        timeout=120,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    if not stream:
        message = answer.json()["choices"][0]["message"]
        return message["content"] or "", message.get("reasoning") or "", answer.json()["routing"], answer
    payloads = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert payloads.pop() == "[DONE]"
    events = [json.loads(payload) for payload in payloads]
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    content, reasoning = ("".join(delta.get(name) or "" for delta in deltas) for name in ("content", "reasoning"))
    return content, reasoning, next(event["routing"] for event in events if "routing" in event), answer


@pytest.mark.parametrize("stream", [False, True])
def test_the_model_thinks_about_the_hard_and_not_about_the_easy(kat_gateway: Server, stream: bool) -> None:
    hard, solution = hard_question()
    for prompt, mode, expected in ((EASY, "instruct", "Paris"), (hard, "thinking", solution)):
        content, reasoning, routing, answer = ask(kat_gateway, prompt, stream)
        assert (routing["mode"], routing["reason"]) == (mode, "self_judged")
        assert expected in content
        assert bool(reasoning) is (mode == "thinking")
        assert len(routing["judgement"]) > 5
        assert not any(tag in content + reasoning + routing["judgement"] for tag in TAGS)
        assert answer.headers["x-thinkgate-mode"] == mode


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("thinks", [False, True])
def test_the_client_s_word_overrules_the_model(kat_gateway: Server, stream: bool, thinks: bool) -> None:
    prompt = EASY if thinks else hard_question()[0]
    content, reasoning, routing, _ = ask(kat_gateway, prompt, stream, enable_thinking=thinks)
    assert (routing["mode"], routing["reason"]) == ("thinking" if thinks else "instruct", "client_field")
    assert "judgement" not in routing
    assert bool(reasoning) is thinks
    assert content
    assert not any(tag in content + reasoning for tag in TAGS)


def test_verdicts_are_counted_like_any_decision(kat_gateway: Server) -> None:
    ask(kat_gateway, EASY, False)
    text = httpx.get(kat_gateway.url + "/metrics", timeout=10, trust_env=False).text
    labels = 'judge="self@kat-v1",mode="instruct",profile="default",reason="self_judged"'
    assert f"thinkgate_decisions_total{{{labels}}}" in text
