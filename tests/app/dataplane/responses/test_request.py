"""Responses requests: what routing reads of them, what a backend gets, and what is refused."""

import json

import msgspec
import pytest

from app.dataplane.responses.made import Made, MadeResponses
from app.dataplane.responses.request import ResponseRequest
from app.errors import BadRequest
from router.conversation import read_conversation
from router.family import load_families
from router.mode import Mode

FAMILIES = load_families()


def parse(**fields):
    return ResponseRequest.parse(json.dumps({"model": "auto", "input": "hi", **fields}).encode())


def sent(family, mode, switch=None, **fields):
    body = parse(**fields).for_backend(FAMILIES[family], mode, msgspec.Raw(b'"m"'), switch)
    return json.loads(msgspec.json.encode(body))


def test_items_are_read_as_a_conversation():
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "look it up"}]},
        {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "secret"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
    ]
    seen = read_conversation(parse(input=items, instructions="Be kind.").messages)
    assert (seen.ask, seen.system, seen.in_tool_loop) == ("look it up", "Be kind.", True)
    assert "secret" not in repr(seen)


def test_a_plain_input_is_the_ask_and_names_are_read():
    request = parse(prompt_cache_key="k", tools=[{"type": "function"}], text={"format": {"type": "json_schema"}})
    assert read_conversation(request.messages).ask == "hi"
    assert (request.session, request.tools, request.response_format) == ("k", 1, "json_schema")
    assert parse(previous_response_id="resp_1").follows == "resp_1"


@pytest.mark.parametrize("mode", list(Mode))
def test_an_effort_never_reaches_a_model_of_a_pair_and_the_rest_of_reasoning_does(mode):
    body = sent("qwen3-2507", mode, reasoning={"effort": "none", "summary": "auto"})
    assert body["reasoning"] == {"summary": "auto"}
    assert sent("qwen3-2507", mode, reasoning={"effort": "high"})["reasoning"] is None
    assert "reasoning" not in sent("qwen3-2507", mode)


def test_a_hybrid_is_told_its_mode_explicitly():
    off = sent("qwen3-hybrid", Mode.INSTRUCT, reasoning={"effort": "high"})
    assert off["chat_template_kwargs"] == {"enable_thinking": False}
    assert off["reasoning"] is None
    assert sent("qwen3-hybrid", Mode.THINKING)["chat_template_kwargs"] == {"enable_thinking": True}


def test_a_field_that_the_protocol_does_not_have_stays():
    assert sent("qwen3-2507", Mode.THINKING, reasoning_effort="none")["reasoning_effort"] == "none"


def test_switches_are_taken_out_of_input_and_instructions():
    body = sent("qwen3-2507", Mode.THINKING, Mode.THINKING, input="go /think", instructions="/think Be kind.")
    assert (body["input"], body["instructions"]) == ("go", "Be kind.")
    items = [{"role": "user", "content": [{"type": "input_text", "text": "go /think"}]}]
    assert sent("qwen3-2507", Mode.THINKING, Mode.THINKING, input=items)["input"][0]["content"][0]["text"] == "go"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": "vast"}}, "reasoning.effort"),
        ({"stream": 1}, "stream"),
        ({"instructions": []}, "instructions"),
        ({"previous_response_id": 3}, "previous_response_id"),
        ({"structured_outputs": 3}, "structured_outputs"),
        ({"top_k": 2**70}, "top_k"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(fields, param):
    with pytest.raises(BadRequest) as error:
        parse(**fields)
    assert error.value.param == param


def test_the_oldest_response_is_forgotten_first_and_tenants_do_not_meet():
    made = MadeResponses(capacity=2)
    for name in ("a", "b", "c"):
        made.keep("t", name, Made(None, name))
    assert made.find("t", "a") is None
    assert made.find("t", "c").replica == "c"
    assert made.find("other", "c") is None
    assert len(made) == 2
