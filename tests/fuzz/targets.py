"""What fuzzing throws bytes at: each target reads any bytes and fails by an exception that it should not raise.

`python -m tests.fuzz.run TARGET` is guided by coverage (atheris, `make fuzz`); test_targets.py runs each target over
its seeds, and over a few hundred mutations of them, with every run of the tests.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import yaml

from app.config_file import ConfigError, parse_settings
from app.dataplane.any_request import parse_any
from app.dataplane.chat_stream import ChatStream
from app.dataplane.completions.stream import CompletionStream
from app.dataplane.event_stream import EventStream, decoded, payload_of
from app.dataplane.messages.stream import MessageStream
from app.dataplane.responses.stream import ResponseStream
from app.errors import BadRequest
from app.pools.answer_head import KnownHeads
from app.pools.connection import Connection
from router.conversation import read_conversation
from router.family import load_families
from router.mode import Mode
from router.switches import last_switch

FAMILIES = load_families()
ROUTING = b'{"mode":"instruct"}'
_EMPTY_LINES = re.compile(rb"^\n+|\n{2,}")  # one more or less says nothing in an event stream


def pieces(data: bytes, sizes: bytes) -> Iterator[bytes]:
    """`data` cut into reads whose sizes are those bytes, over and over."""
    lengths = itertools.cycle([size or 256 for size in sizes] or [1])
    at = 0
    while at < len(data):
        size = next(lengths)
        yield data[at : at + size]
        at += size


# ------------------------------------------------------------------------------ a backend's answer


class _Transport:
    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        pass


class _Sink:
    """Holds a connection to what it promises: the head once, then the body, then the end, once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.status = 0
        self.text = b""
        self.error: Exception | None = None
        self.over = False

    def head(self) -> None:
        assert not self.status
        assert not self.over
        self.status = self._connection.status
        assert self.status >= 200

    def body(self, data: bytes, chunk: bytes = b"") -> None:
        assert self.status
        assert not self.over
        assert data in chunk or not chunk
        self.text += data

    def ended(self, error: Exception | None) -> None:
        assert not self.over
        assert self.status or error is not None
        self.over, self.error = True, error


def _answered(reads: list[bytes], known: KnownHeads) -> _Sink:
    connection = Connection(known)
    connection.connection_made(_Transport())  # type: ignore[arg-type]
    sink = _Sink(connection)
    connection.send(b"", sink)
    for read in reads:
        if connection.closed:
            break
        connection.data_received(read)
    if not connection.closed:
        connection.connection_lost(None)
    assert sink.over
    return sink


def answer(data: bytes) -> None:
    """A backend's bytes in whatever reads: the same answer, and past the parser what the parser says."""
    sizes, data = data[:4], data[4:]
    known = KnownHeads()
    found = [_answered([data], known), _answered([data], known), _answered(list(pieces(data, sizes)), KnownHeads())]
    whole = [sink for sink in found if sink.error is None]
    assert all((sink.status, sink.text) == (whole[0].status, whole[0].text) for sink in whole)


# --------------------------------------------------------------------------------------- streams


def _is_chunk(event: bytes) -> bool:
    payload = payload_of(event)
    return not payload or payload == b"[DONE]" or isinstance(decoded(payload), dict)


def _streamed(make: Callable[[], ChatStream | EventStream], data: bytes) -> None:
    """The stream ends for the client in any case; where its events are JSON, they are the same however it was read."""
    sizes, data = data[:4], data[4:]
    one, other = make(), make()
    at_once = one.feed(data) + one.finish()
    in_pieces = b"".join([other.feed(read) for read in pieces(data, sizes)]) + other.finish()
    assert one.done
    assert other.done
    data = data.replace(b"\r\n", b"\n")
    if b"\r" in data or not all(map(_is_chunk, data.split(b"\n\n"))):
        return  # edited as text, one or several at once: whatever comes of it, it is no JSON
    assert _EMPTY_LINES.sub(b"\n\n", b"\n" + at_once) == _EMPTY_LINES.sub(b"\n\n", b"\n" + in_pieces)
    assert (one.error is None) == (other.error is None)
    assert one.usage == other.usage


def chat_stream(data: bytes) -> None:
    """vLLM's chat chunks, with both names of the reasoning field and the routing in the last."""
    _streamed(lambda: ChatStream(routing=ROUTING, reasoning="both", show_usage=bool(data[:1] > b"\x7f")), data)


def completion_stream(data: bytes) -> None:
    """vLLM's text completions."""
    _streamed(lambda: CompletionStream(routing=ROUTING, show_usage=True, choices=1), data)


def message_stream(data: bytes) -> None:
    """vLLM's Anthropic events."""
    _streamed(lambda: MessageStream(routing=ROUTING), data)


def response_stream(data: bytes) -> None:
    """vLLM's events of the Responses API."""
    _streamed(lambda: ResponseStream(routing=ROUTING), data)


# -------------------------------------------------------------------------------- what clients send


def work_through(parse: Callable[[bytes], Any], data: bytes) -> None:
    """What the planner does with a body, for every family and mode. Raises BadRequest never."""
    try:
        request = parse(data)
    except BadRequest:
        return
    read_conversation(request.messages, tools=request.tools, response_format=request.response_format)
    switch = last_switch(request.messages)
    for family, mode in itertools.product(FAMILIES.values(), Mode):
        written = msgspec.json.encode(request.for_backend(family, mode, msgspec.Raw(b'"m"'), switch))
        assert isinstance(msgspec.json.decode(written), dict)
        assert msgspec.json.encode(request.for_judge(family, msgspec.Raw(b'"m"'), switch))


def body(data: bytes) -> None:
    """A request of any protocol: refused as a bad one, or written for a backend of every family."""
    work_through(parse_any, data)


def configuration(data: bytes) -> None:
    """A configuration file: settings, or an error in words."""
    try:
        parsed: Any = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError):
        return  # the reading of the file says so
    try:
        parse_settings(parsed, {})
    except ConfigError:
        return


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one
    for one in (answer, chat_stream, completion_stream, message_stream, response_stream, body, configuration)
}
