"""From an exchange that is over to its record in the decision log. Knows both; knows no store."""

from time import time
from typing import TYPE_CHECKING

from app.decisions.record import PROMPT_CHARS, DecisionRecord

if TYPE_CHECKING:
    from app.dataplane.routed import RoutedExchange


def record_of(exchange: "RoutedExchange", status: int, duration_s: float, with_prompt: bool) -> DecisionRecord:
    """The record of a request that got `status` after `duration_s` seconds."""
    plan, usage, thought = exchange.plan, exchange.usage, exchange.thought
    routing = plan.routing
    decision = routing.decision
    return DecisionRecord(  # by position: names would double the cost
        routing.decision_id,
        time(),
        exchange.tenant,
        exchange.api,
        plan.request.model,
        decision.profile,
        routing.mode,
        routing.reason,
        decision.because,
        decision.score,
        decision.threshold,
        decision.judge,
        routing.pool,
        routing.model,
        routing.fallback_from,
        status,
        plan.request.stream,
        None if usage is None else usage.prompt_tokens,
        None if usage is None else thought,
        None if usage is None else max(0, usage.completion_tokens - thought),
        exchange.first_token_s - exchange.started_s if exchange.first_token_s else None,
        duration_s,
        plan.judge_s,
        plan.conversation.ask[:PROMPT_CHARS] if with_prompt else None,
        decision.propensity if routing.mode is decision.mode else None,  # a fallback is nobody's choice
    )
