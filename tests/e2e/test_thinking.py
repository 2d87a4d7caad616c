"""Thinking on real vLLM: budgets and a server that has none, tags in the text, rescues, and histories with thinking."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import (
    KEY,
    START_LIMIT_S,
    Server,
    config_for,
    hard_question,
    start_engine,
    start_gateway,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
HARD, SOLUTION = hard_question()
Asked = tuple[str, str, dict[str, Any], httpx.Response]


@pytest.fixture(scope="module")
def bare_engine(log_dir: Path) -> Iterator[Server]:
    """The thinking miniature without a reasoning parser: its thinking comes as text, and it knows no budgets."""
    engine = start_engine("thinking", log_dir, "mini-bare", parser=False)
    try:
        engine.wait_ready("/health", START_LIMIT_S)
        yield engine
    finally:
        engine.stop()


@pytest.fixture(scope="module")
def thinking_gateway(engines: dict[str, Server], bare_engine: Server, log_dir: Path) -> Iterator[Server]:
    config = config_for(engines)
    config["pools"]["bare"] = {"model": "mini-bare", "replicas": [bare_engine.url]}  # type: ignore[index]
    config["families"] = {"bare": {"like": "qwen3-2507", "tags": "think", "begins": {"thinking": "<think>\n"}}}
    config["routes"]["bare"] = {"family": "bare", "instruct": "fast", "thinking": "bare"}  # type: ignore[index]
    config["profiles"] = {
        **config["profiles"],  # type: ignore[dict-item]
        "short": {"thinking_budget": {"effort": {"low": 10}, "cap": 2000}},
        "rescue": {"rescue": True, "rescue_tokens": 20},
    }
    gateway = start_gateway(config, log_dir, "thinking-gateway")
    try:
        yield gateway
    finally:
        assert gateway.stop() == 0


def ask(gateway: Server, stream: bool, model: str = "auto-thinking", profile: str = "default", **fields: Any) -> Asked:
    """(content, reasoning, routing, response)"""
    body = {"model": model, "messages": [{"role": "user", "content": HARD}], "max_tokens": 300, "temperature": 0}
    answer = httpx.post(
        gateway.url + "/v1/chat/completions",
        json={**body, "stream": stream, **fields},
        headers={"authorization": f"Bearer {KEY}", "x-thinkgate-profile": profile},
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
    assert not any("error" in event for event in events), answer.text
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    content, reasoning = ("".join(delta.get(name) or "" for delta in deltas) for name in ("content", "reasoning"))
    return content, reasoning, next(event["routing"] for event in events if "routing" in event), answer


def metric(gateway: Server, line: str) -> float:
    text = httpx.get(gateway.url + "/metrics", timeout=10, trust_env=False).text
    return sum(float(row.rsplit(" ", 1)[1]) for row in text.splitlines() if row.startswith(line))


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_begins_with_its_first_line(thinking_gateway: Server, stream: bool) -> None:
    content, reasoning, _, _ = ask(thinking_gateway, stream)
    assert content == SOLUTION
    assert reasoning


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_that_comes_as_text_is_what_the_server_s_own_parser_makes_of_it(
    thinking_gateway: Server, stream: bool
) -> None:
    content, reasoning, routing, _ = ask(thinking_gateway, stream, "bare-thinking")
    parsed_content, parsed_reasoning, _, _ = ask(thinking_gateway, stream)
    assert routing["pool"] == "bare"
    assert (content, reasoning) == (parsed_content, parsed_reasoning.rstrip())


def test_an_effort_s_budget_cuts_thinking_short(thinking_gateway: Server) -> None:
    _, whole, routing, _ = ask(thinking_gateway, False, profile="short")
    assert routing["budget"] == 2000
    content, short, routing, answer = ask(thinking_gateway, False, profile="short", reasoning_effort="low")
    assert (routing["budget"], answer.headers["x-thinkgate-budget"]) == (10, "10")
    assert content
    assert 0 < len(short) < len(whole)


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_knows_no_budgets_is_asked_without(
    thinking_gateway: Server, bare_engine: Server, stream: bool
) -> None:
    content, reasoning, routing, _ = ask(thinking_gateway, stream, "bare-thinking", "short", reasoning_effort="low")
    assert content == SOLUTION
    assert reasoning
    assert "budget" not in routing
    assert metric(thinking_gateway, 'thinkgate_budgets_refused_total{pool="bare"}') == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["auto-thinking", "bare-thinking"])
def test_thinking_that_was_cut_off_is_closed_and_answered(thinking_gateway: Server, stream: bool, model: str) -> None:
    before = metric(thinking_gateway, 'thinkgate_rescues_total{how="continued"}')
    content, reasoning, routing, answer = ask(thinking_gateway, stream, model, "rescue", max_tokens=12)
    assert routing["rescue"] == "continued"
    assert reasoning
    assert content
    assert not any(tag in content for tag in ("<think>", "</think>"))
    assert '"finish_reason":"length"' not in answer.text
    assert metric(thinking_gateway, 'thinkgate_rescues_total{how="continued"}') == before + 1
    # The same tokens without a rescue are all thinking.
    assert ask(thinking_gateway, stream, model, max_tokens=12)[:2] == ("", reasoning)


def test_a_rescue_right_before_the_end_of_thinking_gives_the_right_answer(thinking_gateway: Server) -> None:
    """The thinking is whole but for its closing tag: the answer is what the model would have said."""
    _, reasoning, _, answer = ask(thinking_gateway, False)
    total = answer.json()["usage"]["completion_tokens"]
    content = ""
    for spare in range(3, 8):  # the tag, the blank line and the answer take a few tokens
        content, cut, routing, _ = ask(thinking_gateway, False, profile="rescue", max_tokens=total - spare)
        if routing.get("rescue") and cut.rstrip() == reasoning.rstrip():
            break
    else:
        pytest.fail("no length cut the thinking at its end")
    assert content == SOLUTION


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_earlier_thinking_changes_nothing(thinking_gateway: Server, name: str) -> None:
    first = {"role": "user", "content": "Hello"}
    turns = [first, {"role": "assistant", "content": "Hello! How can I help you?"}, {"role": "user", "content": HARD}]
    plain = ask(thinking_gateway, False, messages=turns)[3].json()
    turns[1] = {**turns[1], name: "Something long that I thought about before I greeted."}
    with_field = ask(thinking_gateway, False, messages=turns)[3].json()
    turns[1] = {"role": "assistant", "content": f"<think>\nhm\n</think>\n\n{turns[1]['content']}"}
    inline = ask(thinking_gateway, False, messages=turns)[3].json()
    assert plain["usage"]["prompt_tokens"] == with_field["usage"]["prompt_tokens"] == inline["usage"]["prompt_tokens"]
    assert plain["choices"][0]["message"]["content"] == inline["choices"][0]["message"]["content"]
