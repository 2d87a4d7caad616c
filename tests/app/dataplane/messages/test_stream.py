"""Messages streams as vLLM recorded them, and as others write them."""

import json

import pytest

from app.dataplane.messages.answer import read_message
from app.dataplane.messages.stream import MessageStream
from app.errors import UpstreamFailed
from tests.app.protocols import MESSAGES, events
from tests.fixtures import recorded, recorded_stream

STREAMS = ["messages_instruct_stream", "messages_thinking_stream", "messages_trained_stream"]
ROUTING = b'{"mode":"thinking"}'


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 17, 100_000])
def test_a_recorded_stream_gains_routing_at_its_end_and_loses_nothing(name, size):
    data = recorded_stream(name)
    stream = MessageStream(routing=ROUTING)
    out = b"".join(stream.feed(data[i : i + size]) for i in range(0, len(data), size)) + stream.finish()
    assert out == data.replace(b"}}\n\nevent: message_stop", b'},"routing":{"mode":"thinking"}}\n\nevent: message_stop')
    assert stream.error is None
    assert stream.usage is not None


def test_thinking_and_answer_are_told_apart():
    stream = MessageStream(routing=b"")
    stream.feed(recorded_stream("messages_trained_stream"))
    assert (stream.reasoning_events, stream.answer_events) == (16, 2)
    assert stream.usage.prompt_tokens == 27
    assert stream.usage.reasoning_tokens(stream.reasoning_events, stream.answer_events) == 26


def test_json_with_spaces_and_events_without_names_are_read_too():
    data = b"".join(
        b"data: " + json.dumps(d).encode() + b"\n\n" for _, d in events(recorded_stream("messages_trained_stream"))
    )
    stream = MessageStream(routing=ROUTING)
    out = stream.feed(data)
    assert stream.done
    assert stream.reasoning_events == 16
    assert events(out)[-2][1]["routing"] == {"mode": "thinking"}


def test_vllms_failed_conversion_of_an_engine_error_becomes_a_plain_error_with_its_code():
    message = (
        "4 validation errors for ChatCompletionStreamResponse\nmodel\n  Field required [type=missing, "
        "input_value={'error': {'message': 'En...', 'code': 503}}, input_type=dict]"
    )
    event = {"type": "error", "error": {"type": "internal_error", "message": message}}
    stream = MessageStream(routing=b"")
    out = stream.feed(b"event: error\ndata: " + json.dumps(event).encode() + b"\n\n")
    assert stream.error.status == 503
    assert stream.error.retry_after_s == 1
    told = MESSAGES.error(json.dumps(events(out)[0][1]).encode())
    assert told == {"type": "overloaded_error", "message": "The backend failed; the message is not complete."}


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_a_stream_that_ends_without_message_stop_ends_in_an_error(count):
    stream = MessageStream(routing=ROUTING)
    out = b"".join(stream.feed(e + b"\n\n") for e in recorded_stream("messages_trained_stream").split(b"\n\n")[:count])
    out += stream.finish()
    assert isinstance(stream.error, UpstreamFailed)
    assert events(out)[-1][0] == "error"


@pytest.mark.parametrize(
    ("name", "prompt", "completion", "thought"),
    [("messages_trained", 27, 29, 26), ("messages_thinking", 24, 12, 12), ("messages_instruct", 22, 12, 0)],
)
def test_tokens_of_a_whole_answer(name, prompt, completion, thought):
    answer = read_message(recorded(name).body, ROUTING)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (prompt, completion)
    assert answer.reasoning_tokens == pytest.approx(thought, abs=1)
    assert json.loads(answer.body)["routing"] == {"mode": "thinking"}


def test_cached_tokens_are_part_of_the_prompt():
    raw = b'{"content":[],"usage":{"input_tokens":5,"output_tokens":2,"cache_read_input_tokens":128}}'
    assert read_message(raw, b"").usage.prompt_tokens == 133


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b'{"content":3,"usage":{"input_tokens":1}}', b'{"usage":3}']
)
def test_nonsense_is_passed_on(raw):
    assert read_message(raw, b"").body == raw
