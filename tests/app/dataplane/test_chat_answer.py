"""Answers in one piece: the reasoning's names, the routing object, the counts, and nothing else changed."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dataplane.chat_answer import edit_answer
from tests.fixtures import names, recorded

ROUTING = b'{"mode":"thinking"}'
ANSWERS = [
    name
    for name in [*names("chat_*"), *names("trained_*"), *names("dsr1_*")]
    if recorded(name).body.startswith(b'{"id"') and recorded(name).status == 200
]


def answer(content="hi", reasoning=None, usage=None, **message):
    message = {"role": "assistant", "content": content, "reasoning": reasoning, **message}
    whole = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    if usage is not None:
        whole["usage"] = usage
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()


def usage(completion, reasoning=None):
    details = None if reasoning is None else {"reasoning_tokens": reasoning}
    return {
        "prompt_tokens": 3,
        "total_tokens": 3 + completion,
        "completion_tokens": completion,
        "completion_tokens_details": details,
    }


def without_extras(data):
    data = {k: v for k, v in data.items() if k != "routing"}
    for choice in data["choices"]:
        if isinstance(choice["message"].get("reasoning"), str):
            assert choice["message"].pop("reasoning_content") == choice["message"]["reasoning"]
    return data


def without_blank_lines(data):
    for choice in data["choices"]:
        message = choice["message"]
        if message.get("reasoning") and message["content"]:
            message["content"] = message["content"].lstrip("\n")
    return data


@pytest.mark.parametrize(
    ("content", "clean"),
    [
        ("\n\n6", "6"),
        ("\r\n\n  x\n", "  x\n"),
        ("6\n\n", "6\n\n"),
        ("\n", ""),
        (" 6", " 6"),
        ("\\n6", "\\n6"),
        (None, None),
    ],
)
def test_blank_lines_behind_thinking_go_and_those_of_an_answer_without_it_stay(content, clean):
    def edited(reasoning):
        body = edit_answer(answer(content, reasoning), routing=b"", reasoning="both").body
        return json.loads(body)["choices"][0]["message"]["content"]

    assert edited("hm") == clean
    assert edited(None) == content


def test_there_are_recorded_answers_of_every_kind():
    assert len(ANSWERS) > 30


@pytest.mark.parametrize("name", ANSWERS)
def test_a_recorded_answer_gains_routing_and_reasoning_content_and_loses_nothing(name):
    body = recorded(name).body
    edited = json.loads(edit_answer(body, routing=ROUTING, reasoning="both").body)
    assert edited["routing"] == {"mode": "thinking"}
    assert without_extras(edited) == without_blank_lines(json.loads(body))


@pytest.mark.parametrize("name", ANSWERS)
def test_a_recorded_answer_that_needs_no_change_is_the_same_bytes(name):
    body = recorded(name).body
    edited = edit_answer(body, routing=b"", reasoning="reasoning").body
    assert edited == body.replace(b'"content":"\\n\\n', b'"content":"') if b'"reasoning":"' in body else body
    assert json.loads(edited) == without_blank_lines(json.loads(body))


@pytest.mark.parametrize("name", ANSWERS)
def test_the_tokens_of_a_recorded_answer_are_counted(name):
    body = recorded(name).body
    original = json.loads(body)
    counted = edit_answer(body, routing=ROUTING, reasoning="both")
    assert counted.usage.prompt_tokens == original["usage"]["prompt_tokens"]
    assert counted.usage.completion_tokens == original["usage"]["completion_tokens"]
    assert 0 <= counted.reasoning_tokens <= counted.usage.completion_tokens
    told = (original["usage"].get("completion_tokens_details") or {}).get("reasoning_tokens")
    if told:
        assert counted.reasoning_tokens == told


def test_reasoning_that_the_backend_does_not_count_is_split_off_by_length():
    body = answer("a" * 25, "b" * 75, usage(100, 0))
    assert edit_answer(body, routing=b"", reasoning="both").reasoning_tokens == 75


def test_an_answer_cut_while_thinking_is_all_reasoning():
    counted = edit_answer(answer(None, "b" * 400, usage(100, 0)), routing=b"", reasoning="both")
    assert counted.reasoning_tokens in (99, 100)


def test_an_answer_without_reasoning_has_none():
    assert edit_answer(answer("hi", None, usage(10, 0)), routing=b"", reasoning="both").reasoning_tokens == 0


def test_an_answer_without_usage_counts_nothing():
    counted = edit_answer(answer("hi", "x"), routing=b"", reasoning="both")
    assert counted.usage is None
    assert counted.reasoning_tokens == 0


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ("both", {"reasoning", "reasoning_content"}),
        ("reasoning", {"reasoning"}),
        ("reasoning_content", {"reasoning_content"}),
    ],
)
def test_reasoning_has_the_wanted_names(wanted, kept):
    message = json.loads(edit_answer(answer("a", "b"), routing=b"", reasoning=wanted).body)["choices"][0]["message"]
    assert {name for name in message if name.startswith("reasoning")} == kept


@pytest.mark.parametrize(
    "text", ['"reasoning":"x"', '"usage":{"prompt_tokens":9}', '"content":"', "}", "\\", '\\"', "你好"]
)
def test_text_that_looks_like_protocol_is_only_text(text):
    edited = json.loads(edit_answer(answer(text, text, usage(10)), routing=ROUTING, reasoning="both").body)
    message = edited["choices"][0]["message"]
    assert (message["content"], message["reasoning"], message["reasoning_content"]) == (text, text, text)
    assert edited["routing"] == {"mode": "thinking"}


@given(st.text(), st.text())
def test_any_text_survives(content, thought):
    edited = json.loads(edit_answer(answer(content, thought, usage(10)), routing=ROUTING, reasoning="both").body)
    message = edited["choices"][0]["message"]
    if thought:
        content = re.sub(r"\A(?:[ \t]*\r?\n)+", "", content)
    assert (message["content"], message["reasoning"], message["reasoning_content"]) == (content, thought, thought)


def test_every_choice_gets_its_own_reasoning():
    edited = json.loads(edit_answer(recorded("chat_thinking_n2").body, routing=b"", reasoning="both").body)
    seen = [c["message"]["reasoning_content"] for c in edited["choices"]]
    assert len(seen) == 2
    assert seen[0] != seen[1]


@pytest.mark.parametrize("body", [b"", b"not json", b"[1,2]", b"null"])
def test_a_body_that_is_no_object_is_passed_on(body):
    assert edit_answer(body, routing=ROUTING, reasoning="both").body == body


def test_an_empty_object_gets_the_routing_alone():
    assert json.loads(edit_answer(b"{}", routing=ROUTING, reasoning="both").body) == {"routing": {"mode": "thinking"}}


def test_spaced_json_is_understood_as_well():
    body = json.dumps(json.loads(answer("a", "b", usage(10, 4)))).encode()
    edited = edit_answer(body, routing=ROUTING, reasoning="both")
    assert json.loads(edited.body)["choices"][0]["message"]["reasoning_content"] == "b"
    assert edited.reasoning_tokens == 4
