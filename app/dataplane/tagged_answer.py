"""A chat completion in one piece whose thinking comes as text: reasoning and content set apart. Pure bytes, no I/O."""

from collections.abc import Callable

import msgspec

from router.tags import Part, TagReader

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def read_tags(body: bytes, reader: Callable[[], TagReader]) -> tuple[bytes, TagReader | None]:
    """The answer as a server with a reasoning parser gives it, and the first choice's reader.

    A body that is no chat completion stays as it is, and has no reader.
    """
    try:
        data = _decode(body)
        messages = [choice["message"] for choice in data["choices"]]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError, TypeError):
        return body, None
    first: TagReader | None = None
    for message in messages:
        text = message.get("content") if isinstance(message, dict) else None
        if not isinstance(text, str):
            continue
        own = reader()
        pieces = own.feed(text) + own.finish()
        first = first or own
        said = {part: "".join(words for kind, words in pieces if kind is part) for part in Part}
        # As vLLM has it: no reasoning is null, and so is an answer that thinking has left no room for.
        message["content"] = said[Part.CONTENT] if said[Part.CONTENT] or not said[Part.REASONING] else None
        if said[Part.REASONING]:
            message.pop("reasoning_content", None)
            message["reasoning"] = said[Part.REASONING]
    return (body, None) if first is None else (_encode(data), first)
