"""Anthropic's words for thinking."""

import pytest

from router.fields import NO_FIELDS, FieldError, FieldIntent
from router.messages_fields import messages_fields

ENABLED = {"type": "enabled", "budget_tokens": 2000}


@pytest.mark.parametrize(
    ("body", "intent"),
    [
        ({}, NO_FIELDS),
        ({"thinking": {"type": "disabled"}}, FieldIntent("thinking")),
        ({"thinking": ENABLED}, FieldIntent("", "thinking", "", 2000)),
        ({"thinking": {"type": "adaptive"}}, FieldIntent("", "thinking")),
        ({"thinking": {"type": "adaptive", "budget_tokens": 5}}, FieldIntent("", "thinking")),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            FieldIntent("", "output_config.effort", "max"),
        ),
        ({"thinking": ENABLED, "output_config": {"effort": "low"}}, FieldIntent("", "thinking", "low", 2000)),
        ({"output_config": {"effort": "high"}}, NO_FIELDS),
        ({"output_config": {"format": {"type": "json_schema"}}}, NO_FIELDS),
        ({"chat_template_kwargs": {"enable_thinking": False}, "thinking": ENABLED},
         FieldIntent("chat_template_kwargs.enable_thinking", "thinking", "", 2000)),
    ],
)  # fmt: skip
def test_intent_is_read(body, intent):
    assert messages_fields(body) == intent


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"thinking": True}, "thinking"),
        ({"thinking": {"type": "sometimes"}}, "thinking"),
        ({"thinking": {}}, "thinking"),
        ({"thinking": []}, "thinking"),
        ({"thinking": {"type": "enabled", "budget_tokens": "many"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": True}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": -1}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "none"}}, "output_config.effort"),
        ({"output_config": {"effort": 3}}, "output_config.effort"),
    ],
)
def test_what_cannot_be_honoured_is_named(body, param):
    with pytest.raises(FieldError) as error:
        messages_fields(body)
    assert error.value.param == param
    assert f"`{param}`" in str(error.value)
