"""Answers whose thinking used up all tokens: how they are told, and what is made of them."""

import json

import pytest

from app.dataplane.unanswered import UnansweredStream, unanswered, with_answer
from tests.app.dataplane.test_chat_stream import DONE, ROLE, STOP, chunk, chunks, usage_chunk
from tests.fixtures import names, recorded, recorded_stream

LENGTH = chunk("length", content="")
CUT = [ROLE, chunk(reasoning="7+5"), chunk(reasoning="=2"), LENGTH, usage_chunk(5, 10), DONE]


def stream(**options):
    made = {"watches": True, "routing": b'{"mode":"x"}', "reasoning": "both", "show_usage": True, **options}
    return UnansweredStream(**made)


def fed(made, events):
    return b"".join(map(made.feed, events))


def test_the_end_is_held_back_until_there_is_an_answer():
    made = stream()
    out = fed(made, CUT)
    assert (made.unanswered, made.done, made.thought) == (True, False, "7+5=2")
    assert b"length" not in out
    assert b"[DONE]" not in out
    made.reroute(b'{"mode":"y"}')
    out += made.say("\n\n") + made.say("2") + made.say(".") + made.close("stop", 4)
    seen = chunks(out)
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in seen[:-1]) == "2."
    assert [c["choices"][0]["finish_reason"] for c in seen[:-1]] == [None] * 5 + ["stop"]
    assert seen[-1]["usage"]["completion_tokens"] == 14
    assert seen[-1]["usage"]["total_tokens"] == 19
    assert seen[-1]["routing"] == {"mode": "y"}
    assert {c["id"] for c in seen} == {"c"}
    assert out.endswith(DONE)
    assert made.usage.completion_tokens == 14


def test_where_no_answer_comes_the_end_is_as_it_was():
    made = stream(routing=b"")
    plain = stream(routing=b"", watches=False)
    assert fed(made, CUT) + made.close(None, 0) == fed(plain, CUT)
    assert made.done


@pytest.mark.parametrize(
    "events",
    [
        [ROLE, chunk(reasoning="a"), chunk(content="2"), LENGTH, DONE],
        [ROLE, chunk(reasoning="a"), STOP, DONE],
        [ROLE, LENGTH, DONE],
        [ROLE, chunk(reasoning="a"), chunk("length", content="2"), DONE],
        [ROLE, chunk(reasoning="a"), chunk(tool_calls=[{"index": 0}]), LENGTH, DONE],
    ],
)
def test_nothing_is_held_back_where_something_was_answered_or_nothing_thought(events):
    made, plain = stream(), stream(watches=False)
    assert fed(made, events) == fed(plain, events)
    assert not made.unanswered


@pytest.mark.parametrize("name", [n for n in [*names("chat_*stream*"), *names("trained_*stream*")] if "ttb5" not in n])
def test_recorded_streams_come_out_as_from_a_plain_stream(name):
    data = recorded_stream(name)
    made, plain = stream(), stream(watches=False)
    out = made.feed(data)
    if made.unanswered:  # the untrained model's recordings end by length, some of them while thinking
        out += made.close(None, 0)
    assert out == plain.feed(data)


def test_only_the_one_choice_of_a_request_is_watched():
    made = stream(choices=2)
    assert b"length" in fed(made, CUT[:4])


def test_an_end_that_breaks_off_is_given_as_far_as_it_came():
    made = stream()
    out = fed(made, CUT[:4])
    assert b"length" not in out
    assert chunks(made.finish())[0]["choices"][0]["finish_reason"] == "length"
    assert made.error is None


def test_an_error_behind_the_held_end_is_told():
    made = stream()
    fed(made, CUT[:4])
    out = made.feed(b'data: {"error":{"message":"no","code":500}}\n\n')
    assert b'"length"' in out
    assert made.error is not None


# ---------------------------------------------------------------------- in one piece


@pytest.mark.parametrize("name", ["trained_thinking_truncated", "dsr1_truncated"])
def test_a_recorded_answer_that_was_cut_while_thinking_is_told(name):
    body = recorded(name).body
    assert unanswered(body) == "7+5=2\n2*3="
    data = json.loads(with_answer(body, "6", "stop", 3))
    assert data["choices"][0]["message"]["content"] == "6"
    assert data["choices"][0]["message"]["reasoning"] == "7+5=2\n2*3="
    assert data["choices"][0]["finish_reason"] == "stop"
    assert (data["usage"]["completion_tokens"], data["usage"]["total_tokens"]) == (13, 40)


@pytest.mark.parametrize(
    "name", ["trained_thinking", "trained_instruct", "chat_instruct", "chat_thinking_n2", "err_404"]
)
def test_no_other_recorded_answer_is(name):
    assert unanswered(recorded(name).body) == ""


@pytest.mark.parametrize("body", [b"", b'"finish_reason":"length"', b'{"choices":[{"finish_reason":"length"}]}', b"[]"])
def test_nothing_raises(body):
    assert unanswered(body) == ""
