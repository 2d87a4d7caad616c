"""Whole events out, whatever the reads were; nothing after the last."""

import pytest

from app.dataplane.event_stream import MAX_EVENT_BYTES, EventStream, decoded, name_of, payload_of
from app.errors import UpstreamFailed


class Letters(EventStream):
    """Ends at `z`; fails with `!`."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_event(self, event):
        self.seen.append(event)
        if event == b"data: !\n\n":
            return self.fail(UpstreamFailed("no"))
        self.done = event == b"data: z\n\n"
        return event

    def failure(self, error):
        return b"data: failed\n\n"

    def is_whole(self):
        return b"data: y\n\n" in self.seen

    def last_words(self):
        return b"data: bye\n\n"


TEXT = b"data: a\n\ndata: b\n\n: ping\n\ndata: z\n\n"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_any_cut_gives_the_same_whole_events(size, newline):
    stream, out, data = Letters(), [], TEXT.replace(b"\n", newline)
    for i in range(0, len(data), size):
        out.append(stream.feed(data[i : i + size]))
    assert b"".join(out) == TEXT
    assert all(part == b"" or part.endswith(b"\n\n") for part in out)
    assert stream.done
    assert stream.finish() == b""


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100])
def test_more_empty_lines_than_one_are_no_events(size):
    stream, data = Letters(), b"\n\n\n\ndata: a\n\n\n\n\ndata: z\n\n"
    out = [stream.feed(data[i : i + size]) for i in range(0, len(data), size)]
    assert b"".join(out) == b"data: a\n\ndata: z\n\n"
    assert stream.seen == [b"data: a\n\n", b"data: z\n\n"]


def test_nothing_follows_the_last_event_or_a_failure():
    stream = Letters()
    assert stream.feed(b"data: z\n\ndata: a\n\n") == b"data: z\n\n"
    assert stream.feed(b"data: a\n\n") == b""
    stream = Letters()
    assert stream.feed(b"data: a\n\ndata: !\n\ndata: b\n\n") == b"data: a\n\ndata: failed\n\n"
    assert isinstance(stream.error, UpstreamFailed)
    assert stream.feed(b"data: c\n\n") == stream.finish() == b""


def test_an_end_that_is_too_early_is_a_visible_failure_and_half_an_event_is_dropped():
    stream = Letters()
    assert stream.feed(b"data: a\n\ndata: half") == b"data: a\n\n"
    assert stream.finish() == b"data: failed\n\n"
    assert stream.error is not None


def test_a_whole_stream_without_its_last_words_gets_them():
    stream = Letters()
    stream.feed(b"data: y\n\n")
    assert stream.finish() == b"data: bye\n\n"
    assert stream.error is None


def test_an_event_without_an_end_is_not_kept_for_ever():
    stream = Letters()
    assert stream.feed(b"data: " + b"x" * MAX_EVENT_BYTES) == b"data: failed\n\n"


@pytest.mark.parametrize(
    ("event", "name", "payload"),
    [
        (b"event: x\ndata: 1\n\n", b"x", b"1"),
        (b"event:x\ndata:1\ndata: 2\n\n", b"x", b"1\n2"),
        (b'data: {"type":"ping"}\n\n', b"ping", b'{"type":"ping"}'),
        (b'data: {"type":3}\n\n', b"", b'{"type":3}'),
        (b": comment\n\n", b"", b""),
        (b"data: \xff\n\n", b"", b"\xff"),
    ],
)
def test_names_and_payloads(event, name, payload):
    assert name_of(event) == name
    assert payload_of(event) == payload


def test_what_is_no_json_is_none():
    assert decoded(b"{") is None
    assert decoded(b"[" * 5000) is None
    assert decoded(b'{"a":1}') == {"a": 1}
