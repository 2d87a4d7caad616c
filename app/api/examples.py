"""Requests and answers of the data plane, as examples for the OpenAPI page. Values only."""

from typing import Any

ROUTING: dict[str, Any] = {
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
ERROR = {
    "error": {
        "message": "`model` is required: name a route such as `auto`, or a model.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "invalid_request",
    }
}
ANTHROPIC_ERROR = {"type": "error", "error": {"type": "invalid_request_error", "message": "`messages` is required."}}
NO_RESPONSE = {
    "error": {
        "message": "Response with id 'resp_1' not found.",
        "type": "invalid_request_error",
        "param": "response_id",
        "code": "response_not_found",
    }
}
_ASK = "What is 12+7?"
_MESSAGES = [{"role": "user", "content": _ASK}]
CHAT_REQUEST = {"model": "auto", "messages": _MESSAGES}
CHAT_ANSWER = {
    "object": "chat.completion",
    "model": "qwen-thinking",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "19", "reasoning": "12+7=19"},
            "finish_reason": "stop",
        }
    ],
    "routing": ROUTING,
}
COMPLETION_REQUEST = {"model": "auto", "prompt": "Twelve and seven make", "max_tokens": 8}
COMPLETION_ANSWER = {
    "object": "text_completion",
    "model": "qwen-thinking",
    "choices": [{"index": 0, "text": " nineteen.", "finish_reason": "stop"}],
    "routing": ROUTING,
}
RESPONSE_REQUEST = {"model": "auto", "input": _ASK}
RESPONSE_ANSWER = {
    "id": "resp_b266d259c7197124",
    "object": "response",
    "model": "qwen-thinking",
    "status": "completed",
    "output": [
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "12+7=19"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "19"}]},
    ],
    "routing": ROUTING,
}
MESSAGE_REQUEST = {"model": "auto", "max_tokens": 1024, "messages": _MESSAGES}
MESSAGE_ANSWER = {
    "type": "message",
    "role": "assistant",
    "model": "qwen-thinking",
    "content": [{"type": "thinking", "thinking": "12+7=19", "signature": "8155"}, {"type": "text", "text": "19"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 22, "output_tokens": 12},
    "routing": ROUTING,
}
COUNT_REQUEST = {"model": "auto", "messages": _MESSAGES}
COUNT_ANSWER = {"input_tokens": 22}
PASSED: dict[str, dict[str, Any]] = {
    "/v1/embeddings": {"model": "qwen-embedding", "input": "Hello"},
    "/tokenize": {"model": "auto", "prompt": "Hello"},
    "/detokenize": {"model": "auto", "tokens": [9707]},
    "/v1/rerank": {"model": "qwen-reranker", "query": "capital of Peru", "documents": ["Lima", "Oslo"]},
}
