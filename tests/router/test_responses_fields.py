"""The Responses API's words for thinking."""

import pytest

from router.fields import NO_FIELDS, FieldError, FieldIntent
from router.responses_fields import responses_fields


@pytest.mark.parametrize(
    ("body", "intent"),
    [
        ({}, NO_FIELDS),
        ({"reasoning": None}, NO_FIELDS),
        ({"reasoning": {}}, NO_FIELDS),
        ({"reasoning": {"summary": "auto"}}, NO_FIELDS),
        ({"reasoning": {"effort": None}}, NO_FIELDS),
        ({"reasoning": {"effort": "none"}}, FieldIntent("reasoning.effort", "", "none")),
        ({"reasoning": {"effort": "minimal"}}, FieldIntent("reasoning.effort", "", "minimal")),
        ({"reasoning": {"effort": "medium"}}, FieldIntent("", "reasoning.effort", "medium")),
        ({"reasoning_effort": "none"}, NO_FIELDS),
        ({"chat_template_kwargs": {"enable_thinking": False}}, FieldIntent("chat_template_kwargs.enable_thinking")),
        ({"reasoning": {"effort": "high"}, "thinking_token_budget": 7}, FieldIntent("", "reasoning.effort", "high", 7)),
        (
            {"reasoning": {"effort": "high"}, "enable_thinking": False},
            FieldIntent("enable_thinking", "reasoning.effort", "high"),
        ),
    ],
)
def test_intent_is_read(body, intent):
    assert responses_fields(body) == intent


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": "enormous"}}, "reasoning.effort"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"thinking_token_budget": -1}, "thinking_token_budget"),
    ],
)
def test_what_cannot_be_honoured_is_named(body, param):
    with pytest.raises(FieldError) as error:
        responses_fields(body)
    assert error.value.param == param
    assert f"`{param}`" in str(error.value)
