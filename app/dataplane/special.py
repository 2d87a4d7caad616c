"""What an answer needs beyond the usual relay: tags to be read, a budget, a rescue, a watch. Most have none."""

from typing import Any

import msgspec

from app.errors import GatewayError
from router.decision import RouteRequest
from router.family import Body, Family
from router.mode import Mode
from router.policies.escalation import Escalation
from router.tags import TagReader

_TRUE = msgspec.Raw(b"true")


class Special(msgspec.Struct, frozen=True):
    """`told` is the mode that the backend is told (None: it judges itself), `begun` the client's own beginning of the
    answer. `budget` is the most tokens of thinking (None: no limit), `rescue_tokens` the most tokens of an answer that
    thinking has left no room for (0: none is given). `draft` says how the answer is watched and perhaps dropped (None:
    not at all)."""

    family: Family
    ask: RouteRequest
    told: Mode | None
    begun: str = ""
    budget: int | None = None
    rescue_tokens: int = 0
    draft: Escalation | None = None

    def reader(self) -> TagReader:
        """A fresh reader of one choice."""
        if self.begun:
            reader = self.family.reader(self.told, prefilled=False)
            reader.feed(self.begun)
            return reader
        return self.family.reader(self.told)


def refuses_budget(special: Special | None, error: GatewayError) -> bool:
    """Does the error say that the server knows no thinking budgets, and was there one?

    vLLM without a reasoning parser: `thinking_token_budget is set but reasoning_config is not configured.`
    """
    return special is not None and special.budget is not None and "reasoning_config" in str(error)


def begun_answer(messages: list[dict[str, Any]], fields: Body) -> str:
    """The answer as far as the client has begun it itself, with `continue_final_message`; else empty."""
    last = messages[-1] if messages else {}
    content = last.get("content")
    if last.get("role") != "assistant" or fields.get("continue_final_message") != _TRUE:
        return ""
    return content if isinstance(content, str) else ""


def asks_logprobs(fields: Body) -> bool:
    """Has the client itself asked for log-probabilities?"""
    return fields.get("logprobs") == _TRUE
