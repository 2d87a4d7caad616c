"""The events of a Messages stream. Knows their names; found by scanning: quotes inside JSON strings are escaped."""

import re
from typing import Any

from app.dataplane.event_stream import EventStream, decoded, name_of, payload_of
from app.dataplane.messages.errors import anthropic_error
from app.dataplane.messages.usage import read_messages_usage
from app.dataplane.usage import add_member, routing_member
from app.errors import GatewayError, UpstreamError

_CODE = re.compile(r"'code': (\d{3})\b")
_STATUSES = {
    "invalid_request_error": 400,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 503,
}


class MessageStream(EventStream):
    """`routing` (JSON, or empty) goes into the `message_delta` that says why the message stopped."""

    __slots__ = ("_routing",)

    def __init__(self, *, routing: bytes) -> None:
        super().__init__()
        self._routing = routing_member(routing) if routing else b""

    def on_event(self, event: bytes) -> bytes:
        """One event."""
        name = name_of(event)
        if name == b"content_block_delta":
            if b'"thinking_delta"' in event:
                self.reasoning_events += 1
            elif b'"text_delta"' in event or b'"input_json_delta"' in event:
                self.answer_events += 1
        elif name == b"message_delta":
            self.usage = read_messages_usage(payload_of(event)) or self.usage
            member, self._routing = self._routing, b""
            return add_member(event, member) if member else event
        elif name == b"message_stop":
            self.done = True
        elif name == b"error":
            return self.fail(_told(payload_of(event)))
        return event

    def failure(self, error: GatewayError) -> bytes:
        """An `error` event; nothing follows it."""
        return b"event: error\ndata: " + anthropic_error(error) + b"\n\n"

    def is_whole(self) -> bool:
        """Only `message_stop` ends a message."""
        return False


def _told(payload: bytes) -> GatewayError:
    """The backend's own error event.

    Where vLLM's engine fails in a stream, its Messages endpoint shows the failed conversion of that error instead of
    the error; all that can be told from it is the code.
    """
    data: Any = decoded(payload)
    error = data.get("error") if isinstance(data, dict) else None
    kind = error.get("type") if isinstance(error, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    if isinstance(message, str) and "ChatCompletionStreamResponse" in message:
        code = _CODE.search(message)
        status = int(code[1]) if code else 502
        return UpstreamError(
            status if 400 <= status < 600 else 502,
            "The backend failed; the message is not complete.",
            retry_after_s=1 if status in (429, 503) else None,
        )
    return UpstreamError.from_answer(_STATUSES.get(kind, 502) if isinstance(kind, str) else 502, payload)
