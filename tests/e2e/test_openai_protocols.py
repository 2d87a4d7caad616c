"""OpenAI's own client on the Responses and Completions APIs, the gateway, and two real vLLM servers."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from .conftest import KEY, Server, hard_question, running, wait_idle
from .leaving import leave

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
EASY = "Hello"
HARD, HARD_ANSWER = hard_question()
TOOL: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Lima"]}},
        "required": ["city"],
    },
}


@pytest.fixture(scope="module")
def client(gateway: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key=KEY, max_retries=0, timeout=60) as made:
        yield made


def respond(client: openai.OpenAI, text: Any, model: str = "auto", **options: Any) -> Any:
    options.setdefault("max_output_tokens", 300)
    return client.responses.create(model=model, input=text, temperature=0, **options)


def cancelled(client: openai.OpenAI) -> Any:
    """A long response, cancelled in its making. A machine may stall until it is whole: then it is tried again."""
    for _ in range(5):
        made = respond(
            client, "x", "auto-thinking", background=True, max_output_tokens=1900, extra_body={"ignore_eos": True}
        )
        try:
            return client.responses.cancel(made.id)
        except openai.BadRequestError:
            assert client.responses.retrieve(made.id).status == "completed"
    raise AssertionError("five long responses ended before they could be cancelled")


def routing(answer: Any) -> dict[str, Any]:
    return dict(answer.model_extra["routing"])


# ---------------------------------------------------------------------------------------- Responses


@pytest.mark.parametrize(
    ("text", "model", "options", "mode", "reason"),
    [(EASY, "auto", {}, "instruct", "judge"), (HARD, "auto", {}, "thinking", "judge"),
     (EASY, "auto-thinking", {}, "thinking", "client_model"), (HARD, "auto-instruct", {}, "instruct", "client_model"),
     (HARD, "auto", {"reasoning": {"effort": "none"}}, "instruct", "client_field"),
     (EASY, "auto", {"reasoning": {"effort": "high"}}, "thinking", "client_field"),
     (EASY + " /think", "auto", {}, "thinking", "soft_switch")],
)  # fmt: skip
def test_a_response_is_answered_in_its_mode(
    client: openai.OpenAI, text: str, model: str, options: Any, mode: str, reason: str
) -> None:
    answer = respond(client, text, model, **options)
    assert answer.model == f"mini-{mode}"
    assert (routing(answer)["mode"], routing(answer)["reason"]) == (mode, reason)
    assert [item.type for item in answer.output] == (["reasoning", "message"] if mode == "thinking" else ["message"])
    assert answer.status == "completed"
    if (text, mode) == (HARD, "thinking"):
        assert answer.output_text.strip() == HARD_ANSWER


@pytest.mark.parametrize(("text", "mode"), [(EASY, "instruct"), (HARD, "thinking")])
def test_a_stream_gives_the_same_response_and_the_routing_at_its_end(
    client: openai.OpenAI, text: str, mode: str
) -> None:
    events = list(respond(client, text, stream=True))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = events[-1].response
    assert final.output_text == respond(client, text).output_text
    assert routing(final)["mode"] == mode
    assert not (events[0].response.model_extra or {}).get("routing")
    kinds = [event.type for event in events]
    assert ("response.reasoning_text.delta" in kinds) is (mode == "thinking")
    with client.responses.stream(model="auto", input=text, temperature=0, max_output_tokens=300) as stream:
        assert stream.get_final_response().output_text == final.output_text


@pytest.mark.parametrize("model", ["auto-instruct", "auto-thinking"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_goes_on_in_the_same_mode(
    client: openai.OpenAI, model: str, stream: bool
) -> None:
    options: Any = {"tools": [TOOL], "tool_choice": "required"}
    if stream:
        answer = list(respond(client, "weather?", model, stream=True, **options))[-1].response
    else:
        answer = respond(client, "weather?", model, **options)
    call = answer.output[-1]
    assert (call.type, call.name) == ("function_call", "weather")
    items = [
        {"role": "user", "content": "weather?"},
        {"type": "function_call", "call_id": call.call_id, "name": "weather", "arguments": '{"city":"Lima"}'},
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]
    again = respond(client, items, tools=[TOOL], max_output_tokens=50)
    assert (routing(again)["mode"], routing(again)["reason"]) == (model[5:], "session")


def test_a_response_in_the_background_is_fetched_and_cancelled_where_it_was_made(client: openai.OpenAI) -> None:
    made = respond(client, HARD, "auto-thinking", background=True)
    assert made.status == "queued"
    end = time.monotonic() + 30
    while (found := client.responses.retrieve(made.id)).status in ("queued", "in_progress"):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert found.status == "completed"
    assert found.output_text.strip() == HARD_ANSWER
    assert cancelled(client).status == "cancelled"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_nope")


def test_a_conversation_goes_on_where_its_last_response_is_kept(client: openai.OpenAI) -> None:
    first = respond(client, HARD)
    assert routing(first)["mode"] == "thinking"
    second = respond(client, EASY, previous_response_id=first.id)
    assert (routing(second)["mode"], routing(second)["reason"]) == ("thinking", "session")
    assert second.usage.input_tokens > respond(client, EASY, "auto-thinking").usage.input_tokens


def test_errors_are_those_that_the_client_knows(client: openai.OpenAI, gateway: Server) -> None:
    with pytest.raises(openai.NotFoundError):
        respond(client, EASY, "gpt-9")
    with pytest.raises(openai.BadRequestError):
        respond(client, EASY, reasoning={"effort": "vast"})
    with pytest.raises(openai.BadRequestError):
        respond(client, EASY, stream=True, top_p=5)
    stranger = openai.OpenAI(base_url=gateway.url + "/v1", api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        respond(stranger, EASY)


# ---------------------------------------------------------------------------------------- Completions


@pytest.mark.parametrize(
    ("prompt", "model", "mode"),
    [(EASY, "auto", "instruct"), (HARD, "auto", "thinking"), (EASY, "auto-thinking", "thinking"),
     ([EASY, EASY], "auto", "instruct"), (EASY, "mini-thinking", "thinking")],
)  # fmt: skip
def test_a_prompt_is_completed_by_the_model_of_its_mode(
    client: openai.OpenAI, prompt: Any, model: str, mode: str
) -> None:
    whole = client.completions.create(model=model, prompt=prompt, max_tokens=8, temperature=0)
    assert whole.model == f"mini-{mode}"
    assert routing(whole)["mode"] == mode
    chunks = list(client.completions.create(model=model, prompt=prompt, max_tokens=8, temperature=0, stream=True))
    assert routing(chunks[-1])["mode"] == mode
    assert all(chunk.choices for chunk in chunks)
    for i in range(len(whole.choices)):
        text = "".join(choice.text for chunk in chunks for choice in chunk.choices if choice.index == i)
        assert text == whole.choices[i].text


def test_token_ids_echo_and_logprobs_go_through(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="auto", prompt=[64, 65, 66], max_tokens=2, temperature=0, echo=True, logprobs=1
    )
    assert answer.choices[0].logprobs is not None
    assert len(answer.choices[0].logprobs.tokens or []) == 5
    assert answer.choices[0].text.startswith("abc")


def test_usage_comes_in_its_own_last_chunk_when_asked_for(client: openai.OpenAI) -> None:
    stream = client.completions.create(
        model="auto", prompt=EASY, max_tokens=4, stream=True, stream_options={"include_usage": True}
    )
    last = list(stream)[-1]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens > 0
    assert routing(last)["mode"] == "instruct"


# ---------------------------------------------------------------------------------------- for both


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/completions"])
@pytest.mark.parametrize("stream", [False, True])
def test_vllm_stops_working_when_the_client_leaves(
    gateway: Server, engines: dict[str, Server], path: str, stream: bool
) -> None:
    engine = engines["thinking"]
    wait_idle(engine, 30)
    ask = (
        {"input": HARD, "max_output_tokens": 1900} if path == "/v1/responses" else {"prompt": HARD, "max_tokens": 1900}
    )
    body = {"model": "auto-thinking", "stream": stream, "ignore_eos": True, **ask}
    leave(gateway, path, body, stream, lambda: running(engine) == 1)
    assert wait_idle(engine, 2.0) < 2.0


def test_prometheus_can_read_what_happened(gateway: Server, client: openai.OpenAI) -> None:
    respond(client, HARD)
    list(respond(client, HARD, stream=True))
    client.completions.create(model="auto", prompt=EASY, max_tokens=2)
    text = httpx.get(gateway.url + "/metrics", trust_env=False).text
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    for api, mode in (("responses", "thinking"), ("completions", "instruct")):
        assert float(samples[f'thinkgate_requests_total{{api="{api}",mode="{mode}",reason="judge",status="200"}}']) >= 1
    assert float(samples['thinkgate_tokens_total{kind="reasoning",mode="thinking"}']) > 20
    assert float(samples['thinkgate_time_to_answer_seconds_count{mode="thinking"}']) >= 1


def test_tokenize_and_detokenize_are_passed_through(gateway: Server) -> None:
    def post(path: str, **body: Any) -> Any:
        headers = {"authorization": f"Bearer {KEY}"}
        answer = httpx.post(gateway.url + path, json=body, headers=headers, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json()

    tokens = post("/tokenize", model="auto", prompt="Hello")["tokens"]
    assert post("/detokenize", model="mini-thinking", tokens=tokens)["prompt"] == "Hello"
