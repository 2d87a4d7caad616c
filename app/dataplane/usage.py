"""Token counts of an answer. Knows vLLM's usage object; knows no metric."""

import re

import msgspec


class _Details(msgspec.Struct):
    reasoning_tokens: int | None = None


class Usage(msgspec.Struct):
    """The `usage` object of a chat completion; counts in tokens."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    completion_tokens_details: _Details | None = None

    @classmethod
    def of(cls, prompt: int, completion: int, reasoning: int | None) -> "Usage":
        """The same counts under another protocol's names."""
        return cls(prompt, completion, None if reasoning is None else _Details(reasoning))

    def reasoning_tokens(self, reasoning_parts: int, answer_parts: int) -> int:
        """Tokens spent on thinking.

        vLLM reports 0 with the `deepseek_r1` parser on templates that open the think block in the prompt, so where it
        says nothing the total is split by the number of reasoning and answer parts (chunks or characters) seen.
        """
        details = self.completion_tokens_details
        if details is not None and details.reasoning_tokens:
            return min(details.reasoning_tokens, self.completion_tokens)
        if not reasoning_parts:
            return 0
        return round(self.completion_tokens * reasoning_parts / (reasoning_parts + answer_parts))


class _Holder(msgspec.Struct):
    usage: Usage | None = None


_decode = msgspec.json.Decoder(_Holder).decode
# As vLLM writes it; a quote inside a JSON string is escaped, so this can only be the member itself.
_COMPACT = re.compile(rb'"usage":\{"prompt_tokens":(\d+),"total_tokens":\d+,"completion_tokens":(\d+)')
_REASONING = re.compile(rb'"reasoning_tokens":(\d+)')


def read_usage(payload: bytes) -> Usage | None:
    """The usage object of a JSON answer or chunk, or None where there is none that can be read."""
    start = payload.rfind(b'"usage":{')
    found = _COMPACT.match(payload, start) if start >= 0 else None
    if found is not None:
        thought = _REASONING.search(payload, found.end())
        details = None if thought is None else _Details(int(thought[1]))
        return Usage(int(found[1]), int(found[2]), details)
    if b'"usage"' not in payload:
        return None
    try:
        return _decode(payload).usage
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def routing_member(routing: bytes) -> bytes:
    """`,"routing":{…}`: ready to be put before an object's closing brace."""
    return b',"routing":' + routing


def add_member(payload: bytes, member: bytes) -> bytes:
    """A JSON object with one more member at its end; anything that does not end in a brace stays as it is."""
    end = payload.rfind(b"}")
    if end < 0:
        return payload
    if payload[end - 1 : end] == b"{":
        member = member[1:]
    return b"%b%b%b" % (payload[:end], member, payload[end:])
