"""Bodies that no client should send, for every endpoint: hypothesis strategies. Knows field names; sends nothing."""

import json
from typing import Any

from hypothesis import strategies as st

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, -1, 2, 16, 1024, 2**31, 2**63]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["", "auto", "none", "required", "text", "user", "assistant", "tool", "system", "\x00", "/think"]),
)
_KEYS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["type", "role", "content", "text", "name", "id", "function", "input", "schema", "json_schema"]),
)
VALUES = st.recursive(_SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(_KEYS, v, max_size=4), max_leaves=8)
# What is nearly right gets further in than what is random.
_NEARLY: list[Any] = [
    [{"role": "user", "content": "hi"}],
    [{"role": "user", "content": [{"type": "text", "text": 5}]}],
    [{"role": "user", "content": [{"type": "text", "text": "hi"}, 3]}],
    [{"role": "assistant", "content": None}],
    [{"role": "tool", "content": "x"}],
    [{"role": "user", "content": [{"type": "image"}]}],
    [{"role": "user", "content": [{"type": "tool_result"}]}],
    [{"role": "assistant", "content": [{"type": "tool_use"}]}],
    [{"type": "function_call_output", "call_id": "x", "output": 3}],
    [{"type": "message", "role": "user", "content": [{"type": "input_text"}]}],
    [{"type": "reasoning"}],
    [{"type": "function"}],
    [{"name": "f", "input_schema": {}}],
    [{"type": "function", "function": {"name": "f", "parameters": 3}}],
    {"type": "function", "function": {"name": "g"}},
    {"type": "enabled"},
    {"type": "enabled", "budget_tokens": -5},
    {"type": "disabled", "budget_tokens": 2048},
    {"effort": "none"},
    {"effort": []},
    {"enable_thinking": "maybe"},
    {"include_usage": "yes"},
    {"format": {"type": "json_schema"}},
    {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": 3}}},
    {"regex": "("},
    {"json": "{"},
    {"choice": []},
    [[]],
    [[1, -1]],
    ["a", 1],
]
_COMMON = ["model", "stream", "stream_options", "temperature", "top_p", "top_k", "min_p", "n", "seed", "stop", "tools",
           "tool_choice", "response_format", "structured_outputs", "logprobs", "top_logprobs", "logit_bias", "user",
           "chat_template_kwargs", "enable_thinking", "thinking", "reasoning_effort", "thinking_token_budget",
           "session_id", "prompt_cache_key", "metadata", "parallel_tool_calls", "priority", "request_id"]  # fmt: skip
_HI = [{"role": "user", "content": "hi"}]
ENDPOINTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "/v1/chat/completions": (
        {"messages": _HI, "max_tokens": 2},
        ["messages", "max_tokens", "max_completion_tokens", "prompt_logprobs", "echo", *_COMMON],
    ),
    "/v1/completions": (
        {"prompt": "hi", "max_tokens": 2},
        ["prompt", "prompt_embeds", "max_tokens", "echo", "suffix", "prompt_logprobs", *_COMMON],
    ),
    "/v1/messages": (
        {"messages": _HI, "max_tokens": 2},
        ["messages", "system", "max_tokens", "stop_sequences", "output_config", *_COMMON],
    ),
    "/v1/messages/count_tokens": ({"messages": _HI}, ["messages", "system", "output_config", *_COMMON]),
    "/v1/responses": (
        {"input": "hi", "max_output_tokens": 2},
        ["input", "instructions", "max_output_tokens", "reasoning", "text", "include", "previous_response_id",
         "background", "store", "truncation", "prompt", "max_tool_calls", *_COMMON],
    ),
    "/v1/route": ({"messages": _HI}, ["messages", "prompt", "input", "system", "reasoning", *_COMMON]),
    "/v1/embeddings": ({"input": "hi"}, ["input", "encoding_format", "dimensions", "model", "user"]),
    "/tokenize": ({"prompt": "hi"}, ["prompt", "messages", "model", "add_special_tokens", "tools"]),
    "/detokenize": ({"tokens": [1]}, ["tokens", "model"]),
}  # fmt: skip
# Endpoints of which nothing but the model is looked at.
OTHERS: tuple[dict[str, Any], list[str]] = (
    {"input": "hi"},
    ["input", "model", "query", "documents", "text_1", "text_2", "stream", "file", "voice", "user"],
)


@st.composite
def bodies(draw: st.DrawFn, path: str, models: tuple[str, ...] = ("auto",)) -> bytes:
    """A body for the endpoint at `path`: a good one with some fields broken, or anything at all."""
    kind = draw(st.sampled_from(["fields"] * 8 + ["any", "bytes"]))
    if kind == "bytes":
        return draw(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
    if kind == "any":
        return json.dumps(draw(VALUES)).encode()
    base, names = ENDPOINTS.get(path, OTHERS)
    body = {"model": draw(st.sampled_from(models)), **base}
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)):
        body[name] = draw(st.one_of(VALUES, st.sampled_from(_NEARLY)))
    if draw(st.integers(0, 9)) == 0:
        body.pop(draw(st.sampled_from(sorted(body))), None)
    return json.dumps(body).encode()
