"""What fuzzing begins with: recorded answers of vLLM and the configurations of the docs, behind four sizes of reads."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.fixtures import names, recorded, recorded_stream

ROOT = Path(__file__).parents[2]
SIZES = b"\x07\x00\x40\x01"
_HEAD = b"HTTP/1.1 200 OK\r\nserver: x\r\ncontent-type: application/json\r\n"


def _streams(*prefixes: str) -> list[bytes]:
    return [SIZES + recorded_stream(name)[:6000] for name in names("*stream*") if name.startswith(prefixes)]


def _answers() -> list[bytes]:
    text = recorded("chat_instruct").body
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (text[:40], text[40:300], text[300:]))
    return [
        SIZES + _HEAD + b"content-length: %d\r\n\r\n" % len(text) + text,
        SIZES + _HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n",
        SIZES + _HEAD + b"connection: close\r\n\r\n" + text,
        SIZES + b"HTTP/1.1 100 Continue\r\n\r\n" + _HEAD + b"content-length: 2\r\n\r\n{}",
        SIZES + b"HTTP/1.1 204 No Content\r\n\r\n",
        SIZES + _HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
    ]


def _bodies() -> list[bytes]:
    user = [{"role": "user", "content": "What is 2+2? /think"}]
    parts = [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url"}]}]
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    all_of_them: list[object] = [
        {"model": "auto", "messages": user, "stream": True, "stream_options": {"include_usage": True}, "n": 2},
        {"model": "auto", "messages": parts, "tools": [tool], "response_format": {"type": "json_object"}},
        {"model": "auto", "messages": user, "chat_template_kwargs": {"enable_thinking": False}},
        {"model": "auto", "prompt": ["a", "b"], "logprobs": 1},
        {"model": "auto", "input": [{"role": "user", "content": "x"}], "reasoning": {"effort": "high"}},
        {"model": "auto", "max_tokens": 9, "system": "s", "messages": user, "thinking": {"type": "enabled"}},
    ]
    return [json.dumps(one).encode() for one in all_of_them]


def _configurations() -> list[bytes]:
    found = [ROOT / "docs" / "example.yaml", *sorted((ROOT / "deploy").glob("**/gateway*.yaml"))]
    return [path.read_bytes() for path in found]


SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "answer": _answers,
    "chat_stream": lambda: _streams("chat", "trained", "crash"),
    "completion_stream": lambda: _streams("compl"),
    "message_stream": lambda: _streams("messages"),
    "response_stream": lambda: _streams("resp"),
    "body": _bodies,
    "configuration": _configurations,
}
"""By target."""
