"""What LiteLLM sees of the gateway, as one JSON object. Knows the client, judges nothing."""

import json
import os
from collections.abc import Callable
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # before the import, which would else fetch a list of prices

import litellm

URL, KEY, EASY, HARD = (os.environ[name] for name in ("GATEWAY_URL", "GATEWAY_KEY", "EASY", "HARD"))
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Lima"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
FORCED = {"tools": [TOOL], "tool_choice": "required"}
litellm.suppress_debug_info = True


def ask(text: str, model: str = "auto", key: str = KEY, **options: Any) -> Any:
    settings = {"temperature": 0, "max_tokens": 300, "num_retries": 0, "max_retries": 0, **options}
    return litellm.completion(
        model=f"hosted_vllm/{model}",
        api_base=f"{URL}/v1",
        api_key=key,
        messages=[{"role": "user", "content": text}],
        **settings,
    )


def told(answer: Any, headers: dict[str, Any]) -> dict[str, Any]:
    message = answer.choices[0].message
    return {
        "content": message.content,
        "reasoning": getattr(message, "reasoning_content", None) or "",
        "model": answer.model,
        "header": headers.get("llm_provider-x-thinkgate-mode"),
    }


def whole(text: str) -> dict[str, Any]:
    answer = ask(text)
    return told(answer, answer._hidden_params["additional_headers"])


def streamed(text: str, **options: Any) -> Any:
    stream = ask(text, stream=True, **options)
    return litellm.stream_chunk_builder(list(stream)), stream._hidden_params.get("additional_headers", {})


def called(answer: Any) -> dict[str, Any]:
    made = answer.choices[0].message.tool_calls[0].function
    return {"name": made.name, "input": json.loads(made.arguments)}


def failure(make: Callable[[], Any]) -> dict[str, Any]:
    try:
        make()
    except Exception as error:
        return {"error": type(error).__name__, "status": getattr(error, "status_code", None), "message": str(error)}
    return {"error": "none"}


print(
    json.dumps(
        {
            "easy": whole(EASY),
            "hard": whole(HARD),
            "easy_streamed": told(*streamed(EASY)),
            "hard_streamed": told(*streamed(HARD)),
            "tool": called(ask("Call the weather.", "auto-instruct", **FORCED)),
            "tool_streamed": called(streamed("Call the weather.", model="auto-instruct", **FORCED)[0]),
            "unknown_model": failure(lambda: ask(EASY, "nope")),
            "unknown_model_streamed": failure(lambda: streamed(EASY, model="nope")),
            "bad_request": failure(lambda: ask(EASY, max_tokens=5000)),
            "wrong_key": failure(lambda: ask(EASY, key="wrong")),
        }
    )
)
