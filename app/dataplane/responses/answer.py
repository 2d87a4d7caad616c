"""A response that came in one piece: its id, what it says of tokens, and its edit. Pure bytes, no I/O."""

from typing import Any

from app.dataplane.event_stream import decoded
from app.dataplane.responses.usage import read_response_usage
from app.dataplane.usage import add_member, routing_member
from app.dataplane.whole_answer import WholeAnswer


def read_response(raw: bytes, routing: bytes) -> tuple[WholeAnswer, str]:
    """The response with its routing object, and its id (empty where it has none)."""
    usage = read_response_usage(raw)
    data: Any = decoded(raw)
    data = data if isinstance(data, dict) else {}
    thought = 0
    if usage is not None:
        thinking, answer = _lengths(data.get("output"))
        thought = usage.reasoning_tokens(thinking, max(1, answer))
    found = data.get("id")
    body = add_member(raw, routing_member(routing)) if routing else raw
    return WholeAnswer(body, usage, thought), found if isinstance(found, str) else ""


def _lengths(output: Any) -> tuple[int, int]:
    """Characters of thinking and of everything else."""
    thinking = answer = 0
    for item in output if isinstance(output, list) else ():
        if not isinstance(item, dict):
            continue
        parts = [part for part in item.get("content") or () if isinstance(part, dict)]
        length = sum(len(text) for part in parts if isinstance(text := part.get("text"), str))
        if item.get("type") == "reasoning":
            thinking += length
        else:
            answer += length + len(str(item.get("arguments") or item.get("input") or ""))
    return thinking, answer
