"""A client that validates everything: the libraries' own models, types taken strictly, unknown members forbidden.

vLLM's own answers do not all pass, so the backend is the measure: with the additions off the gateway's answers have no
fault that the backend's have not; with the additions on only those that docs/api.md names.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import anthropic.types
import httpx
import openai.types
import openai.types.chat
import openai.types.responses
import pytest
from pydantic import TypeAdapter, ValidationError

from .conftest import KEY, Server, config_for, hard_question, start_gateway

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
EASY = "Hello"
HARD, _ = hard_question()
GREEDY = {"temperature": 0}
OFF = {"default": {"metadata": "headers", "reasoning": "reasoning"}}
FUNCTION = {"name": "weather", "strict": True, "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "enum": ["Lima"]}}, "required": ["city"],
    "additionalProperties": False}}  # fmt: skip


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 300, **GREEDY, **more}


USAGE = {"stream": True, "stream_options": {"include_usage": True}}
FORCED = {"tools": [{"type": "function", "function": FUNCTION}], "tool_choice": "required"}
# name: path, body, what a whole answer or an event has to be
ASKED: dict[str, tuple[str, dict[str, Any], Any]] = {
    "chat": ("/v1/chat/completions", chat(HARD), openai.types.chat.ChatCompletion),
    "chat-n": ("/v1/chat/completions", chat(EASY, n=2, logprobs=True, temperature=0.1, seed=7),
               openai.types.chat.ChatCompletion),
    "chat-tool": ("/v1/chat/completions", chat("Call the weather.", **FORCED), openai.types.chat.ChatCompletion),
    "chat-stream": ("/v1/chat/completions", chat(HARD, stream=True), openai.types.chat.ChatCompletionChunk),
    "chat-stream-usage": ("/v1/chat/completions", chat(HARD, **USAGE), openai.types.chat.ChatCompletionChunk),
    "chat-stream-tool": ("/v1/chat/completions", chat("Call the weather.", stream=True, **FORCED),
                         openai.types.chat.ChatCompletionChunk),
    "completions": ("/v1/completions", {"prompt": EASY, "max_tokens": 8, **GREEDY}, openai.types.Completion),
    "completions-stream": ("/v1/completions", {"prompt": EASY, "max_tokens": 8, **GREEDY, **USAGE},
                           openai.types.Completion),
    "responses": ("/v1/responses", {"input": HARD, **GREEDY}, openai.types.responses.Response),
    "responses-stream": ("/v1/responses", {"input": HARD, "stream": True, **GREEDY},
                         openai.types.responses.ResponseStreamEvent),
    "messages": ("/v1/messages", chat(HARD), anthropic.types.Message),
    "messages-stream": ("/v1/messages", chat(HARD, stream=True), anthropic.types.RawMessageStreamEvent),
    "count": ("/v1/messages/count_tokens", {"messages": chat(HARD)["messages"]}, anthropic.types.MessageTokensCount),
}  # fmt: skip
Faults = set[tuple[str, str]]


@pytest.fixture(scope="module")
def plain(engines: dict[str, Server], log_dir: Any) -> Iterator[Server]:
    """A gateway that adds nothing to bodies."""
    server = start_gateway(config_for(engines, profiles={**OFF, "fast-only": {"mode": "instruct"}}), log_dir, "plain")
    try:
        yield server
    finally:
        assert server.stop() == 0


def read(url: str, path: str, body: dict[str, Any]) -> list[Any]:
    """The answer, or the events of a stream without `[DONE]`."""
    headers = {"authorization": f"Bearer {KEY}", "anthropic-version": "2023-06-01"}
    answer = httpx.post(url + path, json=body, headers=headers, timeout=120, trust_env=False)
    assert answer.status_code == 200, answer.text
    if not body.get("stream"):
        return [answer.json()]
    data = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(text) for text in data if text != "[DONE]"]


def faults(kind: Any, answers: list[Any]) -> Faults:
    """What a strict reader holds against them: (place, what is wrong), list positions left out."""
    found = set()
    for answer in answers:
        reader = TypeAdapter(_of_its_type(kind, answer))
        try:
            reader.validate_json(json.dumps(answer), strict=True, extra="forbid")
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_context=False, include_input=False):
                found.add((".".join(part for part in map(str, fault["loc"]) if not part.isdigit()), fault["type"]))
    return found


def _of_its_type(kind: Any, event: Any) -> Any:
    """The one kind among a protocol's events that has the event's `type`; fails where there is none."""
    if isinstance(kind, type):
        return kind
    union = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return next(k for k in get_args(union) if event["type"] in get_args(k.model_fields["type"].annotation))


def direct(engines: dict[str, Server], name: str, model: str) -> Faults:
    path, body, kind = ASKED[name]
    return faults(kind, read(engines[model.removeprefix("mini-")].url, path, {**body, "model": model}))


CASES = [
    (name, mode) for name in ASKED for mode in ("instruct", "thinking") if "tool" not in name or mode == "instruct"
]


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_with_the_additions_off_a_strict_client_finds_what_it_finds_in_vllm(
    plain: Server, engines: dict[str, Server], name: str, mode: str
) -> None:
    path, body, kind = ASKED[name]
    asked = {**body, "model": f"auto-{mode}"}
    assert faults(kind, read(plain.url, path, asked)) == direct(engines, name, f"mini-{mode}")


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_with_the_additions_on_it_finds_nothing_but_them(
    gateway: Server, engines: dict[str, Server], name: str, mode: str
) -> None:
    path, body, kind = ASKED[name]
    more = faults(kind, read(gateway.url, path, {**body, "model": f"auto-{mode}"}))
    more -= direct(engines, name, f"mini-{mode}")
    expected = set() if name == "count" else {"routing"}
    if name.startswith("chat") and mode == "thinking":
        expected.add("reasoning_content")
    assert {place.rpartition(".")[2] for place, _ in more} == expected
    assert {fault for _, fault in more} <= {"extra_forbidden"}


def test_a_strict_client_notices_a_wrong_type_a_missing_and_an_unknown_member() -> None:
    right = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    kind = openai.types.chat.ChatCompletion
    assert faults(kind, [right]) == set()
    assert faults(kind, [{**right, "created": "1"}]) == {("created", "int_type")}
    assert faults(kind, [{**right, "x": 1}]) == {("x", "extra_forbidden")}
    assert faults(kind, [{"id": "x"}]) >= {("model", "missing")}
