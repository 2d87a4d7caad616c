"""The events of a completions stream. Knows the chunks' form; found by scanning, as in chat_stream.py.

Raw text has no reasoning field: where the model closes a think block in it, what came before was reasoning.
"""

import msgspec

from app.dataplane.event_stream import EventStream, decoded, payload_of
from app.dataplane.usage import add_member, read_usage, routing_member
from app.errors import GatewayError, UpstreamError, UpstreamFailed

DONE = b"data: [DONE]\n\n"
THINK_END = b"</think>"
_encode = msgspec.json.Encoder().encode


class CompletionStream(EventStream):
    """`routing` (JSON, or empty) goes into the usage chunk if the client asked for one, else into the last chunk with
    a finish reason; `choices` is how many of those there will be."""

    __slots__ = ("_choices", "_finished", "_routing", "_show_usage")

    def __init__(self, *, routing: bytes, show_usage: bool, choices: int) -> None:
        super().__init__()
        self._routing = routing_member(routing) if routing else b""
        self._show_usage = show_usage
        self._choices = choices
        self._finished = 0

    def on_event(self, event: bytes) -> bytes:
        """One chunk, or the end."""
        if b'"choices":[' not in event:
            event = self._unusual(event)
            if b'"choices":[' not in event:
                return event
        if b'"choices":[]' in event:
            usage = read_usage(event[6:])
            if usage is not None:
                self.usage = usage
                return self._routed(event) if self._show_usage else b""
            return event
        if b'"text":""' not in event:
            self.answer_events += 1
            if THINK_END in event:
                self.reasoning_events += self.answer_events
                self.answer_events = 0
        if b'"finish_reason":"' in event:
            self._finished += event.count(b'"finish_reason":"')
            if self._finished >= self._choices and not self._show_usage:
                return self._routed(event)
        return event

    def failure(self, error: GatewayError) -> bytes:
        """An error event and `[DONE]`, as vLLM ends a stream that failed."""
        return b"data: " + error.body() + b"\n\n" + DONE

    def is_whole(self) -> bool:
        """Every choice has its finish reason."""
        return self._finished >= self._choices

    def last_words(self) -> bytes:
        """For servers that send none."""
        return DONE

    def _routed(self, event: bytes) -> bytes:
        member, self._routing = self._routing, b""
        return add_member(event, member) if member else event

    def _unusual(self, event: bytes) -> bytes:
        """The end, errors, comments, other servers' ways of writing JSON."""
        payload = payload_of(event)
        if payload == b"[DONE]":
            if not self.is_whole():
                return self.fail(UpstreamFailed("The backend ended the stream before the answer was complete."))
            self.done = True
            return DONE
        data = decoded(payload)
        if not isinstance(data, dict):
            return event
        if data.get("error") is not None and "choices" not in data:
            return self.fail(UpstreamError.from_event(payload))
        compact = b"data: " + _encode(data) + b"\n\n"
        return compact if b'"choices":[' in compact else event
