"""What a request's own protocol fields say about thinking. Knows field names; the ladder knows what they are worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OFF_EFFORTS = frozenset({"none", "minimal"})
ON_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
EFFORT_FIELDS = frozenset({"reasoning_effort", "reasoning.effort", "output_config.effort"})
"""What the protocols call an effort: a profile says what each of its levels means."""


class FieldError(ValueError):
    """A thinking field has a value that cannot be honoured; `param` names the field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class FieldIntent:
    """`off` and `on` name the field that asked for it (empty: none did); `effort` and `budget` (tokens) as given."""

    off: str = ""
    on: str = ""
    effort: str = ""
    budget: int | None = None


NO_FIELDS = FieldIntent()


def chat_fields(body: Mapping[str, Any]) -> FieldIntent:
    """Read the thinking fields of a chat-completions `body` (already decoded values; absent fields are not there).

    An explicit off anywhere beats an on elsewhere, as in Qwen3's template, where `enable_thinking=False` beats all.
    """
    off = on = effort = ""
    budget: int | None = None
    kwargs = body.get("chat_template_kwargs")
    if isinstance(kwargs, dict):
        for name in ("enable_thinking", "thinking"):
            value = kwargs.get(name)
            if value is False:
                off = off or f"chat_template_kwargs.{name}"
            elif value is True:
                on = on or f"chat_template_kwargs.{name}"
    for name in ("enable_thinking", "thinking"):
        value = body.get(name)
        if isinstance(value, dict):  # DeepSeek's and Anthropic's shape: {"type": "enabled" | "disabled"}
            tokens = value.get("budget_tokens")
            if isinstance(tokens, int) and not isinstance(tokens, bool) and tokens > 0:
                budget = tokens
            value = {"disabled": False, "enabled": True, "adaptive": True}.get(str(value.get("type")))
        if value is False:
            off = off or name
        elif value is True:
            on = on or name
    value = body.get("reasoning_effort")
    if value is not None:
        if not isinstance(value, str) or (value not in OFF_EFFORTS and value not in ON_EFFORTS):
            known = "none, minimal, low, medium, high, xhigh, max"
            raise FieldError(f"`reasoning_effort` must be one of {known}.", "reasoning_effort")
        effort = value
        if value in OFF_EFFORTS:
            off = off or "reasoning_effort"
        else:
            on = on or "reasoning_effort"
    value = body.get("thinking_token_budget")
    if value is not None:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise FieldError("`thinking_token_budget` must be an integer of 0 or more.", "thinking_token_budget")
        budget = value
        if budget == 0:
            off = off or "thinking_token_budget"
    if not (off or on or budget is not None):
        return NO_FIELDS
    return FieldIntent(off, on, effort, budget)
