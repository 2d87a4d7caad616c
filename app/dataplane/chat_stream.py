"""The events of a chat-completions stream: whole events out, edited only where they must be. Pure bytes, no I/O.

An event that needs no change is forwarded as it came. What is looked for is found by scanning, not by parsing: quotes
inside JSON strings are escaped, so `"finish_reason":"` can only be a member. Servers that write JSON with spaces are
brought to vLLM's compact form first.
"""

import msgspec

from app.dataplane.leading_blanks import has_content, trimmed_chunk
from app.dataplane.reasoning_field import rename_reasoning, string_end
from app.dataplane.usage import Usage, add_member, read_usage, routing_member
from app.errors import GatewayError, UpstreamError, UpstreamFailed
from router.profile import ReasoningFields

DONE = b"data: [DONE]\n\n"
_UNKNOWN = (b"\0", b"\0")  # no chunk begins like this
_NOBODY: frozenset[bytes] = frozenset()
MAX_EVENT_BYTES = 16 * 1024 * 1024
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class ChatStream:
    """Feed it the upstream's bytes; it gives back what the client gets.

    `routing` (JSON, or empty for none) goes into the usage chunk if the client asked for one, else into the last
    chunk with a finish reason. `show_usage`: did the client ask for the usage chunk? `choices`: the request's `n`.
    """

    unanswered = False
    """Has thinking ended with nothing answered, and is the end held back? See unanswered.py."""

    __slots__ = (
        "_answering",
        "_choices",
        "_finished",
        "_plain_content",
        "_plain_reasoning",
        "_reasoning",
        "_routing",
        "_show_usage",
        "_tail",
        "_unanswered",
        "answer_events",
        "done",
        "error",
        "reasoning_events",
        "usage",
    )

    def __init__(self, *, routing: bytes, reasoning: ReasoningFields, show_usage: bool, choices: int = 1) -> None:
        self._routing = routing_member(routing) if routing else b""
        self._reasoning: ReasoningFields = reasoning
        self._show_usage = show_usage
        self._choices = choices
        self._finished = 0
        self._answering = _NOBODY
        self._unanswered = choices  # how many choices may still have blank lines in front of their answers
        self._tail = b""
        # What stands before and after the text in this stream's chunks, learned from the first of each kind: nearly
        # all chunks differ in nothing else, so that two comparisons tell them.
        self._plain_content = self._plain_reasoning = _UNKNOWN
        self.done = False
        self.error: GatewayError | None = None
        self.usage: Usage | None = None
        self.reasoning_events = 0
        self.answer_events = 0

    def feed(self, data: bytes) -> bytes:
        """The events that `data` completes, ready for the client; nothing after `[DONE]` or an error."""
        if self.done:
            return b""
        if not self._tail:
            plain = self._plain(data)
            if plain is not None:
                return plain
        else:
            data = self._tail + data
            self._tail = b""
        if b"\r" in data:
            held = data[-1:] == b"\r"  # its line feed may follow
            data = data.replace(b"\r\n", b"\n")
            if held:
                data, self._tail = data[:-1], b"\r"
        end = data.rfind(b"\n\n") + 2
        if end < 2:
            self._tail = data + self._tail
            if len(self._tail) > MAX_EVENT_BYTES:
                self.error = UpstreamFailed("The backend sent an event that is too large.")
                return self.fail(self.error)
            return b""
        if end != len(data):
            data, self._tail = data[:end], data[end:] + self._tail
        if (
            b'"choices":[{' in data
            and b'"reasoning' not in data
            and b'"finish_reason":"' not in data
            and b"[DONE]" not in data
            and b'"choices":[]' not in data
            and b'"error"' not in data
            and b'"choices": [' not in data
        ):
            if self._unanswered and self.reasoning_events:
                data = self._trimmed(data)
                if not data:
                    return data
            self.answer_events += data.count(b"\n\n") - data.count(b'"content":""')
            if self._plain_content is _UNKNOWN and data.count(b"\n\n") == 1:
                self._plain_content = self._learn(data, b"content")
            return data
        if data.find(b"\n\n") == len(data) - 2:
            return self._event(data)
        return b"".join([self._event(event + b"\n\n") for event in data.split(b"\n\n") if event])

    def _plain(self, data: bytes) -> bytes | None:
        """The usual read: one chunk of the learned shape, with a text that has no quotes. None for anything else."""
        before, after = self._plain_content
        if data.startswith(before):
            if data.endswith(after) and data.find(b'"', len(before), -len(after)) < 0 and data.count(b"\n\n") == 1:
                if len(data) > len(before) + len(after):
                    self.answer_events += 1
                return data
            return None
        before, after = self._plain_reasoning
        if data.startswith(before) and data.endswith(after) and data.count(b"\n\n") == 1:
            text = data[len(before) : -len(after)]
            if text and b'"' not in text and self._reasoning != "reasoning_content":
                self.reasoning_events += 1
                if self._reasoning == "both":
                    return b'%b%b","reasoning_content":"%b%b' % (before, text, text, after)
                return data
        return None

    def _trimmed(self, data: bytes) -> bytes:
        """Events without the blank lines between a think block and its answer."""
        if self._choices == 1 and data.find(b"\n\n") == len(data) - 2:  # the usual case
            data = trimmed_chunk(data)
            if has_content(data):
                self._unanswered = 0
            return data
        out = []
        for event in data.split(b"\n\n"):
            if event:
                # Each choice has its own beginning; with several, their chunks do not take the short ways anyway.
                choice = event[: event.find(b'"delta"')].partition(b'"index":')[2]
                if choice not in self._answering:
                    event = trimmed_chunk(event)
                    if has_content(event):
                        self._answering |= {choice}
                        self._unanswered -= 1
                if event:
                    out.append(event + b"\n\n")
        return b"".join(out)

    def _learn(self, event: bytes, name: bytes) -> tuple[bytes, bytes]:
        """What stands before and after the text of a chunk whose delta has nothing but `name`."""
        start = event.find(b'"delta":{"%b":"' % name) + len(b'"delta":{"":"') + len(name)
        end = string_end(event, start)
        after = event[end:]
        if start <= len(b'"delta":{"":"') + len(name) or end < 0 or b'"finish_reason":null' not in after:
            return _UNKNOWN
        if not after.startswith(b'"}') or b'"usage"' in after or b'"logprobs":{' in after or b'"reasoning' in after:
            return _UNKNOWN
        return event[:start], after

    def finish(self) -> bytes:
        """What the client gets when the upstream has ended: nothing after `[DONE]`, a visible error if it broke off."""
        if self.done:
            return b""
        if self._finished >= self._choices:  # whole, by a server that sends no [DONE]
            self.done = True
            return DONE
        return self.fail(UpstreamFailed("The backend broke off before the answer was complete."))

    def reroute(self, routing: bytes) -> None:
        """Another routing object than the one known at the beginning (JSON); not once it has been given out."""
        if self._routing:
            self._routing = routing_member(routing)

    def fail(self, error: GatewayError) -> bytes:
        """An error event and `[DONE]`, as vLLM ends a stream that failed."""
        self.error = error
        self.done = True
        return b"data: " + error.body() + b"\n\n" + DONE

    def _event(self, event: bytes) -> bytes:
        if self.done:
            return b""
        if b'"choices":[' not in event:
            event = self._unusual(event)
            if not event or b'"choices":[' not in event:
                return event
        if b'"reasoning' in event:
            if self._plain_reasoning is _UNKNOWN:
                self._plain_reasoning = self._learn(event, b"reasoning")
            event, length = rename_reasoning(event, self._reasoning)
            if length:
                self.reasoning_events += 1
        if self._unanswered and self.reasoning_events and b'"content":"' in event:
            event = self._trimmed(event)
            if not event:
                return event
        if b'"finish_reason":"' in event:
            self._finished += event.count(b'"finish_reason":"')
            self._count_answer(event)
            if self._finished >= self._choices and not self._show_usage and self._routing:
                return self._routed(event)
            return event
        if b'"choices":[]' in event:
            usage = read_usage(event[6:])
            if usage is not None:
                self.usage = usage
                if not self._show_usage:
                    return b""
                return self._routed(event)
            return event
        self._count_answer(event)
        return event

    def _count_answer(self, event: bytes) -> None:
        if (b'"content":"' in event and b'"content":""' not in event) or b'"tool_calls":[{' in event:
            self.answer_events += 1

    def _routed(self, event: bytes) -> bytes:
        member, self._routing = self._routing, b""
        return add_member(event, member) if member else event

    def _unusual(self, event: bytes) -> bytes:
        """Everything that is not a compact chunk: the end, errors, comments, other servers' ways of writing JSON."""
        lines = event.strip(b"\n").split(b"\n")
        payload = b"\n".join([line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")])
        if payload == b"[DONE]":
            if self._finished < self._choices and self.error is None:
                return self.fail(UpstreamFailed("The backend ended the stream before the answer was complete."))
            self.done = True
            return DONE
        if not payload:
            return event
        try:
            data = _decode(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            # vLLM writes tokens that are no UTF-8 as they are: such a chunk is passed on untouched.
            return event
        if isinstance(data, dict) and data.get("error") is not None and "choices" not in data:
            error = data["error"]
            code = error.get("code") if isinstance(error, dict) else None
            status = code if isinstance(code, int) and 400 <= code < 600 else 502
            self.error = UpstreamError.from_answer(status, payload)
            return self.fail(self.error)
        compact = b"data: " + _encode(data) + b"\n\n"
        return compact if b'"choices":[' in compact else event
