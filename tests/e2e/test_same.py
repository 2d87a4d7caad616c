"""The comparison itself: what vLLM varies is no difference, and everything else is."""

import json
import re

import pytest

from tests.fixtures import recorded, recorded_stream

from .same import is_error, same_stream, same_whole

STREAMS = ["chat_thinking_stream_usage", "compl_instruct_stream", "messages_trained_stream", "resp_trained_stream",
           "trained_thinking_stream", "chat_instruct_stream_logprobs"]  # fmt: skip


def chunk(text: str, reason: str | None = None) -> bytes:
    choice = {"index": 0, "text": text, "finish_reason": reason, "stop_reason": None}
    return b"data: " + json.dumps({"id": "x", "choices": [choice]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_the_same_as_itself_and_as_no_other(name: str) -> None:
    raw = recorded_stream(name)
    same = same_stream(raw)
    assert same == same_stream(raw)
    assert all(same != same_stream(recorded_stream(other)) for other in STREAMS if other != name)
    events = raw[:-2].split(b"\n\n")
    for i in range(len(events)):
        without = b"\n\n".join(events[:i] + events[i + 1 :]) + b"\n\n"
        blank = re.search(rb'"(text|content)":"(\\n)*"', events[i])
        assert same_stream(without) != same or blank, events[i]


def test_how_tokens_come_together_is_no_difference() -> None:
    pieces = same_stream(chunk("a") + chunk("b") + chunk("c", "stop") + DONE)
    assert pieces == same_stream(chunk("ab") + chunk("c", "stop") + DONE) == same_stream(chunk("abc", "stop") + DONE)
    assert pieces == same_stream(chunk("abc") + chunk("", "stop") + DONE)
    assert pieces == same_stream(chunk("a") + chunk("") + chunk("bc", "stop") + DONE)
    for other in (chunk("abd", "stop") + DONE, chunk("abc", "length") + DONE, chunk("abc", "stop")):
        assert same_stream(other) != pieces


def test_only_the_named_members_are_taken_out() -> None:
    data = json.loads(recorded("chat_instruct").body)
    ours = {**data, "id": "other", "created": 0, "routing": {"mode": "instruct"}}
    assert same_whole(json.dumps(ours).encode()) == same_whole(recorded("chat_instruct").body)
    for change in ({"model": "x"}, {"extra": None}, {"usage": None}, {"choices": []}):
        assert same_whole(json.dumps({**ours, **change}).encode()) != same_whole(recorded("chat_instruct").body)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/messages", {"error": {"message": "x", "type": "t", "param": None, "code": 1}}),
     ("/v1/responses", {"type": "error", "error": {"type": "t", "message": "x"}}),
     ("/v1/responses", {"error": {"message": "", "type": "t", "param": None, "code": 1}})],
)  # fmt: skip
def test_an_error_of_another_shape_is_noticed(path: str, body: dict[str, object]) -> None:
    with pytest.raises(AssertionError):
        is_error(path, json.dumps(body).encode())
