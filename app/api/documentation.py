"""The OpenAPI page's entries for the data plane, which FastAPI never sees. Knows what they say; handles nothing."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api import examples
from app.dataplane.passthrough.endpoint import PASSED_THROUGH

_HEADERS = [
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
]
_RESPONSE_ID = {"name": "response_id", "in": "path", "required": True, "schema": {"type": "string"}}


def _json(description: str, example: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"example": example}}}


def _body(required: list[str], example: Any) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "additionalProperties": True}
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _failures(error: Any) -> dict[str, Any]:
    return {
        "400": _json("The request cannot be honoured; the message names the field.", error),
        "401": {"description": "No key, or a wrong one."},
        "404": {"description": "Unknown model."},
        "413": {"description": "The body is larger than server.max_body_bytes."},
        "502": {"description": "The backend broke off."},
        "503": {"description": "No replica can be reached, or all are full; see Retry-After."},
        "504": {"description": "The backend was silent for too long."},
    }


def _routed(
    summary: str, text: str, required: list[str], asked: Any, answered: Any, error: Any = examples.ERROR
) -> dict[str, Any]:
    return {
        "post": {
            "tags": ["routed"],
            "summary": summary,
            "description": text,
            "parameters": _HEADERS,
            "requestBody": _body(required, asked),
            "responses": {
                "200": _json("The answer, with a `routing` object and `x-thinkgate-*` headers.", answered),
                **_failures(error),
            },
        }
    }


def _passed(path: str) -> dict[str, Any]:
    form = {"multipart/form-data": {"schema": {"type": "object", "required": ["model"]}}}
    body = _body(["model"], examples.PASSED.get(path, {"model": "auto"}))
    if path in ("/v1/audio/transcriptions", "/v1/audio/translations"):
        body["content"] = form
    return {
        "post": {
            "tags": ["passed through"],
            "summary": "Passed through to the pool that serves the named model; a route means its Instruct pool.",
            "requestBody": body,
            "responses": {"200": {"description": "The backend's answer, as it is."}, **_failures(examples.ERROR)},
        }
    }


def _by_id(method: str, summary: str) -> dict[str, Any]:
    return {
        method: {
            "tags": ["routed"],
            "summary": summary,
            "parameters": [_RESPONSE_ID],
            "responses": {
                "200": {"description": "The response, as the backend has it."},
                "404": _json("No response of this id is known for the caller's tenant.", examples.NO_RESPONSE),
            },
        }
    }


def data_plane_paths() -> dict[str, Any]:
    """The data plane's paths, as OpenAPI has them."""
    return {
        "/v1/chat/completions": _routed(
            "Chat completions, answered by the Instruct or the Thinking backend.",
            "OpenAI's and vLLM's request fields pass through untouched. `model` names a route (`auto`), a mode alias "
            "(`auto-instruct`, `auto-thinking`) or a backend's own model. Whose word decides the mode is stated in "
            "docs/routing.md. With `stream: true` the answer is a stream of server-sent events ending in `[DONE]`.",
            ["model", "messages"],
            examples.CHAT_REQUEST,
            examples.CHAT_ANSWER,
        ),
        "/v1/completions": _routed(
            "Completions of raw prompts, by the Instruct or the Thinking backend.",
            "The prompt is what is judged. No chat template is applied, so a hybrid model cannot be switched here.",
            ["model", "prompt"],
            examples.COMPLETION_REQUEST,
            examples.COMPLETION_ANSWER,
        ),
        "/v1/responses": _routed(
            "OpenAI's Responses API, answered by the Instruct or the Thinking backend.",
            "`reasoning.effort` may decide the mode. A request with `previous_response_id` goes to the replica that "
            "keeps that response. With `stream: true` the last event's response object holds `routing`.",
            ["model", "input"],
            examples.RESPONSE_REQUEST,
            examples.RESPONSE_ANSWER,
        ),
        "/v1/responses/{response_id}": _by_id("get", "A response, from the replica that made it."),
        "/v1/responses/{response_id}/cancel": _by_id("post", "Cancel a response that runs in the background."),
        "/v1/messages": _routed(
            "Anthropic's Messages API, answered by the Instruct or the Thinking backend.",
            "`thinking` may decide the mode. The key may come as `x-api-key`; errors have Anthropic's shape. With "
            "`stream: true` the `message_delta` event holds `routing`.",
            ["model", "messages", "max_tokens"],
            examples.MESSAGE_REQUEST,
            examples.MESSAGE_ANSWER,
            examples.ANTHROPIC_ERROR,
        ),
        "/v1/messages/count_tokens": _routed(
            "The tokens of a message, counted by the pool that would answer it.",
            "Nothing is generated and nothing is remembered.",
            ["model", "messages"],
            examples.COUNT_REQUEST,
            examples.COUNT_ANSWER,
            examples.ANTHROPIC_ERROR,
        ),
        **{path: _passed(path) for path in PASSED_THROUGH},
    }


def document_data_plane(api: FastAPI) -> None:
    """Add the data plane's paths to the application's OpenAPI document."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = get_openapi(title=api.title, version=api.version, summary=api.summary, routes=api.routes)
            document["paths"] |= data_plane_paths()
            document["components"] = {
                **document.get("components", {}),
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                },
            }
            document["security"] = [{"bearer": []}, {"x-api-key": []}]
            api.openapi_schema = document
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]
