"""Token counts of a response. Knows the Responses API's usage object; knows no metric."""

import msgspec

from app.dataplane.usage import Usage


class _Details(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    output_tokens_details: _Details | None = None


class _Holder(msgspec.Struct):
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Holder).decode


def read_response_usage(payload: bytes) -> Usage | None:
    """The usage of a response object, or None where there is none that can be read."""
    try:
        found = _decode(payload).usage
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if found is None:
        return None
    details = found.output_tokens_details
    return Usage.of(found.input_tokens, found.output_tokens, None if details is None else details.reasoning_tokens)
