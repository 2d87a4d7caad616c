"""What the Anthropic Messages API's own fields say about thinking. Knows field names; the ladder knows their worth."""

from collections.abc import Mapping
from typing import Any

from router.fields import NO_FIELDS, ON_EFFORTS, FieldError, FieldIntent, chat_fields


def messages_fields(body: Mapping[str, Any]) -> FieldIntent:
    """Read `thinking`, `output_config.effort` and vLLM's `chat_template_kwargs` of a Messages `body` (decoded values).

    An effort alone asks for nothing: it says how much to think, if at all. With `thinking: {"type": "adaptive"}` it is
    what a profile's effort setting looks at. Raises FieldError.
    """
    said = chat_fields({"chat_template_kwargs": body.get("chat_template_kwargs")})
    off, on, budget = said.off, said.on, None
    effort = _effort(body.get("output_config"))
    thinking = body.get("thinking")
    if thinking is not None:
        kind = thinking.get("type") if isinstance(thinking, dict) else None
        if kind not in ("disabled", "enabled", "adaptive"):
            raise FieldError(
                '`thinking` must be an object with `type`: "enabled", "disabled" or "adaptive".', "thinking"
            )
        if kind == "disabled":
            off = off or "thinking"
        else:
            on = on or ("output_config.effort" if kind == "adaptive" and effort else "thinking")
        if kind == "enabled":
            budget = thinking.get("budget_tokens")
            if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 0):
                raise FieldError("`thinking.budget_tokens` must be an integer of 0 or more.", "thinking.budget_tokens")
    if not (off or on or budget is not None):
        return NO_FIELDS
    return FieldIntent(off, on, effort, budget)


def _effort(config: Any) -> str:
    effort = config.get("effort") if isinstance(config, dict) else None
    if effort is None:
        return ""
    if not isinstance(effort, str) or effort not in ON_EFFORTS:
        raise FieldError("`output_config.effort` must be one of low, medium, high, xhigh, max.", "output_config.effort")
    return effort
