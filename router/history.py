"""Earlier thinking in a conversation that is sent again: taken out, or kept where the template needs it.

Knows message shapes and `<think>` blocks; knows no model. Reasoning models are trained on histories that hold final
answers only; a tool loop under way is the exception, since its thinking belongs to the turn that is still going on.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

_NAMES = ("reasoning", "reasoning_content")
_THINKING_PARTS = frozenset({"thinking", "reasoning", "redacted_thinking"})
# A block that leads the text; or, from servers without a reasoning parser on templates that open the block in the
# prompt, everything up to a closing tag that has a line to itself.
_BLOCK = re.compile(r"\s*<think>.*?</think>\s*|(?:.*?\n)?[ \t]*</think>[ \t]*(?:\n\s*|\Z)", re.DOTALL)


class History(StrEnum):
    """What of earlier thinking a backend gets."""

    KEEP = "keep"
    """Whatever the client sends."""
    ANSWERS = "answers"
    """None."""
    TOOL_LOOP = "tool_loop"
    """That of the tool loop under way, under both names of the field; none of earlier turns."""


def without_thinking(text: str) -> str:
    """`text` of an assistant's turn without the think block that leads it; a tag inside the answer is only text."""
    if "</think>" not in text:
        return text
    found = _BLOCK.match(text)
    return text if found is None else text[found.end() :]


def tidy(messages: Sequence[Any], history: History) -> list[Any] | None:
    """`messages` as the backend should get them, or None where nothing changes.

    Untouched messages stay the same objects. Only assistant messages change; nothing of any shape raises.
    """
    if history is History.KEEP:
        return None
    out: list[Any] | None = None
    loop_start = None
    for i, message in enumerate(messages[:-1]):  # an assistant's last message is an answer that is to be continued
        if type(message) is not dict or message.get("role") != "assistant":
            continue
        content = message.get("content")
        if (  # nearly every message, and every request pays for this look at it
            ((type(content) is str and "</think>" not in content) or content is None)
            and "reasoning" not in message
            and "reasoning_content" not in message
        ):
            continue
        if loop_start is None:
            loop_start = _loop_start(messages) if history is History.TOOL_LOOP else len(messages)
        clean = _named_both_ways(message) if i > loop_start else _forgotten(message)
        if clean is not message:
            if out is None:
                out = list(messages)
            out[i] = clean
    return out


def _loop_start(messages: Sequence[Any]) -> int:
    """The index of the last thing a user said; -1 where no user has said anything."""
    for i in range(len(messages) - 1, -1, -1):
        message = messages[i]
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            # Some clients and protocols hand in a tool's result as a user's message.
            if isinstance(content, list):
                if not any(isinstance(part, dict) and part.get("type") == "tool_result" for part in content):
                    return i
            elif not (isinstance(content, str) and content.startswith("<tool_response>")):
                return i
    return -1


def _forgotten(message: Mapping[str, Any]) -> Mapping[str, Any]:
    content = message.get("content")
    clean: Any = content
    if isinstance(content, str):
        clean = without_thinking(content)
    elif isinstance(content, list):
        clean = _parts(content)
    if clean == content and not any(name in message for name in _NAMES):
        return message
    kept = {name: value for name, value in message.items() if name not in _NAMES}
    if "content" in message:
        kept["content"] = clean
    return kept


def _parts(content: list[Any]) -> list[Any]:
    out: list[Any] = []
    first = True
    for part in content:
        if isinstance(part, dict):
            if part.get("type") in _THINKING_PARTS:
                continue
            text = part.get("text")
            if first and isinstance(text, str):
                first = False
                clean = without_thinking(text)
                if clean != text:
                    part = {**part, "text": clean}
        out.append(part)
    return out


def _named_both_ways(message: Mapping[str, Any]) -> Mapping[str, Any]:
    # Newer servers read `reasoning`, older ones `reasoning_content`.
    new, old = message.get("reasoning"), message.get("reasoning_content")
    if isinstance(new, str) and old is None:
        return {**message, "reasoning_content": new}
    if isinstance(old, str) and new is None:
        return {**message, "reasoning": old}
    return message
