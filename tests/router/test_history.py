"""Earlier thinking: what is taken out of a conversation, what stays, and that nothing else is touched."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.history import History, tidy, without_thinking

USER = {"role": "user", "content": "q"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def assistant(content="a", **more):
    return {"role": "assistant", "content": content, **more}


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("<think>\nhm\n</think>\n\nanswer", "answer"),
        ("\n <think>hm</think>answer", "answer"),
        ("<think></think>\nanswer", "answer"),
        ("hm\n</think>\n\nanswer", "answer"),
        ("hm\nhm\n</think>", ""),
        ("</think>\n\nanswer", "answer"),
        ("<think>a</think>b<think>c</think>", "b<think>c</think>"),
        ("<think>never closed", "<think>never closed"),
        ("Write `<think>x</think>` around it.", "Write `<think>x</think>` around it."),
        ("The tag </think> closes.", "The tag </think> closes."),
        ("answer", "answer"),
        ("", ""),
    ],
)
def test_only_a_block_that_leads_the_text_is_thinking(text, clean):
    assert without_thinking(text) == clean


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("history", [History.ANSWERS, History.TOOL_LOOP])
def test_thinking_of_earlier_turns_is_taken_out(name, history):
    assert tidy([USER, assistant(**{name: "hm"}), USER], history) == [USER, assistant(), USER]
    assert tidy([USER, assistant("<think>hm</think>\n\na"), USER], history) == [USER, assistant(), USER]


def test_a_family_that_wants_everything_gets_everything():
    assert tidy([USER, assistant(reasoning="hm"), USER], History.KEEP) is None


@pytest.mark.parametrize("history", list(History))
def test_a_conversation_without_thinking_is_not_written_anew(history):
    messages = [{"role": "system", "content": "s"}, USER, assistant(), assistant(None, tool_calls=[CALL]), USER]
    assert tidy(messages, history) is None


def test_messages_that_hold_no_thinking_are_the_same_objects():
    messages = [USER, assistant(reasoning="hm"), USER, assistant("b"), USER]
    out = tidy(messages, History.ANSWERS)
    assert [a is b for a, b in zip(out, messages, strict=True)] == [True, False, True, True, True]
    assert messages[1]["reasoning"] == "hm"  # the client's own message is not changed


@pytest.mark.parametrize(
    ("given_", "named"),
    [
        ({"reasoning": "plan"}, "plan"),
        ({"reasoning_content": "plan"}, "plan"),
        ({"reasoning": "x", "reasoning_content": "y"}, "x"),
    ],
)
def test_a_tool_loop_under_way_keeps_its_thinking_under_both_names(given_, named):
    loop = [USER, assistant("", tool_calls=[CALL], **given_), {"role": "tool", "content": "42", "tool_call_id": "c"}]
    out = tidy(loop, History.TOOL_LOOP) or loop
    assert out[1]["reasoning"] == named
    assert isinstance(out[1]["reasoning_content"], str)


def test_thinking_before_the_loop_goes_and_in_it_stays():
    messages = [USER, assistant(reasoning="old"), USER, assistant(reasoning="new", tool_calls=[CALL]), {"role": "tool"}]
    out = tidy(messages, History.TOOL_LOOP)
    assert "reasoning" not in out[1]
    assert out[3]["reasoning"] == "new"


def test_a_tool_s_result_in_a_user_s_message_does_not_end_the_loop():
    messages = [USER, assistant(reasoning="r"), {"role": "user", "content": "<tool_response>\n1\n</tool_response>"}]
    assert tidy(messages, History.TOOL_LOOP)[1]["reasoning"] == "r"


def test_where_only_answers_are_wanted_the_loop_s_thinking_goes_too():
    loop = [USER, assistant("", reasoning="plan", tool_calls=[CALL]), {"role": "tool", "content": "42"}]
    assert tidy(loop, History.ANSWERS)[1] == assistant("", tool_calls=[CALL])


def test_parts_of_thinking_go_and_the_first_text_loses_its_block():
    content = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "<think>hm</think>\nanswer"},
        {"type": "text", "text": "<think>quoted</think>"},
    ]
    out = tidy([USER, assistant(content), USER], History.ANSWERS)
    assert out[1]["content"] == [{"type": "text", "text": "answer"}, {"type": "text", "text": "<think>quoted</think>"}]


@pytest.mark.parametrize("history", list(History))
def test_an_answer_that_is_to_be_continued_is_left_alone(history):
    assert tidy([USER, assistant("<think>hm</think>so", reasoning="hm")], history) is None


def test_nothing_that_a_user_says_is_touched():
    said = [{"role": role, "content": "<think>a</think>b", "reasoning": "r"} for role in ("user", "system", "tool")]
    assert tidy(said, History.ANSWERS) is None


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["assistant", "user", "</think>", "<think>", "\n"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "reasoning", "type", "text"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(json, max_size=5), st.sampled_from(list(History)))
def test_no_shape_raises_and_nothing_given_is_changed(messages, history):
    before = copy.deepcopy(messages)
    out = tidy(messages, history)
    assert messages == before
    assert out is None or len(out) == len(messages)
    assert out is None or tidy(out, history) is None or history is History.ANSWERS


@given(st.text(alphabet="<>/think\n a`", max_size=60))
def test_what_is_left_of_a_text_is_its_end(text):
    assert text.endswith(without_thinking(text))
