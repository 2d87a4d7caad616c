"""Answers whose thinking used up all tokens: how they are told, and what becomes of them. Pure bytes, no I/O."""

from typing import Any

import msgspec

from app.dataplane.chat_stream import DONE, ChatStream
from app.dataplane.leading_blanks import has_content
from app.dataplane.usage import read_usage
from router.profile import ReasoningFields

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_CUT = b'"finish_reason":"length"'


class UnansweredStream(ChatStream):
    """A ChatStream that holds its end back where thinking ended by `length` and nothing has been answered.

    `unanswered` is True from then on, and `thought` the whole thinking; `say` and `close` write the rest. With
    `watches` False it is a ChatStream like any other.
    """

    __slots__ = ("_ending", "_thought", "_watches", "unanswered")

    def __init__(
        self, *, watches: bool, routing: bytes, reasoning: ReasoningFields, show_usage: bool, choices: int = 1
    ) -> None:
        super().__init__(routing=routing, reasoning=reasoning, show_usage=show_usage, choices=choices)
        self._watches = watches and choices == 1
        self._thought: list[str] = []
        self._ending: list[bytes] = []
        self.unanswered = False

    @property
    def thought(self) -> str:
        """The thinking so far."""
        return "".join(self._thought)

    def say(self, text: str) -> bytes:
        """A chunk of the answer that came after all."""
        chunk = _chunk(self._ending[0])
        choice = chunk["choices"][0]
        choice["delta"], choice["finish_reason"], choice["logprobs"] = {"content": text}, None, None
        choice.pop("stop_reason", None)
        return super()._event(b"data: " + _encode(chunk) + b"\n\n")

    def close(self, finish_reason: str | None, tokens: int) -> bytes:
        """The end that was held back; after a second answer with its finish reason and its `tokens` counted in."""
        out = []
        for event in self._ending:
            if finish_reason is not None:
                event = _ended(event, finish_reason, tokens)
            out.append(super()._event(event))
        self.unanswered = False
        return b"".join(out)

    def finish(self) -> bytes:
        """As ChatStream's. An end that was held back, but not ended as it should, is given as it is."""
        if self._ending and not self.done:
            return self.close(None, 0) + super().finish()
        return super().finish()

    def _plain(self, data: bytes) -> bytes | None:
        return None if self._watches else super()._plain(data)

    def _event(self, event: bytes) -> bytes:
        if not self._watches or self.done:
            return super()._event(event)
        if self._ending:
            return self._hold(event)
        if b'"reasoning' in event:
            delta = _chunk(event)["choices"][0].get("delta") or {}
            self._thought.append(delta.get("reasoning") or delta.get("reasoning_content") or "")
        cut = _CUT in event and self.reasoning_events and not self.answer_events
        if cut and not has_content(event) and b'"tool_calls":[{' not in event:
            self._ending = [event]
            return b""
        return super()._event(event)

    def _hold(self, event: bytes) -> bytes:
        """An event behind the held finish reason: the usage, the end, or something that goes wrong."""
        if event == DONE:
            self._ending.append(event)
            self._watches = False
            self.unanswered = True
        elif b'"choices":[]' in event:
            self._ending.append(event)
        else:
            self._watches = False
            return self.close(None, 0) + super()._event(event)
        return b""


def unanswered(body: bytes) -> str:
    """The thinking of an answer in one piece that ended by `length` with nothing answered; else empty."""
    if _CUT not in body:
        return ""
    try:
        (choice,) = _decode(body)["choices"]
        message = choice["message"]
        thought = message.get("reasoning") or message.get("reasoning_content")
        cut = choice["finish_reason"] == "length"
        said = (message.get("content") or "").strip() or message.get("tool_calls")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return ""
    return thought if cut and not said and isinstance(thought, str) else ""


def with_answer(body: bytes, text: str, finish_reason: str, tokens: int) -> bytes:
    """The same answer with an answer in it, and the `tokens` of that counted."""
    data = _decode(body)
    choice = data["choices"][0]
    choice["message"]["content"] = text
    choice["finish_reason"] = finish_reason
    _add(data, tokens)
    return _encode(data)


def _chunk(event: bytes) -> dict[str, Any]:
    try:
        data = _decode(event.partition(b"data:")[2])
        if isinstance(data["choices"][0], dict):
            return data  # type: ignore[no-any-return]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError, TypeError, IndexError):
        pass
    return {"choices": [{}]}


def _ended(event: bytes, finish_reason: str, tokens: int) -> bytes:
    if event == DONE:
        return event
    if read_usage(event[6:]) is not None and b'"choices":[]' in event:
        data = _decode(event[6:])
        _add(data, tokens)
    else:
        data = _chunk(event)
        data["choices"][0]["finish_reason"] = finish_reason
    return b"data: " + _encode(data) + b"\n\n"


def _add(data: dict[str, Any], tokens: int) -> None:
    usage = data.get("usage")
    if isinstance(usage, dict):
        for name in ("completion_tokens", "total_tokens"):
            if isinstance(usage.get(name), int):
                usage[name] += tokens
