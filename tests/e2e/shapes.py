"""Requests of every shape, to be sent to the gateway and to the backend itself. Knows fields; sends nothing.

All are greedy and seeded, so that two answers to one request are the same.
"""

from dataclasses import dataclass, field
from typing import Any

GREEDY = {"temperature": 0, "seed": 7}
ASK = "Last digit, left to right: 7 +5 *3 -8 *7"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # 1 x 1
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Lima", "Oslo"]}},
    "required": ["city"],
}


@dataclass(frozen=True)
class Shape:
    """One request; `status` is what the backend itself answers, as far as it is told here (0: any)."""

    name: str
    path: str
    body: Any
    model: str
    content: bytes | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def stream(self) -> bool:
        return isinstance(self.body, dict) and self.body.get("stream") is True


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


CALLED = [
    *user("weather?"),
    {"role": "assistant", "content": None,
     "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Lima"}'}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
]  # fmt: skip
FUNCTION = {"type": "function", "function": {"name": "weather", "description": "w", "parameters": PARAMETERS}}
CHAT = {
    "plain": {},
    "whole": {"max_tokens": 80},
    "system": {"messages": [{"role": "system", "content": "Be brief."}, *user(ASK)]},
    "history": {"messages": [*user("Hello"), {"role": "assistant", "content": "Hello!"}, *user(ASK)]},
    "parts": {"messages": user([{"type": "text", "text": "Last digit: "}, {"type": "text", "text": "3 +4"}])},
    "chinese": {"messages": user("你好")},
    "switch": {"messages": user("Hello /think")},
    "n": {"n": 2},
    "logprobs": {"logprobs": True, "top_logprobs": 2, "max_tokens": 5},
    "prompt_logprobs": {"prompt_logprobs": 1, "max_tokens": 2},
    "stop": {"stop": ["="]},
    "stop_token": {"stop_token_ids": [10], "include_stop_str_in_output": True},
    "length": {"max_tokens": 3},
    "max_completion_tokens": {"max_tokens": None, "max_completion_tokens": 4},
    "json_schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}},
    "json_object": {"response_format": {"type": "json_object"}, "max_tokens": 20},
    "regex": {"structured_outputs": {"regex": "[0-9]{3}"}},
    "choice": {"structured_outputs": {"choice": ["yes", "no"]}},
    "tool_required": {"tools": [FUNCTION], "tool_choice": "required"},
    "tool_named": {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
    "tool_auto": {"tools": [FUNCTION], "tool_choice": "auto"},
    "tool_none": {"tools": [FUNCTION], "tool_choice": "none"},
    "tool_result": {"messages": CALLED, "tools": [FUNCTION]},
    "penalties": {"presence_penalty": 0.5, "frequency_penalty": 0.5, "repetition_penalty": 1.1},
    "logit_bias": {"logit_bias": {"15": 5}, "max_tokens": 5},
    "bad_words": {"bad_words": ["7"], "max_tokens": 20},
    "token_ids": {"return_token_ids": True, "max_tokens": 3},
    "all_token_ids": {"return_token_ids": True, "max_tokens": 80},
    "unknown_field": {"frobnicate": {"x": 1}},
    "metadata": {"metadata": {"a": "b"}, "user": "u", "priority": 0},
    "include_reasoning": {"include_reasoning": False},
    "prefix": {"messages": [*user(ASK), {"role": "assistant", "content": "7"}], "continue_final_message": True,
               "add_generation_prompt": False},
    "cache_salt": {"cache_salt": "salt"},
    "min_tokens": {"min_tokens": 30, "max_tokens": 40},
}  # fmt: skip
CHAT_STREAM = {
    "usage": {"stream_options": {"include_usage": True}},
    "continuous_usage": {"stream_options": {"include_usage": True, "continuous_usage_stats": True}, "max_tokens": 5},
}
COMPLETIONS = {
    "plain": {},
    "batch": {"prompt": ["Hello", ASK]},
    "tokens": {"prompt": [64, 65, 66]},
    "token_batch": {"prompt": [[64, 65], [66]]},
    "n": {"n": 3},
    "batch_n": {"prompt": ["Hello", "3 +4"], "n": 2},
    "echo": {"echo": True},
    "echo_logprobs": {"echo": True, "logprobs": 1, "max_tokens": 2},
    "logprobs": {"logprobs": 2},
    "stop": {"stop": ["5"]},
    "length": {"max_tokens": 1},
    "default_length": {"max_tokens": None},
    "regex": {"structured_outputs": {"regex": "[0-9]{3}"}},
    "think": {"structured_outputs": {"regex": "so</think>[0-9]"}},
    "json_schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}},
    "logit_bias": {"logit_bias": {"15": 5}},
    "penalties": {"presence_penalty": 0.5, "frequency_penalty": 0.5},
    "unknown_field": {"frobnicate": 1},
    "prompt_logprobs": {"prompt_logprobs": 1},
    "token_ids": {"return_token_ids": True},
}  # fmt: skip
TOOL = {"name": "weather", "description": "w", "input_schema": PARAMETERS}
USED = [
    *user("weather?"),
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Lima"}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}]},
]
THOUGHT = [
    *user("Hello"),
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "A greeting.", "signature": "s"},
                                      {"type": "text", "text": "Hello!"}]},
    *user(ASK),
]  # fmt: skip
MESSAGES = {
    "plain": {},
    "whole": {"max_tokens": 80},
    "system": {"system": "Be brief."},
    "system_blocks": {"system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
    "blocks": {"messages": user([{"type": "text", "text": "Last digit: 3 +4"}])},
    "history": {"messages": [*user("Hello"), {"role": "assistant", "content": "Hello!"}, *user(ASK)]},
    "thought": {"messages": THOUGHT},
    "length": {"max_tokens": 3},
    "stop": {"stop_sequences": ["="]},
    "top": {"top_k": 5, "top_p": 0.9},
    "tool_any": {"tools": [TOOL], "tool_choice": {"type": "any"}},
    "tool_named": {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "weather"}},
    "tool_auto": {"tools": [TOOL], "tool_choice": {"type": "auto"}},
    "tool_none": {"tools": [TOOL], "tool_choice": {"type": "none"}},
    "tool_used": {"messages": USED, "tools": [TOOL]},
    "json_schema": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "effort": {"output_config": {"effort": "low"}},
    "adaptive": {"thinking": {"type": "adaptive"}},
    "disabled": {"thinking": {"type": "disabled"}},
    "metadata": {"metadata": {"user_id": "u"}},
    "chinese": {"messages": user("你好")},
}  # fmt: skip
ITEM = {"type": "function", "name": "weather", "description": "w", "parameters": PARAMETERS}
ITEMS = [
    {"role": "user", "content": "weather?"},
    {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Lima"}'},
    {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
]
RESPONSES = {
    "plain": {},
    "whole": {"max_output_tokens": 80},
    "instructions": {"instructions": "Be brief."},
    "items": {"input": [{"role": "user", "content": [{"type": "input_text", "text": ASK}]}]},
    "history": {"input": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello!"},
                          {"role": "user", "content": ASK}]},
    "length": {"max_output_tokens": 3},
    "top": {"top_k": 5, "top_p": 0.9},
    "effort": {"reasoning": {"effort": "low"}},
    "effort_none": {"reasoning": {"effort": "none"}},
    "summary": {"reasoning": {"summary": "auto"}},
    "tool_required": {"tools": [ITEM], "tool_choice": "required"},
    "tool_named": {"tools": [ITEM], "tool_choice": {"type": "function", "name": "weather"}},
    "tool_auto": {"tools": [ITEM], "tool_choice": "auto"},
    "tool_used": {"input": ITEMS, "tools": [ITEM]},
    "json_schema": {"text": {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA}}},
    "logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 2, "max_output_tokens": 5},
    "metadata": {"metadata": {"a": "b"}, "user": "u"},
    "store": {"store": False},
    "unknown_field": {"frobnicate": 1},
    "include_reasoning": {"include_reasoning": False},
    "chinese": {"input": "你好"},
}  # fmt: skip
APIS: dict[str, tuple[str, dict[str, Any], dict[str, dict[str, Any]]]] = {
    "chat": ("/v1/chat/completions", {"messages": user(ASK), "max_tokens": 24, **GREEDY}, CHAT),
    "completions": ("/v1/completions", {"prompt": ASK, "max_tokens": 8, **GREEDY}, COMPLETIONS),
    "messages": ("/v1/messages", {"messages": user(ASK), "max_tokens": 24, "temperature": 0}, MESSAGES),
    "responses": ("/v1/responses", {"input": ASK, "max_output_tokens": 24, **GREEDY}, RESPONSES),
}
# What the backend refuses; the gateway may refuse it itself, with the same status.
BAD: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "chat": [("no_messages", {"messages": []}), ("role", {"messages": [{"role": 3, "content": "x"}]}),
             ("temperature", {"temperature": -1}), ("top_p", {"top_p": 2}), ("max_tokens", {"max_tokens": "x"}),
             ("too_long", {"max_tokens": 100_000}), ("n", {"n": 0}), ("tools", {"tools": 3}),
             ("stream_options", {"stream_options": {"include_usage": True}}), ("effort", {"reasoning_effort": "vast"}),
             ("image", {"messages": user([{"type": "image_url",
                                           "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}])}),
             ("tool_choice", {"tool_choice": "required"}), ("logprobs", {"logprobs": True, "top_logprobs": 100})],
    "completions": [("no_prompt", {"prompt": None}), ("empty_prompt", {"prompt": ""}), ("mixed", {"prompt": ["a", 1]}),
                    ("temperature", {"temperature": -1}), ("too_long", {"max_tokens": 100_000}), ("n", {"n": "x"}),
                    ("token", {"prompt": [-1]}), ("logprobs", {"logprobs": 100}), ("top_p", {"top_p": 2})],
    "messages": [("no_messages", {"messages": []}), ("no_max_tokens", {"max_tokens": None}),
                 ("max_tokens", {"max_tokens": 0}), ("too_long", {"max_tokens": 100_000}),
                 ("role", {"messages": [{"role": "tool", "content": "x"}]}), ("thinking", {"thinking": {"type": "x"}}),
                 ("budget", {"thinking": {"type": "enabled", "budget_tokens": 5}}), ("tools", {"tools": 3}),
                 ("content", {"messages": user(None)}), ("temperature", {"temperature": "hot"}),
                 ("tool_choice", {"tools": [TOOL], "tool_choice": {"type": "tool"}}),
                 ("image", {"messages": user([{"type": "image", "source": {
                     "type": "base64", "media_type": "image/png", "data": PIXEL}}])})],
    "responses": [("no_input", {"input": None}), ("input", {"input": 3}), ("temperature", {"temperature": "hot"}),
                  ("effort", {"reasoning": {"effort": "vast"}}), ("tools", {"tools": 3}),
                  ("tool_choice", {"tool_choice": "required"}), ("prompt", {"prompt": {"id": "p"}}),
                  ("penalty", {"presence_penalty": 9}), ("background", {"background": True, "store": False}),
                  ("previous", {"previous_response_id": "resp_nope"})],
}  # fmt: skip
RAW = {"empty": b"", "half": b'{"model": "x", ', "array": b"[]", "text": b'"x"', "utf8": b'{"model":"\xff"}'}


def shapes() -> list[Shape]:
    """Every protocol, with and without a stream, on both models; then what is refused, and what is passed through."""
    made = []
    for api, (path, base, options) in APIS.items():
        for model in ("mini-instruct", "mini-thinking"):
            for stream in (False, True):
                more = {**options, **(CHAT_STREAM if stream and api in ("chat", "completions") else {})}
                for name, change in more.items():
                    body = {"model": model, **base, **change, **({"stream": True} if stream else {})}
                    body = {key: value for key, value in body.items() if value is not None}
                    kind = "stream" if stream else "whole"
                    made.append(Shape(f"{api}-{model[5:]}-{kind}-{name}", path, body, model, status=0))
        for stream in (False, True):
            for name, change in BAD[api]:
                if name == "stream_options" and stream:
                    continue
                body = {"model": "mini-thinking", **base, **change, **({"stream": True} if stream else {})}
                body = {key: value for key, value in body.items() if value is not None}
                status = 404 if name == "previous" else 400
                kind = "stream" if stream else "whole"
                made.append(Shape(f"{api}-bad-{kind}-{name}", path, body, "mini-thinking", status=status))
        for name, content in RAW.items():
            made.append(Shape(f"{api}-raw-{name}", path, None, "mini-thinking", content, 400))
        unknown = {"model": "nope", **base}
        made.append(Shape(f"{api}-unknown-model", path, unknown, "mini-thinking", status=404))
    return made + _passed()


def _passed() -> list[Shape]:
    made = []
    for model in ("mini-instruct", "mini-thinking"):
        count, tokenize, detokenize = "/v1/messages/count_tokens", "/tokenize", "/detokenize"
        bodies = [
            ("count", count, {"messages": user(ASK)}, 200),
            ("count-tools", count, {"messages": user(ASK), "system": "Be brief.", "tools": [TOOL]}, 200),
            ("count-bad", count, {"messages": 3}, 400),
            ("tokenize", tokenize, {"prompt": "Hello"}, 200),
            ("tokenize-chat", tokenize, {"messages": user(ASK), "return_token_strs": True}, 200),
            ("tokenize-bad", tokenize, {"prompt": 3}, 400),
            ("detokenize", detokenize, {"tokens": [64, 65]}, 200),
            ("detokenize-bad", detokenize, {"tokens": ["x"]}, 400),
            ("embeddings", "/v1/embeddings", {"input": "x"}, 404),
            ("score", "/v1/score", {"text_1": "a", "text_2": "b"}, 404),
            ("rerank", "/v1/rerank", {"query": "a", "documents": ["b"]}, 404),
            ("pooling", "/pooling", {"input": "x"}, 404),
            ("classify", "/classify", {"input": "x"}, 404),
        ]
        for name, path, body, status in bodies:
            made.append(Shape(f"passed-{model[5:]}-{name}", path, {"model": model, **body}, model, status=status))
    return made
