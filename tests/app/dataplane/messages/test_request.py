"""Messages requests: what routing reads of them, and what it refuses."""

import json

import msgspec
import pytest

from app.dataplane.messages.request import MessageRequest
from app.errors import BadRequest
from router.conversation import read_conversation
from router.family import load_families
from router.mode import Mode
from router.switches import last_switch

BASE = {"model": "auto", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
REMINDER = {"type": "text", "text": "<system-reminder>be kind</system-reminder>"}


def parse(**fields):
    return MessageRequest.parse(json.dumps(BASE | fields).encode())


def test_a_tool_loop_is_seen_by_its_blocks():
    turns = [
        {"role": "user", "content": "look it up"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "42"}, REMINDER]},
    ]
    seen = read_conversation(parse(messages=turns, tools=[{"name": "f", "input_schema": {}}]).messages, tools=1)
    assert seen.in_tool_loop
    assert seen.ask == "look it up"


def test_the_judge_sees_text_images_and_system_but_no_thinking():
    turns = [
        {"role": "user", "content": "first"},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "secret plan"}, {"type": "text", "text": "ok"}],
        },
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "url", "url": "u"}},
                {"type": "text", "text": "what is it?"},
            ],
        },
    ]
    seen = read_conversation(parse(messages=turns, system=[{"type": "text", "text": "You are kind."}]).messages)
    assert (seen.ask, seen.previous, seen.system, seen.images) == ("what is it?", "first", "You are kind.", 1)
    assert "secret" not in repr(seen)


def test_the_latest_switch_wins_over_the_system_prompts():
    request = parse(system="/no_think", messages=[{"role": "user", "content": "go /think"}])
    assert request.may_switch
    assert str(last_switch(request.messages)) == "thinking"


def test_a_judge_that_asks_a_backend_gets_the_texts_as_chat():
    turns = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image", "source": {}}]},
             {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}]  # fmt: skip
    request = parse(system="s", messages=turns)
    body = request.for_judge(load_families()["qwen3-hybrid"], msgspec.Raw(b'"m"'), None)
    fields = json.loads(msgspec.json.encode(body))
    assert fields["messages"] == [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}]
    assert fields["chat_template_kwargs"] == {"enable_thinking": False}
    assert "max_tokens" not in fields


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"system": 3}, "system"),
        ({"stream": "yes"}, "stream"),
        ({"tools": {}}, "tools"),
        ({"thinking": True}, "thinking"),
        ({"output_config": []}, "output_config"),
        ({"top_k": 2**70}, "top_k"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(fields, param):
    with pytest.raises(BadRequest) as error:
        parse(**fields)
    assert error.value.param == param
    assert param.split("[")[0].split(".")[0] in error.value.message


QUESTION = {"role": "user", "content": "q"}
THOUGHT = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "a"}]
CALL = [
    {"type": "thinking", "thinking": "plan", "signature": "s"},
    {"type": "tool_use", "id": "t", "name": "f", "input": {}},
]
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "42"}]}


def sent(mode, *turns):
    request = parse(messages=list(turns))
    fields = request.for_backend(load_families()["qwen3-2507"], mode, msgspec.Raw(b'"m"'), None)
    return msgspec.json.decode(fields["messages"])


def test_thinking_of_earlier_turns_does_not_go_back():
    answered = {"role": "assistant", "content": THOUGHT}
    assert sent(Mode.THINKING, QUESTION, answered, QUESTION)[1]["content"] == [{"type": "text", "text": "a"}]


def test_a_tool_loop_under_way_keeps_its_thinking_where_the_model_thinks():
    turns = QUESTION, {"role": "assistant", "content": CALL}, RESULT
    assert sent(Mode.THINKING, *turns)[1]["content"] == CALL
    assert sent(Mode.INSTRUCT, *turns)[1]["content"] == CALL[1:]
