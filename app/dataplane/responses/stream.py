"""The events of a Responses stream. Knows their names; found by scanning: quotes inside JSON strings are escaped."""

from typing import Any

import msgspec

from app.dataplane.event_stream import EventStream, decoded, name_of, payload_of
from app.dataplane.responses.usage import read_response_usage
from app.dataplane.usage import add_member, routing_member
from app.errors import GatewayError, UpstreamError

_encode = msgspec.json.Encoder().encode
_decode_event = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_REASONING = frozenset((b"response.reasoning_text.delta", b"response.reasoning_summary_text.delta"))
_ANSWER = frozenset(
    (
        b"response.output_text.delta",
        b"response.refusal.delta",
        b"response.function_call_arguments.delta",
        b"response.custom_tool_call_input.delta",
        b"response.mcp_call_arguments.delta",
        b"response.code_interpreter_call_code.delta",
    )
)
_OPENING = frozenset((b"response.created", b"response.queued", b"response.in_progress"))
_LAST = frozenset((b"response.completed", b"response.incomplete", b"response.failed"))


class ResponseStream(EventStream):
    """`routing` (JSON, or empty) goes into the response object of the last event.

    vLLM announces a response before its engine has begun: unless it runs in the background, those first events are
    held until something follows, so that a failure before that can still become a status, or another attempt.
    """

    __slots__ = ("_held", "_holds", "_routing", "_sequence", "begun", "created", "response_id")

    def __init__(self, *, routing: bytes, background: bool = False) -> None:
        super().__init__()
        self._routing = routing_member(routing) if routing else b""
        self._holds = not background
        self._held: list[bytes] = []
        self._sequence = 0
        self.begun = False
        """Has the engine begun to answer?"""
        self.created = b""
        self.response_id = ""

    def on_event(self, event: bytes) -> bytes:
        """One event."""
        self._sequence += 1
        name = name_of(event)
        if name in _OPENING:
            if not self.created:
                self._note(payload_of(event))
            if self._holds:
                self._held.append(event)
                return b""
            return event
        if name in _REASONING:
            self.reasoning_events += 1
        elif name in _ANSWER:
            self.answer_events += 1
        elif name in _LAST:
            event = self._last(event)
            self.done = True
        elif name == b"error" or (b'"error"' in event and self._is_bare_error(event)):
            self._held.clear()
            return self.fail(UpstreamError.from_event(_as_openai(payload_of(event))))
        self.begun = True
        if self._holds:
            self._holds = False
            event = b"".join(self._held) + event
            self._held.clear()
        return event

    def failure(self, error: GatewayError) -> bytes:
        """An `error` event, and the response as it was created, now failed: clients look for either."""
        told = {"type": "error", "code": str(error.code), "message": error.message, "param": error.param}
        nested = {"type": error.type, "code": error.code, "message": error.message, "param": error.param}
        events = [b"event: error\ndata: " + _encode({**told, "sequence_number": self._sequence, "error": nested})]
        response = decoded(self.created)
        if isinstance(response, dict):
            response |= {"status": "failed", "error": {"code": "server_error", "message": error.message}}
            failed = {"response": response, "sequence_number": self._sequence + 1, "type": "response.failed"}
            events.append(b"event: response.failed\ndata: " + _encode(failed))
        return b"".join([event + b"\n\n" for event in events])

    def is_whole(self) -> bool:
        """Only a last event ends a response."""
        return False

    def _note(self, payload: bytes) -> None:
        try:
            self.created = bytes(_decode_event(payload)["response"])
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError):
            return
        response: Any = decoded(self.created)
        found = response.get("id") if isinstance(response, dict) else None
        self.response_id = found if isinstance(found, str) else ""

    def _last(self, event: bytes) -> bytes:
        """The last event, its response with the routing object."""
        try:
            fields = _decode_event(payload_of(event))
            response = bytes(fields["response"])
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError):
            return event
        self.usage = read_response_usage(response)
        if not self._routing or not response.startswith(b"{"):
            return event
        fields["response"] = msgspec.Raw(add_member(response, self._routing))
        return b"event: %b\ndata: %b\n\n" % (name_of(event), _encode(fields))

    def _is_bare_error(self, event: bytes) -> bool:
        """vLLM's own `{"error": …}` of other streams, without a type."""
        data = decoded(payload_of(event))
        return isinstance(data, dict) and "type" not in data and data.get("error") is not None


def _as_openai(payload: bytes) -> bytes:
    """An error event, flat or nested, as an error object."""
    data = decoded(payload)
    if isinstance(data, dict) and not data.get("error"):
        return _encode({"error": data})
    return payload
