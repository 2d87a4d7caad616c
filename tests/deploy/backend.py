"""A backend that thinks before it answers, as fast as asked. Knows vLLM's wire format; generates nothing.

    python tests/deploy/backend.py [serve MODEL] --host H --port P --served-model-name NAME [any other flag of vLLM]

It stands for a vLLM container where the check is about everything around it. Models with "thinking" in their name
think. A user's text with "refuse" in it gets 503, one with "slow" a stream that never ends, one with "doubtful" tokens
that the model does not believe in, and one with "exhausted" thinking without an answer.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

TOKENS = 8
STEP_S = 0.004


def compact(event: dict[str, Any]) -> bytes:
    """JSON as vLLM writes it."""
    return json.dumps(event, separators=(",", ":")).encode()


class Backend:
    """One model."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.running = 0
        self.generated = 0

    def chunk(self, delta: dict[str, Any], finish: str | None = None, logprob: float | None = None) -> bytes:
        """One event of a stream."""
        told = None if logprob is None else {"content": [{"token": "w", "logprob": logprob, "top_logprobs": []}]}
        choice = {"index": 0, "delta": delta, "logprobs": told, "finish_reason": finish}
        event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.name}
        return b"data: " + compact(event | {"choices": [choice]}) + b"\n\n"

    async def events(self, slow: bool, thinks: bool, tokens: int, logprob: float | None = None) -> AsyncIterator[bytes]:
        """A whole stream with usage; no answer where `tokens` is 0."""
        self.running += 1
        try:
            yield self.chunk({"role": "assistant", "content": ""})
            words = ([("reasoning", " step")] * 3 * TOKENS if thinks else []) + [("content", " word")] * tokens
            for field, text in words:
                await asyncio.sleep(30 if slow and field == "content" else STEP_S)
                self.generated += 1
                yield self.chunk({field: text}, logprob=logprob)
            yield self.chunk({}, "stop" if tokens else "length")
            usage = {"prompt_tokens": 20, "completion_tokens": len(words), "total_tokens": 20 + len(words)}
            event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.name}
            yield b"data: " + compact(event | {"choices": [], "usage": usage}) + b"\n\ndata: [DONE]\n\n"
        finally:
            self.running -= 1

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        body = await request.json()
        said = str(body["messages"][-1]["content"])
        thinks = "thinking" in self.name
        if "refuse" in said:
            return JSONResponse({"error": {"message": "full", "type": "unavailable", "code": 503}}, 503)
        tokens = 0 if thinks and "exhausted" in said else body.get("max_tokens") or TOKENS
        logprob = (-3.0 if "doubtful" in said else -0.05) if body.get("logprobs") else None
        if body.get("stream"):
            events = self.events("slow" in said, thinks, tokens, logprob)
            return StreamingResponse(events, media_type="text/event-stream")
        message = {"role": "assistant", "content": "word", "reasoning": "step " * 3 * TOKENS if thinks else None}
        usage = {"prompt_tokens": 20, "completion_tokens": 32, "total_tokens": 52}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": self.name}
        return JSONResponse(answer | {"choices": [choice], "usage": usage})

    async def metrics(self, request: Request) -> Response:
        """GET /metrics, with the names that vLLM uses."""
        labels = f'{{engine="0",model_name="{self.name}"}}'
        return PlainTextResponse(
            f"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{labels} {self.running}\n"
            f"# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{labels} 0\n"
            f"# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{labels} 0.1\n"
            f"# TYPE vllm:generation_tokens counter\nvllm:generation_tokens_total{labels} {self.generated}\n"
        )

    async def health(self, request: Request) -> Response:
        """GET /health."""
        return Response()

    def app(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/metrics", self.metrics),
                Route("/health", self.health),
            ]
        )


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--served-model-name", required=True)
    known, _ = parser.parse_known_args()
    uvicorn.run(Backend(known.served_model_name).app(), host=known.host, port=known.port, log_level="warning")


if __name__ == "__main__":
    main()
