"""Completions streams as vLLM recorded them, several choices, and think blocks in raw text."""

import json

import pytest

from app.dataplane.completions.answer import read_completion
from app.dataplane.completions.stream import DONE, CompletionStream
from app.errors import UpstreamFailed
from tests.app.protocols import events
from tests.fixtures import recorded, recorded_stream

ROUTING = b'{"mode":"thinking"}'
CHUNK = b'data: {"choices":[{"index":%d,"text":"%b","finish_reason":%b}]}\n\n'


@pytest.mark.parametrize("show", [True, False])
@pytest.mark.parametrize("size", [1, 17, 100_000])
def test_a_recorded_stream_gains_routing_at_its_end_and_loses_nothing(show, size):
    data = recorded_stream("compl_instruct_stream")
    stream = CompletionStream(routing=ROUTING, show_usage=show, choices=1)
    out = b"".join(stream.feed(data[i : i + size]) for i in range(0, len(data), size)) + stream.finish()
    told, was = events(out), events(data)
    assert told[-2][1].pop("routing") == {"mode": "thinking"}
    assert told == (was if show else was[:-2] + was[-1:])
    assert (stream.usage.prompt_tokens, stream.usage.completion_tokens) == (3, 4)
    assert stream.answer_events == 4


def test_routing_waits_for_the_last_of_several_choices():
    stream = CompletionStream(routing=ROUTING, show_usage=False, choices=2)
    out = stream.feed(CHUNK % (0, b"a", b'"stop"') + CHUNK % (1, b"b", b'"stop"') + DONE)
    assert ["routing" in data for _, data in events(out)[:2]] == [False, True]


def test_a_stream_without_all_its_reasons_is_broken():
    stream = CompletionStream(routing=ROUTING, show_usage=False, choices=2)
    out = stream.feed(CHUNK % (0, b"a", b'"stop"') + DONE)
    assert isinstance(stream.error, UpstreamFailed)
    assert out.endswith(DONE)
    assert b'"error"' in out


def test_a_server_that_sends_no_done_is_helped_out():
    stream = CompletionStream(routing=b"", show_usage=False, choices=1)
    assert stream.feed(CHUNK % (0, b"a", b'"stop"')) + stream.finish() == CHUNK % (0, b"a", b'"stop"') + DONE


def test_text_before_a_closed_think_block_was_reasoning():
    stream = CompletionStream(routing=b"", show_usage=False, choices=1)
    stream.feed(CHUNK % (0, b"7+5=2", b"null"))
    assert (stream.reasoning_events, stream.answer_events) == (0, 1)
    stream.feed(CHUNK % (0, b"</think>", b"null") + CHUNK % (0, b"2", b"null"))
    assert (stream.reasoning_events, stream.answer_events) == (2, 1)


def test_reasoning_in_a_whole_answer_is_told_by_the_tag():
    raw = json.loads(recorded("compl_instruct_regex").body)
    answer = read_completion(json.dumps(raw).encode(), b"")
    assert raw["choices"][0]["text"] == "I think so</think>19"
    assert answer.reasoning_tokens == round(17 * 18 / 20)
    assert read_completion(recorded("compl_instruct").body, b"").reasoning_tokens == 0


def test_an_error_in_the_stream_is_read_and_json_with_spaces_too():
    stream = CompletionStream(routing=ROUTING, show_usage=False, choices=1)
    stream.feed(recorded_stream("err_503_queue_full_stream"))
    assert stream.error.status == 503
    stream = CompletionStream(routing=ROUTING, show_usage=False, choices=1)
    out = stream.feed(b'data: {"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]}\n\n' + DONE)
    assert events(out)[0][1]["routing"] == {"mode": "thinking"}
    assert stream.answer_events == 1
