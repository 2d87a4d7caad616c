"""The routed protocols beside chat, as tests need them: how a text is asked, and how each tells errors and ends."""

import json
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Api:
    """One protocol; `text_at` are the body's keys that lead to the ask."""

    name: str
    path: str
    base: dict[str, Any]

    def asking(self, text: str, model: str = "auto", **fields: Any) -> dict[str, Any]:
        ask: dict[str, Any] = {"prompt": text}
        if self.name == "messages":
            ask = {"messages": [{"role": "user", "content": text}]}
        elif self.name == "responses":
            ask = {"input": text}
        return {"model": model, **self.base, **ask, **fields}

    def asked(self, sent: dict[str, Any]) -> str:
        """The text in a body that reached a backend."""
        if self.name == "messages":
            return str(sent["messages"][-1]["content"])
        return str(sent["input" if self.name == "responses" else "prompt"])

    def error(self, body: bytes) -> dict[str, Any]:
        """The error in an answer; fails where its shape is not the protocol's."""
        data = json.loads(body)
        if self.name == "messages":
            assert set(data) == {"type", "error"}
            assert data["type"] == "error"
            assert set(data["error"]) == {"type", "message"}
        else:
            assert set(data) == {"error"}
            assert set(data["error"]) == {"message", "type", "param", "code"}
        assert isinstance(data["error"]["message"], str)
        assert data["error"]["message"]
        return dict(data["error"])


COMPLETIONS = Api("completions", "/v1/completions", {})
MESSAGES = Api("messages", "/v1/messages", {"max_tokens": 100})
RESPONSES = Api("responses", "/v1/responses", {})
APIS = [COMPLETIONS, MESSAGES, RESPONSES]


def events(body: bytes) -> list[tuple[str, Any]]:
    """The events of a stream: name (empty for none) and decoded data; `[DONE]` as it is."""
    assert body.endswith(b"\n\n")
    assert b"\r" not in body
    out = []
    for event in body[:-2].split(b"\n\n"):
        name, data = "", b""
        for line in event.split(b"\n"):
            if line.startswith(b"event: "):
                name = line[7:].decode()
            elif line.startswith(b"data: "):
                data = line[6:]
        out.append((name, data.decode() if data == b"[DONE]" else json.loads(data)))
    return out


def routing_of(api: Api, body: bytes) -> list[dict[str, Any]]:
    """Every routing object in a stream, each from its natural place."""
    found = []
    for name, data in events(body):
        if data == "[DONE]":
            continue
        if "routing" in data:
            assert api.name == "completions" or name == "message_delta", name
            found.append(data["routing"])
        if "routing" in (data.get("response") or {}):
            assert name == "response.completed"
            found.append(data["response"]["routing"])
    return found


every_api = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
"""For what holds in every protocol."""
