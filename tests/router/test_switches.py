"""The soft switches: where they count, and what is left when they are taken out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.mode import Mode
from router.switches import last_switch, strip_switches, switch_in, without_switches

COUNTS = [
    ("/think", Mode.THINKING),
    ("/no_think", Mode.INSTRUCT),
    ("/nothink", None),
    ("What is 2+2? /no_think", Mode.INSTRUCT),
    ("/think What is 2+2?", Mode.THINKING),
    ("first line\n/think\nlast line", Mode.THINKING),
    ("please (/think) about it", Mode.THINKING),
    ("please /think.", Mode.THINKING),
    ("really /no_think!", Mode.INSTRUCT),
    ("你好/think", Mode.THINKING),
    ("请回答/no_think谢谢", Mode.INSTRUCT),
    ("请回答。/no_think", Mode.INSTRUCT),
    ("/think,然后回答", Mode.THINKING),
    ("안녕 /think", Mode.THINKING),
    ("/think then /no_think", Mode.INSTRUCT),
    ("/no_think then /think", Mode.THINKING),
    ("`/no_think` but /think", Mode.THINKING),
]
COUNTS_NOT = [
    "",
    "think",
    "no_think",
    "I /thinking",
    "/think_more",
    "/think/about",
    "see /think/about please",
    "https://example.com/think",
    "https://example.com/no_think?x=1",
    "path/think",
    "a/no_think",
    "`/think`",
    "``/no_think``",
    "```\n/think\n```",
    "```sh\ncd /x\n/no_think\n``` done",
    "```\n/think without an end",
    "~~~\n/think\n~~~",
    "/THINK",
    "//think",
    "/think.py",
    '"/think"',
]


@pytest.mark.parametrize(("text", "mode"), COUNTS)
def test_a_switch_that_is_a_word_of_its_own_counts_and_the_last_one_wins(text, mode):
    assert switch_in(text) is mode


@pytest.mark.parametrize("text", COUNTS_NOT)
def test_what_only_looks_like_a_switch_neither_counts_nor_is_touched(text):
    assert switch_in(text) is None
    assert strip_switches(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("What is 2+2? /no_think", "What is 2+2?"),
        ("/think What is 2+2?", "What is 2+2?"),
        ("one /think two", "one two"),
        ("a\n/think\nb", "a\n\nb"),
        ("a /think\nb", "a\nb"),
        ("/think", ""),
        ("  indented\n\n/no_think", "  indented\n\n"),
        ("x /think y /no_think z", "x y z"),
        ("请回答/no_think谢谢", "请回答谢谢"),
        ("keep `/think` but not /think", "keep `/think` but not"),
    ],
)
def test_stripping_takes_the_switch_and_its_spaces_and_nothing_else(text, left):
    assert strip_switches(text) == left


words = st.one_of(
    st.text(alphabet="abc /`~\n\t.,好。_", max_size=12),
    st.sampled_from(["/think", "/no_think", " /think ", "```", "`", "\n", "思考", "/think/about", "http://h/think"]),
)
texts = st.lists(words, max_size=8).map("".join)


@given(texts)
def test_a_text_without_switches_is_unchanged(text):
    if switch_in(text) is None:
        assert strip_switches(text) == text


@given(st.text())
def test_any_text_that_does_not_hold_the_word_is_unchanged(text):
    if "think" not in text:
        assert strip_switches(text) == text


@given(st.lists(st.sampled_from(["a", "好", "b.", "/think", "/no_think"]), max_size=8).map(" ".join))
def test_stripping_twice_is_stripping_once(text):
    once = strip_switches(text)
    assert strip_switches(once) == once
    assert switch_in(once) is None


def message(role, content):
    return {"role": role, "content": content}


def test_the_latest_message_with_a_switch_wins():
    messages = [
        message("user", "/think a"),
        message("assistant", "ok"),
        message("user", "b /no_think"),
        message("user", "c"),
    ]
    assert last_switch(messages) is Mode.INSTRUCT


@pytest.mark.parametrize("role", ["system", "developer", "user"])
def test_switches_count_in_what_people_and_operators_write(role):
    assert last_switch([message(role, "/think"), message("user", "hello")]) is Mode.THINKING


@pytest.mark.parametrize("role", ["assistant", "tool", "function"])
def test_switches_do_not_count_in_what_models_and_tools_write(role):
    messages = [message("user", "hello"), message(role, "/think")]
    assert last_switch(messages) is None
    assert without_switches(messages) == messages


def test_content_parts_are_read_from_the_last_to_the_first():
    parts = [
        {"type": "text", "text": "/think"},
        {"type": "image_url", "image_url": {}},
        {"type": "text", "text": "/no_think x"},
    ]
    assert last_switch([message("user", parts)]) is Mode.INSTRUCT


def test_stripping_content_parts_leaves_other_parts_and_members_alone():
    image = {"type": "image_url", "image_url": {"url": "http://h/think"}}
    parts = [{"type": "text", "text": "a /think", "cache": 1}, image]
    original = [message("user", parts), {"role": "assistant", "content": None, "tool_calls": []}]
    cleaned = without_switches(original)
    assert cleaned[0]["content"] == [{"type": "text", "text": "a", "cache": 1}, image]
    assert cleaned[1] is original[1]
    assert parts[0]["text"] == "a /think", "the request's own messages must not change"


@pytest.mark.parametrize(
    "messages", [[None], [1], [{}], [{"role": "user"}], [message("user", 7)], [message("user", [1, {"text": 2}])]]
)
def test_odd_messages_never_raise(messages):
    assert last_switch(messages) is None
    assert without_switches(messages) == messages
