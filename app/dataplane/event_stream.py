"""Server-sent events, cut into whole ones whatever the reads were. Pure bytes, no I/O; knows no protocol's events.

The chat stream (chat_stream.py) does the same for itself, with shortcuts that only chat chunks allow.
"""

from typing import Any, Protocol

import msgspec

from app.dataplane.usage import Usage
from app.errors import GatewayError, UpstreamFailed

MAX_EVENT_BYTES = 16 * 1024 * 1024
_decode = msgspec.json.Decoder().decode


class Relay(Protocol):
    """A stream's events on their way: what an exchange needs of a protocol's stream."""

    done: bool
    error: GatewayError | None
    usage: Usage | None
    reasoning_events: int
    answer_events: int

    def feed(self, data: bytes) -> bytes:
        """The events that `data` completes, ready for the client; `data` itself where nothing had to be changed."""
        ...

    def finish(self) -> bytes:
        """What the client gets when the upstream has ended."""
        ...

    def fail(self, error: GatewayError) -> bytes:
        """The end of a stream that failed, visible to the client."""
        ...


class EventStream:
    """Feed it the upstream's bytes; it gives back what the client gets: whole events with LF, none after the last.

    Subclasses edit and count one event (`on_event`), and say how a stream of theirs ends that failed (`failure`) and
    one that the backend ended in peace (`is_whole`).
    """

    __slots__ = ("_tail", "answer_events", "done", "error", "reasoning_events", "usage")

    def __init__(self) -> None:
        self._tail = b""
        self.done = False
        self.error: GatewayError | None = None
        self.usage: Usage | None = None
        self.reasoning_events = 0
        self.answer_events = 0

    # ------------------------------------------------------------------ what a protocol adds

    def on_event(self, event: bytes) -> bytes:
        """One whole event as it came, its empty line included; what the client gets of it."""
        raise NotImplementedError

    def failure(self, error: GatewayError) -> bytes:
        """The events that tell the client of an error and end the stream."""
        raise NotImplementedError

    def is_whole(self) -> bool:
        """May the stream end here?"""
        raise NotImplementedError

    def last_words(self) -> bytes:
        """What is still due when a whole stream ends without `done`."""
        return b""

    # ------------------------------------------------------------------ for everyone

    def feed(self, data: bytes) -> bytes:
        """The events that `data` completes, ready for the client."""
        if self.done:
            return b""
        if self._tail:
            data, self._tail = self._tail + data, b""
        if b"\r" in data:
            held = data[-1:] == b"\r"  # its line feed may follow
            data = data.replace(b"\r\n", b"\n")
            if held:
                data, self._tail = data[:-1], b"\r"
        end = data.rfind(b"\n\n") + 2
        if end < 2:
            self._tail = data + self._tail
            if len(self._tail) > MAX_EVENT_BYTES:
                return self.fail(UpstreamFailed("The backend sent an event that is too large."))
            return b""
        self._tail = data[end:] + self._tail
        out = []
        for event in data[:end].split(b"\n\n"):
            event = event.lstrip(b"\n")  # of more than one empty line between two
            if event and not self.done:
                out.append(self.on_event(event + b"\n\n"))
        edited = b"".join(out)
        return data if edited == data else edited

    def finish(self) -> bytes:
        """What the client gets when the upstream has ended: a visible error where that was too early."""
        if self.done:
            return b""
        if self.is_whole():
            self.done = True
            return self.last_words()
        return self.fail(UpstreamFailed("The backend broke off before the answer was complete."))

    def fail(self, error: GatewayError) -> bytes:
        """The end of a stream that failed, visible to the client."""
        self.error = error
        self.done = True
        return self.failure(error)


def payload_of(event: bytes) -> bytes:
    """The data of an event; empty for a comment."""
    lines = event.strip(b"\n").split(b"\n")
    return b"\n".join([line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")])


def name_of(event: bytes) -> bytes:
    """The event's name by its `event:` line, or else by the `type` of its data; empty where it has neither."""
    if event.startswith(b"event:"):
        return event[6 : event.find(b"\n")].strip()
    data = decoded(payload_of(event))
    kind = data.get("type") if isinstance(data, dict) else None
    return kind.encode() if isinstance(kind, str) else b""


def decoded(payload: bytes) -> Any:
    """The JSON value, or None for what is none."""
    try:
        return _decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
