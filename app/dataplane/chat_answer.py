"""A chat completion that came in one piece: its edits, and what it says of tokens. Pure bytes, no I/O."""

import msgspec

from app.dataplane.leading_blanks import without_leading_blanks
from app.dataplane.reasoning_field import rename_reasoning, string_end
from app.dataplane.usage import add_member, read_usage, routing_member
from app.dataplane.whole_answer import WholeAnswer
from router.profile import ReasoningFields


def edit_answer(body: bytes, *, routing: bytes, reasoning: ReasoningFields) -> WholeAnswer:
    """Give the answer its reasoning fields and its routing object; the rest stays byte for byte."""
    if b'"choices": [' in body:  # a server that writes JSON with spaces; a quote inside a string is escaped
        body = _compact(body)
    total = len(body)
    body, reasoning_length = rename_reasoning(body, reasoning)
    usage = read_usage(body)
    tokens = 0
    if reasoning_length:
        body = without_leading_blanks(body)
    if usage is not None:
        # The share of characters is all there is to split by; JSON around the text counts for neither.
        answer_length = max(1, _content_length(body, total)) if reasoning_length else 1
        tokens = usage.reasoning_tokens(reasoning_length, answer_length)
    if routing:
        body = add_member(body, routing_member(routing))
    return WholeAnswer(body, usage, tokens)


def _compact(body: bytes) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return body


def _content_length(body: bytes, limit: int) -> int:
    length, at = 0, body.find(b'"content":"')
    while at >= 0:
        start = at + len(b'"content":"')
        end = string_end(body, start)
        if end < 0:
            break
        length += end - start
        at = body.find(b'"content":"', end)
    return min(length, limit)
