"""Families speak of chat completions' fields; here they are said in the Messages API's words, and back.

vLLM makes a chat completion of a Messages request: `thinking` becomes `thinking_token_budget` or `reasoning_effort:
none`, `output_config.effort` becomes `reasoning_effort`. So whatever a family must not forward under one name must not
be forwarded under the other.
"""

from typing import Any

import msgspec

from router.family import Body, Family
from router.mode import Mode

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_MIN_BUDGET = 1024  # the protocol's
_TERMS = ("thinking", "output_config", "reasoning_effort", "thinking_token_budget")
_UNKNOWN_SAMPLING = ("min_p", "presence_penalty", "frequency_penalty", "repetition_penalty")


def prepare(fields: Body, family: Family, mode: Mode | None) -> None:
    """Rewrite a Messages body in place for a backend of `family` in `mode`; the texts are left to the caller."""
    own = {name: fields.pop(name) for name in _TERMS if name in fields}
    thinking = _object(own.get("thinking"))
    config = _object(own.get("output_config"))
    asked = config.pop("effort", None)
    effort = "none" if thinking.get("type") == "disabled" else asked
    budget = thinking.get("budget_tokens")
    if effort is not None:
        fields["reasoning_effort"] = msgspec.Raw(_encode(effort))
    if budget is not None:
        fields["thinking_token_budget"] = msgspec.Raw(_encode(budget))
    given = {name for name in _UNKNOWN_SAMPLING if name in fields}

    family.prepare(fields, mode, messages=None, switch=None)

    for name in _UNKNOWN_SAMPLING:  # defaults of the family that the protocol has no words for
        if name in fields and name not in given:
            del fields[name]
    effort = _take(fields, "reasoning_effort")
    budget = _take(fields, "thinking_token_budget")
    if effort == "none":
        fields["thinking"] = msgspec.Raw(b'{"type":"disabled"}')
    elif budget is not None and budget == thinking.get("budget_tokens"):
        fields["thinking"] = own["thinking"]
    elif isinstance(budget, int) and _MIN_BUDGET <= budget < _limit(fields):
        fields["thinking"] = msgspec.Raw(_encode({**thinking, "type": "enabled", "budget_tokens": budget}))
    elif thinking.get("type") == "adaptive" and mode is Mode.THINKING:
        fields["thinking"] = own["thinking"]
    if effort in _EFFORTS:
        config["effort"] = effort
    if config:
        fields["output_config"] = msgspec.Raw(_encode(config))


def _object(raw: msgspec.Raw | None) -> dict[str, Any]:
    value = None if raw is None else _decode(raw)
    return value if isinstance(value, dict) else {}


def _take(fields: Body, name: str) -> Any:
    raw = fields.pop(name, None)
    return None if raw is None else _decode(raw)


def _limit(fields: Body) -> int:
    limit = _decode(fields["max_tokens"]) if "max_tokens" in fields else None
    return limit if isinstance(limit, int) else 0
