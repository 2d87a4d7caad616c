"""A chat-completions stream whose thinking comes as text: its tags read, its chunks split in reasoning and content.

Knows chunks; the tags are router/tags.py's. Only the families that say so pay for it: every chunk is decoded here. What
comes out are chunks as a server with a reasoning parser writes them, and ChatStream takes it from there.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from app.dataplane.unanswered import UnansweredStream
from router.profile import ReasoningFields
from router.tags import Part, Piece, TagReader

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class TaggedStream(UnansweredStream):
    """A stream for a backend without a reasoning parser.

    `reader` makes a choice's reader. `decided` is called once, with the reader of the first choice whose verdict is
    read; with `waits` nothing is given out before. `routing` may be set until the end: see `reroute`.
    """

    __slots__ = ("_decided", "_held", "_logprobs", "_make", "_readers", "_rest", "_waiting")

    def __init__(
        self,
        reader: Callable[[], TagReader],
        decided: Callable[[TagReader], None],
        *,
        waits: bool,
        watches: bool = False,
        routing: bytes,
        reasoning: ReasoningFields,
        show_usage: bool,
        choices: int = 1,
    ) -> None:
        super().__init__(watches=watches, routing=routing, reasoning=reasoning, show_usage=show_usage, choices=choices)
        self._make = reader
        self._readers: dict[int, TagReader] = {}
        self._logprobs: dict[int, list[Any]] = {}
        self._decided: Callable[[TagReader], None] | None = decided
        self._waiting = waits
        self._held: list[bytes] = []
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """As ChatStream's."""
        data = self._rest + data
        held = b"\r" if data[-1:] == b"\r" else b""  # its line feed may follow
        data = (data[:-1] if held else data).replace(b"\r\n", b"\n")
        end = data.rfind(b"\n\n") + 2
        if end < 2:
            self._rest = data + held
            return super().feed(b"")
        self._rest = data[end:] + held
        events = [self._read(event) for event in data[: end - 2].split(b"\n\n")]
        if self._waiting:
            self._held += events
            return b""
        if self._held:
            events = self._held + events
            self._held = []
        return super().feed(b"".join(events))

    def _read(self, event: bytes) -> bytes:
        """The chunks that an event becomes; anything that is no chunk with choices stays as it is."""
        payload = event.partition(b"data:")[2]
        try:
            data = _decode(payload)
            choices = data["choices"]
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError, TypeError):
            if not event.startswith(b":"):  # an error, or the end: there is nothing more to wait for
                self._waiting = False
            return event + b"\n\n"
        if not isinstance(choices, list) or not choices:
            return event + b"\n\n"
        return b"".join([self._choice(data, choice) for choice in choices if isinstance(choice, dict)])

    def _choice(self, data: dict[str, Any], choice: dict[str, Any]) -> bytes:
        index = choice.get("index", 0)
        reader = self._readers.get(index)
        if reader is None:
            reader = self._readers[index] = self._make()
        delta: Any = choice.get("delta")
        if not isinstance(delta, dict):
            delta = {}
        text = delta.get("content")
        ends = choice.get("finish_reason") is not None
        others = {name: value for name, value in delta.items() if name != "content" and value is not None}
        pieces: list[Piece] = []
        if isinstance(text, str) and text:
            pieces += reader.feed(text)
        if ends or others.get("tool_calls"):
            pieces += reader.finish()
        self._tell(reader)
        chunks = [{"delta": {_NAMES[part]: words}, "finish_reason": None} for part, words in pieces]
        if ends or others or (not text and "content" in delta):
            # The opening chunk (with a role), the one with the finish reason, and tool calls come as they came.
            chunks.append({"delta": {**others, "content": ""} if "content" in delta else others})
        return b"".join(self._chunks(data, choice, chunks, index, lost=not reader.decided or not reader.holds))

    def _chunks(
        self, data: dict[str, Any], choice: dict[str, Any], chunks: list[dict[str, Any]], index: int, lost: bool
    ) -> list[bytes]:
        logprobs = choice.get("logprobs")
        tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
        if isinstance(tokens, list):
            # A token's logprob goes with the text that it completed; those of tags and of the judge's words go nowhere.
            tokens = self._logprobs.pop(index, []) + tokens
            if not chunks and not lost:
                self._logprobs[index] = tokens
        out = []
        for i, chunk in enumerate(chunks):
            changed = {**choice, **chunk}
            if isinstance(tokens, list):
                changed["logprobs"] = {**(logprobs or {}), "content": tokens} if i == 0 and tokens else None
            out.append(b"data: " + _encode({**data, "choices": [changed]}) + b"\n\n")
        return out

    def _tell(self, reader: TagReader) -> None:
        if self._decided is not None and reader.decided:
            tell, self._decided = self._decided, None
            self._waiting = False
            tell(reader)


_NAMES = {Part.REASONING: "reasoning", Part.CONTENT: "content"}
