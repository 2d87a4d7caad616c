"""Token counts of a message. Knows Anthropic's usage object; knows no metric."""

import msgspec

from app.dataplane.usage import Usage


class _Usage(msgspec.Struct):
    """Cached tokens are not in `input_tokens`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Holder(msgspec.Struct):
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Holder).decode


def read_messages_usage(payload: bytes) -> Usage | None:
    """The usage of a message or of its `message_delta`, or None where there is none that can be read."""
    try:
        found = _decode(payload).usage
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if found is None:
        return None
    cached = (found.cache_creation_input_tokens or 0) + (found.cache_read_input_tokens or 0)
    return Usage(found.input_tokens + cached, found.output_tokens)
