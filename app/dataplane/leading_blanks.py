"""Blank lines that lead an answer behind a think block, taken out of its JSON. Knows bytes of JSON; parses nothing.

The models write `</think>`, an empty line, the answer; vLLM's parser takes the tag and leaves the empty line. Inside a
JSON string every quote is escaped, so `"content":"` can only be a member's name.
"""

import re

_LEADING = re.compile(rb'("content":")(?:(?:[ ]|\\t)*(?:\\r)?\\n)+')
_EMPTY = b'"content":""'
_CONTENT = b'"content":"'
_MAY_LEAD = b" \\"  # a blank line begins with a space, or with an escape


def without_leading_blanks(data: bytes) -> bytes:
    """`data` with the blank lines gone that lead its contents; the first line's indentation stays."""
    return _LEADING.sub(rb"\1", data)


def trimmed_chunk(event: bytes) -> bytes:
    """A stream's event without leading blank lines; empty where it said nothing else."""
    at = event.find(_CONTENT)
    if at < 0 or event[at + len(_CONTENT)] not in _MAY_LEAD:
        return event
    clean = _LEADING.sub(rb"\1", event)
    if clean == event:
        return event
    if _EMPTY in clean and b'"finish_reason":null' in clean and not any(word in clean for word in _SAYS_MORE):
        return b""
    return clean


_SAYS_MORE = (
    *(b'"usage":{', b'"logprobs":{', b'"tool_calls":[{', b'"reasoning":"', b'"role":"', b'"reasoning_content":"'),
    b'"token_ids":[',
)


def has_content(event: bytes) -> bool:
    """Does the event say something as content?"""
    return _CONTENT in event and _EMPTY not in event
