"""An instruct answer that is held back until its log-probabilities have been looked at. Pure bytes, no I/O.

Knows chat chunks and the watch (router/policies/escalation.py); what becomes of a dropped draft is chat.py's.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from app.dataplane.chat_stream import ChatStream
from app.dataplane.event_stream import EventStream
from app.errors import GatewayError
from router.policies.escalation import DraftWatch

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class DraftStream(EventStream):
    """Holds back what `inner` makes of the events until the watch has a verdict; then gives it all, or drops it.

    `began` is called when the first token is held, `decided` with the verdict, once; after a False the stream is over
    and gives nothing. With `hides`, log-probabilities are taken out, which the client has not asked for.
    """

    __slots__ = ("_began", "_decided", "_ended", "_held", "_hides", "_inner", "holds", "late", "watch")

    def __init__(
        self,
        inner: ChatStream,
        watch: DraftWatch,
        *,
        hides: bool,
        began: Callable[[], None],
        decided: Callable[[bool], None],
    ) -> None:
        super().__init__()
        self._inner = inner
        self.watch = watch
        self._hides = hides
        self._began: Callable[[], None] | None = began
        self._decided = decided
        self._held: list[bytes] = []
        self._ended = False
        self.holds = True
        self.late = False
        """Set from outside: the time is over, and the next `feed` decides."""

    def feed(self, data: bytes) -> bytes:
        """The events that may go out."""
        out = super().feed(data)
        return self._decide() if self.late and self.holds else out

    def on_event(self, event: bytes) -> bytes:
        """One event, watched, and without what the client should not see."""
        if b'"logprobs"' in event:
            event = self._watched(event)
        inner = self._inner
        out = inner.feed(event)
        self._mirror()
        if not self.holds:
            return out
        self._held.append(out)
        if self.error is not None:  # another attempt, or the client's to see
            return self._released()
        self._ended = self._ended or b'"finish_reason":"' in event
        if self.answer_events + self.reasoning_events and self._began is not None:
            began, self._began = self._began, None
            began()
        return self._decide()

    def finish(self) -> bytes:
        """As the chat stream's; what is held goes first."""
        out = b"".join(self._held) + self._inner.finish()
        self._held = []
        self._mirror()
        return out

    def fail(self, error: GatewayError) -> bytes:
        """As the chat stream's."""
        out = self._inner.fail(error)
        self._mirror()
        return out

    def _decide(self) -> bytes:
        # Where a backend tells no log-probabilities, its chunks are counted: nothing is held for ever.
        parts = self.answer_events + self.reasoning_events
        verdict = self.watch.verdict(self._ended or self.late or parts >= self.watch.policy.tokens)
        if verdict is None:
            return b""
        if verdict:
            self._decided(True)
            return self._released()
        self.done, self.holds = True, False
        self._held = []
        self._decided(False)
        return b""

    def _mirror(self) -> None:
        inner = self._inner
        self.done, self.error, self.usage = inner.done, inner.error, inner.usage
        self.answer_events, self.reasoning_events = inner.answer_events, inner.reasoning_events

    def _released(self) -> bytes:
        self.holds = False
        out, self._held = b"".join(self._held), []
        return out

    def _watched(self, event: bytes) -> bytes:
        data = _object(event.partition(b"data:")[2])
        if data is None:
            return event
        if self.holds:
            self.watch.add(_logprobs(data))
        if not self._hides or not _hidden(data):
            return event
        return b"data: " + _encode(data) + b"\n\n"


def watched(body: bytes, watch: DraftWatch, *, hides: bool) -> bytes:
    """An answer in one piece, watched, and without log-probabilities where the client has not asked for them."""
    data = _object(body)
    if data is None:
        return body
    watch.add(_logprobs(data))
    return _encode(data) if hides and _hidden(data) else body


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        data = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:  # vLLM writes tokens that are no UTF-8 as they are
            data = _decode(text.decode("utf-8", "replace"))
        except (msgspec.DecodeError, RecursionError):
            return None
    return data if isinstance(data, dict) else None


def _choices(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    choices = data.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            yield choice


def _logprobs(data: dict[str, Any]) -> Iterator[float]:
    for choice in _choices(data):
        told = choice.get("logprobs")
        tokens = told.get("content") if isinstance(told, dict) else None
        for token in tokens if isinstance(tokens, list) else ():
            logprob = token.get("logprob") if isinstance(token, dict) else None
            if isinstance(logprob, int | float):
                yield float(logprob)


def _hidden(data: dict[str, Any]) -> bool:
    """Take the log-probabilities out; whether there were any."""
    found = False
    for choice in _choices(data):
        if choice.get("logprobs") is not None:
            choice["logprobs"] = None
            found = True
    return found
