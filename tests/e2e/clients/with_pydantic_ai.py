"""What Pydantic AI sees of the gateway, as one JSON object. Knows the client, judges nothing."""

import asyncio
import json
import os
from collections.abc import Awaitable
from typing import Any, Literal

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, ToolOutput
from pydantic_ai.messages import ModelResponse, TextPart, ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

URL, KEY, EASY, HARD = (os.environ[name] for name in ("GATEWAY_URL", "GATEWAY_KEY", "EASY", "HARD"))


class Weather(BaseModel):
    """The city whose weather is wanted."""

    city: Literal["Lima"]


def agent(model: str = "auto", key: str = KEY, **options: Any) -> Agent[None, Any]:
    client = AsyncOpenAI(base_url=f"{URL}/v1", api_key=key, max_retries=0)
    settings = {"temperature": 0, "max_tokens": 300, **options.pop("settings", {})}
    return Agent(
        OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client)), model_settings=settings, **options
    )


def told(response: ModelResponse) -> dict[str, Any]:
    def text(kind: type[TextPart] | type[ThinkingPart]) -> str:
        return "".join(part.content for part in response.parts if isinstance(part, kind))

    return {"content": text(TextPart), "reasoning": text(ThinkingPart), "model": response.model_name}


async def whole(text: str) -> dict[str, Any]:
    return told((await agent().run(text)).response)


async def streamed(text: str, model: str = "auto") -> dict[str, Any]:
    async with agent(model).run_stream(text) as stream:
        async for _ in stream.stream_text():
            pass
        return told(stream.response)


async def tool() -> dict[str, Any]:
    """An answer of a given type is a call of a tool to this client."""
    result = await agent("auto-instruct", output_type=ToolOutput(Weather, strict=True), retries=0).run(
        "Call the weather."
    )
    return {"name": "weather", "input": result.output.model_dump()}


async def tool_streamed() -> dict[str, Any]:
    async with agent("auto-instruct", output_type=ToolOutput(Weather, strict=True), retries=0).run_stream(
        "Call the weather."
    ) as stream:
        return {"name": "weather", "input": (await stream.get_output()).model_dump()}


async def failure(asked: Awaitable[Any]) -> dict[str, Any]:
    try:
        await asked
    except Exception as error:
        return {"error": type(error).__name__, "status": getattr(error, "status_code", None), "message": str(error)}
    return {"error": "none"}


async def main() -> None:
    seen = {
        "easy": await whole(EASY),
        "hard": await whole(HARD),
        "easy_streamed": await streamed(EASY),
        "hard_streamed": await streamed(HARD),
        "tool": await tool(),
        "tool_streamed": await tool_streamed(),
        "unknown_model": await failure(agent("nope").run(EASY)),
        "unknown_model_streamed": await failure(streamed(EASY, "nope")),
        "bad_request": await failure(agent(settings={"max_tokens": 5000}).run(EASY)),
        "wrong_key": await failure(agent(key="wrong").run(EASY)),
    }
    print(json.dumps(seen))


asyncio.run(main())
