"""What langchain-openai sees of the gateway, as one JSON object. Knows the client, judges nothing."""

import json
import os
from collections.abc import Callable
from typing import Any, Literal

from langchain_openai import ChatOpenAI
from pydantic import BaseModel

URL, KEY, EASY, HARD = (os.environ[name] for name in ("GATEWAY_URL", "GATEWAY_KEY", "EASY", "HARD"))


def model(name: str = "auto", key: str = KEY, **options: Any) -> ChatOpenAI:
    settings = {"temperature": 0, "max_tokens": 300, "max_retries": 0, "include_response_headers": True, **options}
    return ChatOpenAI(model=name, base_url=f"{URL}/v1", api_key=key, **settings)


class weather(BaseModel):  # the class's name is the tool's
    """The weather of a city."""

    city: Literal["Lima"]


FORCED = model("auto-instruct").bind_tools([weather], tool_choice="required", strict=True)


def told(message: Any) -> dict[str, Any]:
    about = message.response_metadata
    return {"content": message.content, "model": about["model_name"], "header": about["headers"]["x-thinkgate-mode"]}


def streamed(asked: Any, text: str) -> Any:
    whole = None
    for chunk in asked.stream(text):
        whole = chunk if whole is None else whole + chunk
    return whole


def called(message: Any) -> dict[str, Any]:
    return {"name": message.tool_calls[0]["name"], "input": message.tool_calls[0]["args"]}


def failure(ask: Callable[[], Any]) -> dict[str, Any]:
    try:
        ask()
    except Exception as error:
        return {
            "error": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "message": str(error),
        }
    return {"error": "none"}


print(
    json.dumps(
        {
            "easy": told(model().invoke(EASY)),
            "hard": told(model().invoke(HARD)),
            "easy_streamed": told(streamed(model(), EASY)),
            "hard_streamed": told(streamed(model(), HARD)),
            "tool": called(FORCED.invoke("Call the weather.")),
            "tool_streamed": called(streamed(FORCED, "Call the weather.")),
            "unknown_model": failure(lambda: model("nope").invoke(EASY)),
            "unknown_model_streamed": failure(lambda: streamed(model("nope"), EASY)),
            "bad_request": failure(lambda: model(max_tokens=5000).invoke(EASY)),
            "wrong_key": failure(lambda: model(key="wrong").invoke(EASY)),
        }
    )
)
