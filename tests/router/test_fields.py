"""What a chat-completions body says about thinking."""

import pytest

from router.fields import FieldError, chat_fields

OFF = [
    ({"chat_template_kwargs": {"enable_thinking": False}}, "chat_template_kwargs.enable_thinking"),
    ({"chat_template_kwargs": {"thinking": False}}, "chat_template_kwargs.thinking"),
    ({"enable_thinking": False}, "enable_thinking"),
    ({"thinking": False}, "thinking"),
    ({"thinking": {"type": "disabled"}}, "thinking"),
    ({"reasoning_effort": "none"}, "reasoning_effort"),
    ({"reasoning_effort": "minimal"}, "reasoning_effort"),
    ({"thinking_token_budget": 0}, "thinking_token_budget"),
]
ON = [
    ({"chat_template_kwargs": {"enable_thinking": True}}, "chat_template_kwargs.enable_thinking"),
    ({"chat_template_kwargs": {"thinking": True}}, "chat_template_kwargs.thinking"),
    ({"enable_thinking": True}, "enable_thinking"),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
    ({"thinking": {"type": "adaptive"}}, "thinking"),
    *[({"reasoning_effort": effort}, "reasoning_effort") for effort in ("low", "medium", "high", "xhigh", "max")],
]


@pytest.mark.parametrize(("body", "name"), OFF, ids=str)
def test_an_explicit_off_is_read_and_named(body, name):
    intent = chat_fields(body)
    assert (intent.off, intent.on) == (name, "")


@pytest.mark.parametrize(("body", "name"), ON, ids=str)
def test_an_explicit_on_is_read_and_named(body, name):
    intent = chat_fields(body)
    assert (intent.off, intent.on) == ("", name)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reasoning_effort": None, "thinking_token_budget": None, "enable_thinking": None, "thinking": None},
        {"chat_template_kwargs": None},
        {"chat_template_kwargs": {}},
        {"chat_template_kwargs": {"enable_thinking": None, "other": True}},
        {"thinking": {"type": "unknown"}},
        {"enable_thinking": "false"},
    ],
    ids=str,
)
def test_fields_that_say_nothing_settle_nothing(body):
    intent = chat_fields(body)
    assert (intent.off, intent.on, intent.budget) == ("", "", None)


def test_off_and_on_may_both_be_there_and_both_are_told():
    intent = chat_fields({"enable_thinking": False, "reasoning_effort": "high"})
    assert intent.off == "enable_thinking"
    assert intent.on == "reasoning_effort"


def test_a_budget_above_zero_is_kept_and_turns_nothing_on_or_off():
    intent = chat_fields({"thinking_token_budget": 512})
    assert (intent.budget, intent.off, intent.on) == (512, "", "")


@pytest.mark.parametrize("value", ["enormous", "", 3, True, ["low"], {}])
def test_an_unknown_effort_is_refused_by_name(value):
    with pytest.raises(FieldError) as caught:
        chat_fields({"reasoning_effort": value})
    assert caught.value.param == "reasoning_effort"


@pytest.mark.parametrize("value", [-1, 1.5, "100", True, False, [1]])
def test_an_impossible_budget_is_refused_by_name(value):
    with pytest.raises(FieldError) as caught:
        chat_fields({"thinking_token_budget": value})
    assert caught.value.param == "thinking_token_budget"
