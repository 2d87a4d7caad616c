"""Responses streams as vLLM recorded them, and what becomes of those that fail."""

import json

import pytest

from app.dataplane.responses.answer import read_response
from app.dataplane.responses.stream import ResponseStream
from app.errors import UpstreamFailed, UpstreamTimeout
from tests.app.protocols import events
from tests.fixtures import recorded, recorded_stream

STREAMS = ["resp_instruct_stream", "resp_thinking_stream", "resp_trained_stream"]
ROUTING = b'{"mode":"thinking"}'


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 17, 100_000])
def test_a_recorded_stream_gains_routing_at_its_end_and_loses_nothing(name, size):
    data = recorded_stream(name)
    stream = ResponseStream(routing=ROUTING)
    out = b"".join(stream.feed(data[i : i + size]) for i in range(0, len(data), size)) + stream.finish()
    told, was = events(out), events(data)
    assert told[-1][1]["response"].pop("routing") == {"mode": "thinking"}
    assert told == was
    assert out.startswith(data[:200])
    assert stream.error is None
    assert stream.response_id == was[0][1]["response"]["id"]


def test_without_routing_a_stream_is_the_same_bytes():
    data = recorded_stream("resp_trained_stream")
    assert ResponseStream(routing=b"").feed(data) == data


def test_the_announcement_is_held_until_the_engine_begins_but_not_in_the_background():
    first = b"".join(e + b"\n\n" for e in recorded_stream("resp_trained_stream").split(b"\n\n")[:2])
    third = recorded_stream("resp_trained_stream").split(b"\n\n")[2] + b"\n\n"
    stream = ResponseStream(routing=ROUTING)
    assert stream.feed(first) == b""
    assert not stream.begun
    assert stream.feed(third) == first + third
    assert stream.begun
    assert ResponseStream(routing=ROUTING, background=True).feed(first) == first


def test_thinking_and_answer_are_told_apart():
    stream = ResponseStream(routing=b"")
    stream.feed(recorded_stream("resp_trained_stream"))
    assert stream.reasoning_events > stream.answer_events > 0
    assert stream.usage.completion_tokens == 29


def test_a_failure_is_told_as_an_error_and_as_the_failed_response():
    stream = ResponseStream(routing=ROUTING)
    data = recorded_stream("resp_trained_stream").split(b"\n\n")
    stream.feed(b"".join(e + b"\n\n" for e in data[:5]))
    told = events(stream.fail(UpstreamTimeout("too slow")))
    assert [name for name, _ in told] == ["error", "response.failed"]
    assert told[0][1] == {
        "type": "error", "code": "upstream_timeout", "message": "too slow", "param": None, "sequence_number": 5,
        "error": {"type": "server_error", "code": "upstream_timeout", "message": "too slow", "param": None},
    }  # fmt: skip
    response = told[1][1]["response"]
    assert response["status"] == "failed"
    assert response["error"] == {"code": "server_error", "message": "too slow"}
    assert response["id"] == stream.response_id
    assert told[1][1]["sequence_number"] == 6


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (b'data: {"error":{"message":"full","type":"x","param":null,"code":503}}\n\n', 503),
        (b'event: error\ndata: {"type":"error","code":"429","message":"slow down","sequence_number":1}\n\n', 502),
        (b'event: error\ndata: {"type":"error","error":{"code":400,"message":"bad"}}\n\n', 400),
        (b"event: error\ndata: nonsense\n\n", 502),
    ],
)
def test_the_backends_own_error_events_are_read(event, status):
    stream = ResponseStream(routing=ROUTING)
    stream.feed(event)
    assert stream.done
    assert stream.error.status == status


def test_a_word_about_errors_in_the_text_is_no_error():
    event = (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"\\"error\\": x"}\n\n'
    )
    stream = ResponseStream(routing=b"")
    assert stream.feed(event) == event
    plain = b'data: {"type":"response.output_text.delta","delta":"x","error":null}\n\n'
    assert stream.feed(plain) == plain


@pytest.mark.parametrize("count", [3, 10])
def test_a_stream_that_ends_without_its_last_event_ends_in_an_error(count):
    stream = ResponseStream(routing=ROUTING)
    data = recorded_stream("resp_trained_stream").split(b"\n\n")[:count]
    out = stream.feed(b"".join(e + b"\n\n" for e in data)) + stream.finish()
    assert isinstance(stream.error, UpstreamFailed)
    assert events(out)[-1][0] == "response.failed"


@pytest.mark.parametrize(
    ("name", "completion", "thought"), [("resp_trained", 29, 24), ("resp_thinking", 12, 12), ("resp_instruct", 12, 0)]
)
def test_tokens_and_the_id_of_a_whole_answer(name, completion, thought):
    raw = recorded(name).body
    answer, response_id = read_response(raw, ROUTING)
    assert answer.usage.completion_tokens == completion
    assert answer.reasoning_tokens == thought
    assert response_id == json.loads(raw)["id"]
    body = json.loads(answer.body)
    assert body.pop("routing") == {"mode": "thinking"}
    assert body == json.loads(raw)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"id":3,"output":[3,{"content":[3]}],"usage":{"input_tokens":1}}'])
def test_nonsense_is_passed_on(raw):
    answer, response_id = read_response(raw, b"")
    assert (answer.body, response_id) == (raw, "")
