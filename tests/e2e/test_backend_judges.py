"""The llm and cascade judges, asked of a real vLLM server."""

import json
import re
from collections.abc import Iterator
from math import exp
from pathlib import Path

import httpx
import pytest

from router.judges.question import Question

from .conftest import ENGINE, KEY, Server, config_for, start_gateway

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
HEADERS = {"authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def asking(engines: dict[str, Server], log_dir: Path) -> Iterator[Server]:
    """A gateway whose judge is the Instruct pool itself."""
    server = start_gateway(config_for(engines, judge={"kind": "llm", "timeout_ms": 20_000}), log_dir, "gateway-llm")
    try:
        yield server
    finally:
        assert server.stop() == 0


@pytest.fixture(scope="module")
def cascade(engines: dict[str, Server], log_dir: Path) -> Iterator[Server]:
    """A gateway whose linear judge asks the Instruct pool where it is unsure, which here is always (margin 1)."""
    judge = {"kind": "cascade", "path": str(ENGINE / "judge"), "timeout_ms": 20_000, "margin": 1.0}
    server = start_gateway(config_for(engines, judge=judge), log_dir, "gateway-cascade")
    try:
        yield server
    finally:
        assert server.stop() == 0


def post(url: str, body: dict[str, object]) -> dict[str, object]:
    answer = httpx.post(url, json=body, headers=HEADERS, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def prefix_cache(engine: Server) -> tuple[float, float]:
    """(queries, hits) of vLLM's prefix cache, in tokens."""
    text = httpx.get(engine.url + "/metrics", trust_env=False).text
    values = dict(re.findall(r"^vllm:prefix_cache_(queries|hits)_total\{[^}]*\} ([0-9.e+]+)", text, re.MULTILINE))
    return float(values["queries"]), float(values["hits"])


def own_probability(engine: Server, messages: list[dict[str, str]]) -> float | None:
    """P(yes) as the server itself gives it, asked without the gateway."""
    question = Question()
    body = {"model": "mini-instruct", "messages": question.appended(messages), **question.request_fields()}
    body.update({"temperature": 0.0, "top_p": 0.8, "top_k": 20, "min_p": 0})
    answer = httpx.post(engine.url + "/v1/chat/completions", json=body, timeout=60, trust_env=False).json()
    alternatives = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    mass = {"y": 0.0, "n": 0.0}
    for entry in alternatives:
        word = entry["token"].strip().lower()
        word = {"yes": "y", "是": "y", "no": "n", "否": "n", "不": "n"}.get(word, word)
        if word in mass:
            mass[word] += exp(entry["logprob"])
    total = sum(mass.values())
    return mass["y"] / total if total else None


@pytest.mark.parametrize("text", ["Hello!", "Last digit, left to right: 7 + 5 * 3 - 8 * 7 + 4 - 6", "你好！"])
def test_the_probability_is_the_servers_own(asking: Server, engines: dict[str, Server], text: str) -> None:
    messages = [{"role": "user", "content": text}]
    expected = own_probability(engines["instruct"], messages)
    found = post(asking.url + "/v1/route", {"model": "auto", "messages": messages})
    if expected is None:  # a miniature that has never seen the question may say neither; then the default answers
        assert found["reason"] == "judge_failed"
        assert found["mode"] == "instruct"
    else:
        assert found["score"] == pytest.approx(expected, abs=1e-3)
        assert found["reason"] == "judge"


def test_the_prefill_of_the_answer_hits_the_prefix_cache(asking: Server, engines: dict[str, Server]) -> None:
    words = " ".join(f"word{i}" for i in range(120))  # blocks are 128 tokens on the CPU: a prompt of several
    body = {"model": "auto", "max_tokens": 4, "messages": [{"role": "user", "content": f"Repeat: {words}"}]}
    queries, hits = prefix_cache(engines["instruct"])
    answer = post(asking.url + "/v1/chat/completions", {**body, "temperature": 0})
    assert answer["model"] == "mini-instruct"
    more_queries, more_hits = prefix_cache(engines["instruct"])
    assert more_queries > queries
    assert more_hits - hits >= 128, "the second prefill must find the first one's blocks"


def test_a_cascade_asks_and_still_answers(cascade: Server) -> None:
    answer = post(
        cascade.url + "/v1/chat/completions",
        {"model": "auto", "max_tokens": 200, "temperature": 0, "messages": [{"role": "user", "content": "Hello!"}]},
    )
    routing = json.loads(json.dumps(answer["routing"]))
    assert routing["judge"].startswith("cascade@1+linear@")
    assert routing["reason"] == "judge"


def test_a_judge_that_cannot_be_asked_in_time_never_fails_a_request(engines: dict[str, Server], log_dir: Path) -> None:
    judge = {"kind": "llm", "timeout_ms": 0.01, "on_failure": "thinking"}
    gateway = start_gateway(config_for(engines, judge=judge), log_dir, "gateway-late")
    try:
        answer = post(
            gateway.url + "/v1/chat/completions",
            {"model": "auto", "max_tokens": 200, "messages": [{"role": "user", "content": "Hello!"}]},
        )
        routing = json.loads(json.dumps(answer["routing"]))
        assert (routing["mode"], routing["reason"]) == ("thinking", "judge_failed")
    finally:
        assert gateway.stop() == 0
