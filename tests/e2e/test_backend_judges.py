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


def alternatives(engine: Server, text: str) -> dict[str, float]:
    """Tokens that the server itself finds likely as the judge's answer, with their probabilities."""
    question = Question()
    messages = question.appended([{"role": "user", "content": text}])
    body = {"model": "mini-instruct", "messages": messages, **question.request_fields()}
    answer = httpx.post(engine.url + "/v1/chat/completions", json=body, timeout=60, trust_env=False).json()
    found: dict[str, float] = {}
    for entry in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
        word = entry["token"].strip().lower()
        found[word] = found.get(word, 0.0) + exp(entry["logprob"])
    return found


@pytest.mark.parametrize("text", ["Hello!", "Last digit, left to right: 7 + 5 * 3 - 8 * 7 + 4 - 6", "你好！"])
def test_the_probability_is_the_servers_own(engines: dict[str, Server], log_dir: Path, text: str) -> None:
    # The miniature has never seen the question, so its two likeliest words stand for yes and no.
    likely = alternatives(engines["instruct"], text)
    yes, no = [word for word in sorted(likely, key=lambda word: -likely[word]) if word][:2]
    judge = {"kind": "llm", "timeout_ms": 20_000, "question": {"yes": [yes], "no": [no]}}
    gateway = start_gateway(config_for(engines, judge=judge), log_dir, "gateway-own")
    try:
        found = post(gateway.url + "/v1/route", {"model": "auto", "messages": [{"role": "user", "content": text}]})
        assert found["reason"] == "judge"
        assert found["score"] == pytest.approx(likely[yes] / (likely[yes] + likely[no]), abs=2e-3)
        assert found["mode"] == "thinking", "the likelier word stands for yes"
    finally:
        assert gateway.stop() == 0


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
