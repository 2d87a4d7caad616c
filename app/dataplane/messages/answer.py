"""A message that came in one piece: what it says of tokens, and its edit. Pure bytes, no I/O."""

import msgspec

from app.dataplane.messages.usage import read_messages_usage
from app.dataplane.usage import add_member, routing_member
from app.dataplane.whole_answer import WholeAnswer


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"")


class _Message(msgspec.Struct):
    content: list[_Block] = []


_decode = msgspec.json.Decoder(_Message).decode


def read_message(raw: bytes, routing: bytes) -> WholeAnswer:
    """The message with its routing object. The protocol tells no reasoning tokens: the share of characters does."""
    usage = read_messages_usage(raw)
    thought = 0
    if usage is not None:
        try:
            blocks = _decode(raw).content
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            blocks = []
        thinking = sum(len(block.thinking or "") for block in blocks)
        answer = sum(len(block.text or "") + len(block.input) for block in blocks)
        thought = usage.reasoning_tokens(thinking, max(1, answer))
    return WholeAnswer(add_member(raw, routing_member(routing)) if routing else raw, usage, thought)
