"""What the Responses API's own fields say about thinking. Knows field names; the ladder knows what they are worth."""

from collections.abc import Mapping
from typing import Any

from router.fields import FieldError, FieldIntent, chat_fields

_NAME = "reasoning.effort"
_ALSO = ("chat_template_kwargs", "enable_thinking", "thinking", "thinking_token_budget")


def responses_fields(body: Mapping[str, Any]) -> FieldIntent:
    """Read `reasoning.effort`, and vLLM's own fields, of a Responses `body` (decoded values). Raises FieldError."""
    reasoning = body.get("reasoning")
    if reasoning is not None and not isinstance(reasoning, dict):
        raise FieldError("`reasoning` must be an object.", "reasoning")
    effort = None if reasoning is None else reasoning.get("effort")
    try:
        said = chat_fields({**{name: body.get(name) for name in _ALSO}, "reasoning_effort": effort})
    except FieldError as error:
        if error.param != "reasoning_effort":
            raise
        raise FieldError(str(error).replace("reasoning_effort", _NAME), _NAME) from None
    if not said.effort:
        return said
    off, on = (_NAME if name == "reasoning_effort" else name for name in (said.off, said.on))
    return FieldIntent(off, on, said.effort, said.budget)
