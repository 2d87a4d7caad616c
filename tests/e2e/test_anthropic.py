"""Anthropic's own client, the gateway, and two real vLLM servers."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from .conftest import KEY, Server, hard_question, running, wait_idle
from .leaving import leave

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
EASY = "Hello"
HARD, HARD_ANSWER = hard_question()
GREEDY = {"temperature": 0}
TOOL: Any = {
    "name": "weather",
    "description": "The weather of a city.",
    "strict": True,
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Lima"]}},
        "required": ["city"],
    },
}


@pytest.fixture(scope="module")
def client(gateway: Server) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0, timeout=60) as made:
        yield made


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


def ask(client: anthropic.Anthropic, text: str, model: str = "auto", **options: Any) -> anthropic.types.Message:
    options.setdefault("max_tokens", 300)
    return client.messages.create(model=model, messages=user(text), extra_body=GREEDY, **options)


def routing(answer: Any) -> dict[str, Any]:
    return dict((answer.model_extra or {})["routing"])


@pytest.mark.parametrize(
    ("text", "model", "mode", "reason"),
    [(EASY, "auto", "instruct", "judge"), (HARD, "auto", "thinking", "judge"),
     (EASY, "auto-thinking", "thinking", "client_model"), (HARD, "auto-instruct", "instruct", "client_model"),
     (EASY, "mini-thinking", "thinking", "client_model"), (HARD + " /no_think", "auto", "instruct", "soft_switch")],
)  # fmt: skip
def test_a_message_is_answered_in_its_mode(
    client: anthropic.Anthropic, text: str, model: str, mode: str, reason: str
) -> None:
    answer = ask(client, text, model)
    assert answer.model == f"mini-{mode}"
    assert (routing(answer)["mode"], routing(answer)["reason"]) == (mode, reason)
    assert [block.type for block in answer.content] == (["thinking", "text"] if mode == "thinking" else ["text"])
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens > 0
    assert answer._request_id
    if (text, mode) == (HARD, "thinking"):
        assert answer.content[-1].text.strip() == HARD_ANSWER  # type: ignore[union-attr]


@pytest.mark.parametrize(("text", "mode"), [(EASY, "instruct"), (HARD, "thinking")])
def test_a_stream_gives_the_same_message_and_the_routing_at_its_end(
    client: anthropic.Anthropic, text: str, mode: str
) -> None:
    found = []
    with client.messages.stream(model="auto", messages=user(text), max_tokens=300, extra_body=GREEDY) as stream:
        for event in stream:
            if (event.model_extra or {}).get("routing"):
                found.append((event.type, event.model_extra["routing"]["mode"]))  # type: ignore[index]
        message = stream.get_final_message()
    whole = ask(client, text)
    assert [(b.type, getattr(b, "text", "")) for b in message.content] == [
        (b.type, getattr(b, "text", "")) for b in whole.content
    ]
    assert message.model == f"mini-{mode}"
    assert message.usage.output_tokens == whole.usage.output_tokens
    assert found == [("message_delta", mode)]


@pytest.mark.parametrize(
    ("thinking", "mode"),
    [({"type": "disabled"}, "instruct"), ({"type": "enabled", "budget_tokens": 1024}, "thinking"),
     ({"type": "adaptive"}, "thinking")],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_the_clients_thinking_field_decides(
    client: anthropic.Anthropic, thinking: Any, mode: str, stream: bool
) -> None:
    text = HARD if mode == "instruct" else EASY
    if stream:
        with client.messages.stream(
            model="auto", messages=user(text), max_tokens=1500, thinking=thinking, extra_body=GREEDY
        ) as stream_:
            answer: Any = stream_.get_final_message()
    else:
        answer = ask(client, text, max_tokens=1500, thinking=thinking)
        assert routing(answer)["reason"] == "client_field"
        assert routing(answer).get("budget") == thinking.get("budget_tokens")
    assert answer.model == f"mini-{mode}"
    assert any(block.type == "thinking" for block in answer.content) is (mode == "thinking")


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called(client: anthropic.Anthropic, stream: bool) -> None:
    """By the Instruct model: the Thinking miniature was not taught to write JSON, and never ends its blanks."""
    request: Any = {"model": "auto-instruct", "max_tokens": 900, "messages": user("Call the weather."), "tools": [TOOL],
                    "tool_choice": {"type": "any"}, "extra_body": GREEDY}  # fmt: skip
    if stream:
        with client.messages.stream(**request) as made:
            answer: Any = made.get_final_message()
    else:
        answer = client.messages.create(**request)
    assert answer.stop_reason == "tool_use"
    call = answer.content[-1]
    assert (call.type, call.name, call.input) == ("tool_use", "weather", {"city": "Lima"})


@pytest.mark.parametrize("mode", ["instruct", "thinking"])
def test_a_tools_result_goes_on_in_the_mode_of_the_call(client: anthropic.Anthropic, mode: str) -> None:
    ask(client, f"weather in {mode} mode?", f"auto-{mode}")
    turns: Any = [
        *user(f"weather in {mode} mode?"),
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Lima"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}]},
    ]
    again = client.messages.create(model="auto", max_tokens=50, messages=turns, tools=[TOOL], extra_body=GREEDY)
    assert (routing(again)["mode"], routing(again)["reason"]) == (mode, "session")


def test_tokens_are_counted_with_the_template_of_the_mode(client: anthropic.Anthropic) -> None:
    for text, model in ((EASY, "mini-instruct"), (HARD, "mini-thinking")):
        counted = client.messages.count_tokens(model="auto", messages=user(text)).input_tokens
        assert counted == ask(client, text).usage.input_tokens
        assert counted == client.messages.count_tokens(model=model, messages=user(text)).input_tokens


def test_models_are_listed(client: anthropic.Anthropic) -> None:
    names = {model.id for model in client.models.list()}
    assert {"auto", "auto-thinking", "mini-instruct"} <= names
    assert client.models.retrieve("auto").display_name == "auto"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("nope")


def test_errors_are_those_that_the_client_knows(client: anthropic.Anthropic, gateway: Server) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        ask(client, EASY, "claude-9")
    assert unknown.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    with pytest.raises(anthropic.BadRequestError) as long:
        ask(client, EASY, max_tokens=100_000)
    assert "max_model_len" in str(long.value)
    assert long.value.request_id
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(model="auto", max_tokens=5, messages=[{"role": "user", "content": 3}])  # type: ignore[typeddict-item]
    for stranger in (
        anthropic.Anthropic(base_url=gateway.url, api_key="wrong", max_retries=0),
        anthropic.Anthropic(base_url=gateway.url, auth_token="wrong", max_retries=0),
    ):
        with stranger, pytest.raises(anthropic.AuthenticationError):
            ask(stranger, EASY)
    bearer = anthropic.Anthropic(base_url=gateway.url, auth_token=KEY, max_retries=0)
    with bearer:
        assert ask(bearer, EASY).content


@pytest.mark.parametrize("stream", [False, True])
def test_vllm_stops_working_when_the_client_leaves(gateway: Server, engines: dict[str, Server], stream: bool) -> None:
    engine = engines["thinking"]
    wait_idle(engine, 30)
    # Messages know no `ignore_eos`: a call that the Thinking miniature must write, and never ends, runs long enough.
    body = {"model": "auto-thinking", "max_tokens": 1900, "messages": user(HARD), "stream": stream, **GREEDY,
            "tools": [TOOL], "tool_choice": {"type": "any"}}  # fmt: skip
    leave(gateway, "/v1/messages", body, stream, lambda: running(engine) == 1)
    assert wait_idle(engine, 2.0) < 2.0
