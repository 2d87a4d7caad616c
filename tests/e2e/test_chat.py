"""An OpenAI client, the gateway, and two real vLLM servers."""

import json
import socket
import time
from collections.abc import Iterator

import httpx
import openai
import pytest

from .conftest import KEY, Server, hard_question, running, wait_idle

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

EASY = "Hello"
HARD, HARD_ANSWER = hard_question()
LONG = {"ignore_eos": True}  # runs until max_tokens, so that there is time to interfere


@pytest.fixture(scope="module")
def client(gateway: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key=KEY, max_retries=0, timeout=60) as made:
        yield made


def ask(
    client: openai.OpenAI, content: str, model: str = "auto", **options: object
) -> openai.types.chat.ChatCompletion:
    messages = [{"role": "user", "content": content}]
    options.setdefault("max_tokens", 300)
    return client.chat.completions.create(model=model, messages=messages, temperature=0, **options)  # type: ignore[call-overload,no-any-return]


def routing(answer: object) -> dict[str, object]:
    found = answer.model_extra["routing"]  # type: ignore[attr-defined]
    assert isinstance(found, dict)
    return found


def test_an_easy_question_is_answered_by_the_instruct_model(client: openai.OpenAI) -> None:
    answer = ask(client, EASY)
    assert answer.model == "mini-instruct"
    assert answer.choices[0].message.content == "Hello! How can I help you?"
    assert answer.choices[0].finish_reason == "stop"
    assert routing(answer)["mode"] == "instruct"
    assert routing(answer)["reason"] == "judge"


def test_a_hard_question_is_answered_by_the_thinking_model(client: openai.OpenAI) -> None:
    answer = ask(client, HARD)
    message = answer.choices[0].message
    assert answer.model == "mini-thinking"
    assert message.content is not None
    assert message.content.strip() == HARD_ANSWER
    assert message.model_extra is not None
    assert message.model_extra["reasoning"]
    assert message.model_extra["reasoning_content"] == message.model_extra["reasoning"]
    assert routing(answer)["mode"] == "thinking"


def test_a_stream_brings_the_reasoning_first_and_the_routing_at_its_end(client: openai.OpenAI) -> None:
    kinds, last_routing, text = [], [], ""
    stream = client.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": HARD}], temperature=0, max_tokens=300, stream=True
    )
    for chunk in stream:
        assert chunk.choices, "a client that did not ask for usage must not see its chunk"
        delta = chunk.choices[0].delta
        if (delta.model_extra or {}).get("reasoning"):
            assert delta.model_extra["reasoning_content"] == delta.model_extra["reasoning"]
            kinds.append("reasoning")
        elif delta.content:
            kinds.append("answer")
            text += delta.content
        last_routing.append((chunk.model_extra or {}).get("routing"))
    assert kinds.index("answer") == kinds.count("reasoning") > 0
    assert text.strip() == HARD_ANSWER
    assert last_routing[-1]["mode"] == "thinking"
    assert not any(last_routing[:-1])


def test_usage_comes_in_its_own_last_chunk_when_asked_for(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": EASY}],
            max_tokens=50,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert routing(chunks[-1])["mode"] == "instruct"
    assert not any((chunk.model_extra or {}).get("routing") for chunk in chunks[:-1])


def headers_of(gateway: Server, body: dict[str, object], **headers: str) -> httpx.Response:
    return httpx.post(
        gateway.url + "/v1/chat/completions",
        json={"max_tokens": 200, "temperature": 0, **body},
        headers={"authorization": f"Bearer {KEY}", **headers},
        timeout=60,
        trust_env=False,
    )


def user(text: str) -> dict[str, object]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}]}


# ruff: noqa: E501 - a table is read across
RUNGS = [
    # rung, body, headers, mode, reason
    ("profile", {**user(HARD), "model": "support"}, {}, "instruct", "profile"),
    ("profile over model alias", {**user(HARD), "model": "support-thinking"}, {}, "instruct", "profile"),
    ("alias", {**user(EASY), "model": "auto-thinking"}, {}, "thinking", "client_model"),
    ("alias over header", {**user(EASY), "model": "auto-thinking"}, {"x-thinkgate-mode": "instruct"}, "thinking", "client_model"),
    ("pool's own model", {**user(HARD), "model": "mini-instruct"}, {}, "instruct", "client_model"),
    ("header", user(EASY), {"x-thinkgate-mode": "thinking"}, "thinking", "client_header"),
    ("header over off", {**user(EASY), "enable_thinking": False}, {"x-thinkgate-mode": "thinking"}, "thinking", "client_header"),
    ("off", {**user(HARD), "chat_template_kwargs": {"enable_thinking": False}}, {}, "instruct", "client_field"),
    ("effort none", {**user(HARD), "reasoning_effort": "none"}, {}, "instruct", "client_field"),
    ("budget zero", {**user(HARD), "thinking_token_budget": 0}, {}, "instruct", "client_field"),
    ("off over switch", {**user(HARD + " /think"), "enable_thinking": False}, {}, "instruct", "client_field"),
    ("switch on", user(EASY + " /think"), {}, "thinking", "soft_switch"),
    ("switch off", user(HARD + " /no_think"), {}, "instruct", "soft_switch"),
    ("switch over on", {**user(HARD + " /no_think"), "chat_template_kwargs": {"enable_thinking": True}}, {}, "instruct", "soft_switch"),
    ("on", {**user(EASY), "chat_template_kwargs": {"enable_thinking": True}}, {}, "thinking", "client_field"),
    ("effort", {**user(EASY), "reasoning_effort": "medium"}, {}, "thinking", "client_field"),
    ("effort auto", {**user(EASY), "reasoning_effort": "medium"}, {"x-thinkgate-profile": "effort-auto"}, "instruct", "judge"),
    ("header auto", {**user(EASY), "enable_thinking": True}, {"x-thinkgate-mode": "auto"}, "instruct", "judge"),
    ("judge easy", user(EASY), {}, "instruct", "judge"),
    ("judge hard", user(HARD), {}, "thinking", "judge"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "headers", "mode", "reason"), [row[1:] for row in RUNGS], ids=[r[0] for r in RUNGS])
def test_every_rung_of_the_ladder(
    gateway: Server, body: dict[str, object], headers: dict[str, str], mode: str, reason: str
) -> None:
    answer = headers_of(gateway, body, **headers)
    assert answer.status_code == 200, answer.text
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]) == (mode, reason)
    message = answer.json()["choices"][0]["message"]
    assert answer.json()["model"] == f"mini-{mode}"
    assert bool(message.get("reasoning")) is (mode == "thinking")
    assert "</think>" not in (message.get("content") or "")


def test_a_tool_loop_stays_in_the_mode_where_it_began(gateway: Server) -> None:
    session = {"x-session-id": "loop-1"}
    first = headers_of(gateway, user(EASY + " /think"), **session)
    assert first.headers["x-thinkgate-mode"] == "thinking"
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    loop = [
        {"role": "user", "content": EASY},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    second = headers_of(gateway, {"model": "auto", "messages": loop}, **session)
    assert (second.headers["x-thinkgate-mode"], second.headers["x-thinkgate-reason"]) == ("thinking", "session")


def test_the_soft_switch_does_not_reach_models_that_do_not_know_it(gateway: Server, engines: dict[str, Server]) -> None:
    plain = headers_of(gateway, user(HARD), **{"x-thinkgate-mode": "thinking"}).json()
    switched = headers_of(gateway, user(HARD + " /think")).json()
    assert switched["usage"]["prompt_tokens"] == plain["usage"]["prompt_tokens"]
    assert switched["choices"][0]["message"]["content"] == plain["choices"][0]["message"]["content"]


def test_truncation_while_thinking_keeps_vllms_shape(client: openai.OpenAI) -> None:
    answer = ask(client, HARD, max_tokens=5)
    choice = answer.choices[0]
    assert choice.finish_reason == "length"
    assert choice.message.content is None
    assert choice.message.model_extra is not None
    assert choice.message.model_extra["reasoning"]
    assert routing(answer)["mode"] == "thinking"


def test_an_unknown_model_is_404_with_the_known_names(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        ask(client, EASY, model="gpt-9")
    assert error.value.code == "model_not_found"
    assert "auto" in error.value.message


def test_a_wrong_key_is_401(gateway: Server) -> None:
    stranger = openai.OpenAI(base_url=gateway.url + "/v1", api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        ask(stranger, EASY)


@pytest.mark.parametrize(
    "body",
    [b'{"model": "auto", "messages": [', b"[]", b"", b'{"model": 3}', b'{"model": "auto", "messages": []}',
     b'{"model":"auto","messages":[{"role":"user","content":"\xff"}]}', b'{"a":' * 5000],
)  # fmt: skip
def test_a_bad_body_is_400_in_openais_shape(gateway: Server, body: bytes) -> None:
    answer = httpx.post(
        gateway.url + "/v1/chat/completions",
        content=body,
        headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
        trust_env=False,
    )
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert headers_of(gateway, user(EASY)).status_code == 200, "the server must live on"


def test_the_backends_own_error_keeps_status_and_message(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, EASY, max_tokens=100_000)
    assert "max_tokens" in error.value.message or "maximum context length" in error.value.message


def test_models_lists_aliases_and_pools(client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert {"auto", "auto-instruct", "auto-thinking", "support", "mini-instruct", "mini-thinking"} <= names


@pytest.mark.parametrize("stream", [True, False])
def test_vllm_stops_working_when_the_client_leaves(gateway: Server, engines: dict[str, Server], stream: bool) -> None:
    engine = engines["thinking"]
    wait_idle(engine, 30)
    body = json.dumps({**user(HARD), "model": "auto-thinking", "max_tokens": 1900, "stream": stream, **LONG}).encode()
    address = httpx.URL(gateway.url)
    with socket.create_connection((address.host, address.port or 80)) as client:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        if stream:
            assert b"200 OK" in client.recv(4096)
        _until(lambda: running(engine) == 1, 20)
    assert wait_idle(engine, 2.0) < 2.0


def _until(condition: object, limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.02)


def test_prometheus_can_read_what_happened(gateway: Server) -> None:
    headers_of(gateway, user(HARD))
    text = httpx.get(gateway.url + "/metrics", trust_env=False).text
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    assert float(samples['thinkgate_requests_total{api="chat",mode="thinking",reason="judge",status="200"}']) >= 1
    assert float(samples['thinkgate_tokens_total{kind="reasoning",mode="thinking"}']) > 0
    assert float(samples['thinkgate_in_flight{pool="deep"}']) == 0
    assert float(samples['thinkgate_time_to_answer_seconds_count{mode="thinking"}']) > 0


def test_no_text_of_a_client_is_in_the_log(gateway: Server) -> None:
    secret = "violet-hippopotamus"
    headers_of(gateway, user(f"{EASY} {secret}"))
    headers_of(gateway, {"model": secret, "messages": [{"role": "user", "content": secret}]})
    httpx.post(gateway.url + "/v1/chat/completions", content=f'{{"model": "{secret}"', trust_env=False)
    log = gateway.log.read_text()
    assert secret not in log
    assert KEY not in log


def test_the_dry_run_says_the_same_as_the_real_run(gateway: Server) -> None:
    for text in (EASY, HARD):
        dry = httpx.post(
            gateway.url + "/v1/route", json=user(text), headers={"authorization": f"Bearer {KEY}"}, trust_env=False
        ).json()
        real = headers_of(gateway, user(text)).json()["routing"]
        assert {k: dry[k] for k in ("mode", "reason", "score", "pool")} == {
            k: real[k] for k in ("mode", "reason", "score", "pool")
        }
        assert json.dumps(dry["features"])
