"""What a judge sees of a request."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.approval import is_approval
from router.conversation import ASK_HEAD_CHARS, ASK_TAIL_CHARS, head_and_tail, read_conversation, strip_blocks


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def test_the_ask_is_the_last_thing_a_human_said() -> None:
    conversation = read_conversation([user("Prove it."), assistant("Done."), user("Thanks! What is the weather?")])
    assert conversation.ask == "Thanks! What is the weather?"
    assert conversation.previous == "Prove it."
    assert conversation.turns == 2


@pytest.mark.parametrize(
    "tag", ["system-reminder", "system_reminder", "environment_details", "ide_selection", "command-name"]
)
def test_complete_blocks_are_stripped(tag: str) -> None:
    text = f"<{tag}>Prove the theorem carefully.</{tag}>\nWhat time is it?<{tag} kind='x'>think hard</{tag}>"
    assert read_conversation([user(text)]).ask == "What time is it?"


def test_an_unclosed_block_stays_since_it_may_be_quoted() -> None:
    text = "What does <system-reminder> mean in my prompt?"
    assert read_conversation([user(text)]).ask == text


def test_a_turn_of_reminders_only_is_not_an_ask() -> None:
    turns = [user("Write a haiku."), assistant("…"), user("<system-reminder>todo list is empty</system-reminder>")]
    assert read_conversation(turns).ask == "Write a haiku."


def test_the_query_of_an_editor_wrapper_is_the_ask() -> None:
    text = "<open_files>\nmain.py: def prove(): ...\n</open_files>\n<user_query>\nrename x to y\n</user_query>"
    assert read_conversation([user(text)]).ask == "rename x to y"


@pytest.mark.parametrize("switch", ["/think", "/no_think", "/nothink"])
def test_soft_switches_are_no_part_of_the_ask(switch: str) -> None:
    assert read_conversation([user(f"Add these {switch}")]).ask == "Add these"


def test_a_path_that_looks_like_a_soft_switch_stays() -> None:
    assert read_conversation([user("GET /think/about returns 404")]).ask == "GET /think/about returns 404"


@pytest.mark.parametrize(
    "reply",
    [
        "yes",
        "Go on.",
        "好的",
        "好的，继续",
        "commit it",
        "Yes, please commit and push it",
        "d’accord !",
        "はい、お願いします",
        "ठीक है",
        "продолжай",
        "👍",
        "ok",
        "계속해줘",
        "نعم",
        "tiếp tục",
    ],
)
def test_an_approval_brings_the_work_that_it_approves(reply: str) -> None:
    turns = [
        user("Find the deadlock in our scheduler."),
        assistant("I would trace the locks first. Shall I?"),
        user(reply),
    ]
    conversation = read_conversation(turns)
    assert conversation.ask == reply
    assert "Find the deadlock" in conversation.approved
    assert "trace the locks" in conversation.approved


def test_a_chain_of_approvals_reaches_back_to_the_work() -> None:
    turns = [
        user("Migrate the database."),
        assistant("Step 1 done."),
        user("go on"),
        assistant("Step 2 done."),
        user("yes"),
    ]
    assert "Migrate the database." in read_conversation(turns).approved


def test_an_approval_of_nothing_approves_nothing() -> None:
    assert read_conversation([user("yes")]).approved == ""


@pytest.mark.parametrize("reply", ["thanks", "no", "What is 2+2?", "prove it", "ok so what is the weather", "谢谢"])
def test_an_ask_of_its_own_is_no_approval(reply: str) -> None:
    assert not is_approval(reply)


def test_a_topic_change_leaves_the_old_topic_behind() -> None:
    turns = [user("Prove Fermat's little theorem."), assistant("Proof: …"), user("Now translate 'hello' into French.")]
    conversation = read_conversation(turns)
    assert conversation.ask == "Now translate 'hello' into French."
    assert conversation.approved == ""


@pytest.mark.parametrize(
    "tail",
    [
        [assistant(None, tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}])],
        [assistant(None, tool_calls=[{"id": "1"}]), {"role": "tool", "tool_call_id": "1", "content": "42"}],
        [assistant([{"type": "tool_use", "id": "1"}]), user([{"type": "tool_result", "content": "42"}])],
        [{"type": "function_call_output", "call_id": "1", "output": "42"}],
    ],
)
def test_a_tool_loop_is_seen_and_the_ask_before_it_found(tail: list[dict[str, Any]]) -> None:
    conversation = read_conversation([user("Look up the answer."), *tail], tools=3)
    assert conversation.in_tool_loop
    assert conversation.ask == "Look up the answer."
    assert conversation.tools == 3


def test_a_new_ask_ends_the_tool_loop() -> None:
    turns = [user("Look it up."), assistant(None, tool_calls=[{}]), {"role": "tool", "content": "42"}, user("And now?")]
    assert not read_conversation(turns).in_tool_loop


def test_parts_give_text_and_images() -> None:
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "image_url", "image_url": {}},
        {"type": "input_text", "text": "this?"},
    ]
    conversation = read_conversation([user(parts)])
    assert (conversation.ask, conversation.images) == ("What is\nthis?", 1)


def test_the_system_prompt_is_digested_and_not_mixed_with_the_ask() -> None:
    conversation = read_conversation([{"role": "developer", "content": "Reason deeply. " * 500}, user("hi")])
    assert conversation.ask == "hi"
    assert conversation.system.startswith("Reason deeply.")
    assert len(conversation.system) < 700


def test_a_long_ask_keeps_both_ends() -> None:
    conversation = read_conversation([user("Summarise this. " + "x" * 100_000 + " In French, please.")])
    assert conversation.ask.startswith("Summarise this.")
    assert conversation.ask.endswith("In French, please.")
    assert len(conversation.ask) <= ASK_HEAD_CHARS + ASK_TAIL_CHARS + 8


def test_short_texts_are_left_alone() -> None:
    assert head_and_tail("short", 3, 2) == "short"


@pytest.mark.parametrize(
    "messages",
    [
        None,
        7,
        "hello",
        {},
        [],
        [None],
        [7],
        [[]],
        [{}],
        [{"role": 3}],
        [{"role": "user"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": [None, 3, {"type": 9}, {"type": "text", "text": 8}, ["x"], "y"]}],
        [{"role": None, "type": None, "content": {"text": "x"}}],
        [{"role": "user", "content": "� lone"}],
        b"bytes",
    ],
)
def test_no_shape_raises(messages: Any) -> None:
    conversation = read_conversation(messages)
    assert isinstance(conversation.ask, str)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["user", "tool", "text", "role"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "tool_calls"]) | st.text(max_size=3), inner, max_size=5
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_read_without_an_error(messages: Any) -> None:
    read_conversation(messages)


@pytest.mark.parametrize(
    "text",
    [
        "<system-reminder>" * 60000,
        "<" * 1000000,
        "</x>" * 250000,
        "<task> " * 140000 + "</",
        "yes " * 250000,
        "<system-reminder>x</system-reminder>" * 30000,
        "/think " * 140000,
        "\n" * 1000000,
    ],
)
def test_hostile_megabytes_are_read_in_bounded_time(text: str) -> None:
    started = time.process_time()
    read_conversation([user(text)])
    assert time.process_time() - started < 0.25


def test_ten_thousand_messages_are_read_in_bounded_time() -> None:
    started = time.process_time()
    conversation = read_conversation([user("a"), assistant("b")] * 5_000 + [user("the last")])
    assert conversation.ask == "the last"
    assert time.process_time() - started < 0.25


def test_blocks_are_found_in_any_number() -> None:
    assert strip_blocks("a<system-reminder>1</system-reminder>b<system-reminder>2</system-reminder>c") == "abc"
