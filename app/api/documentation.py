"""The OpenAPI page's entries for the data plane, which FastAPI never sees. Knows examples; handles nothing."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

_ROUTING = {
    "decision_id": "dec_5f0c1d2e3a4b5c6d7e8f9a0b",
    "mode": "thinking",
    "reason": "judge",
    "because": "score 0.912 >= threshold 0.5",
    "score": 0.912,
    "threshold": 0.5,
    "judge": "linear@1",
    "profile": "default",
    "pool": "deep",
    "model": "qwen-thinking",
}
_ERROR = {
    "error": {
        "message": "`messages` is required.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "invalid_request",
    }
}


def _json(description: str, example: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"example": example}}}


CHAT: dict[str, Any] = {
    "post": {
        "tags": ["routed"],
        "summary": "Chat completions, answered by the Instruct or the Thinking backend.",
        "description": (
            "OpenAI's and vLLM's request fields pass through untouched. `model` names a route (`auto`), a mode alias "
            "(`auto-instruct`, `auto-thinking`) or a backend's own model. Whose word decides the mode is stated in "
            "docs/routing.md. With `stream: true` the answer is a stream of server-sent events ending in `[DONE]`."
        ),
        "parameters": [
            {
                "name": "x-thinkgate-mode",
                "in": "header",
                "schema": {"type": "string", "enum": ["instruct", "thinking", "auto"]},
                "description": "The client's word; `auto` leaves the choice to session and judge.",
            },
            {
                "name": "x-thinkgate-profile",
                "in": "header",
                "schema": {"type": "string"},
                "description": "Another profile, where the key may choose it.",
            },
            {
                "name": "x-session-id",
                "in": "header",
                "schema": {"type": "string"},
                "description": "The conversation's name.",
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object", "required": ["model", "messages"], "additionalProperties": True},
                    "example": {"model": "auto", "messages": [{"role": "user", "content": "What is 12+7?"}]},
                }
            },
        },
        "responses": {
            "200": _json(
                "The answer, with a `routing` object and `x-thinkgate-*` headers.",
                {
                    "object": "chat.completion",
                    "model": "qwen-thinking",
                    "choices": [
                        {
                            "index": 0,
                            "message": {"role": "assistant", "content": "19", "reasoning": "12+7=19"},
                            "finish_reason": "stop",
                        }
                    ],
                    "routing": _ROUTING,
                },
            ),
            "400": _json("The request cannot be honoured; `param` names the field.", _ERROR),
            "401": {"description": "No key, or a wrong one."},
            "404": {"description": "Unknown model."},
            "413": {"description": "The body is larger than server.max_body_bytes."},
            "502": {"description": "The backend broke off."},
            "503": {"description": "No replica can be reached, or all are full; see Retry-After."},
            "504": {"description": "The backend was silent for too long."},
        },
    }
}


def document_data_plane(api: FastAPI) -> None:
    """Add the data plane's paths to the application's OpenAPI document."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = get_openapi(title=api.title, version=api.version, summary=api.summary, routes=api.routes)
            document["paths"]["/v1/chat/completions"] = CHAT
            document["components"] = {
                **document.get("components", {}),
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            }
            document["security"] = [{"bearer": []}]
            api.openapi_schema = document
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]
