"""Thinking read out of text by its tags: however it is cut into pieces, the same words come out."""

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.family import Family
from router.mode import Mode
from router.tags import GRAMMARS, JUDGE_CHARS, Part, TagReader

INSTRUCT, THINKING = Mode.INSTRUCT, Mode.THINKING


def read(text, grammar="kat-v1", cuts=(), begins=""):
    """(reasoning, content, the judge's words, verdict), read from `text` cut at the given places."""
    reader = TagReader(GRAMMARS[grammar])
    reader.feed(begins)
    pieces = []
    places = [0, *sorted(cuts), len(text)]
    for a, b in pairwise(places):
        pieces += reader.feed(text[a:b])
    pieces += reader.finish()
    assert reader.decided
    assert all(text for _, text in pieces)
    joined = {part: "".join(text for kind, text in pieces if kind is part) for part in Part}
    assert not joined[Part.JUDGE]
    return joined[Part.REASONING], joined[Part.CONTENT], reader.judge, reader.verdict


EASY = "<judge>\nA greeting; no reasoning is needed.\n</judge>\n\n<think_off>\n<answer>\nHello!\n</answer>"
HARD = "<judge>\nSeveral steps.\n</judge>\n\n<think_on>\n<think>\n7+5=2\n2*3=6\n</think>\n\n<answer>\n6\n</answer>\n"


@pytest.mark.parametrize(
    ("text", "reasoning", "content", "judge", "verdict"),
    [
        (EASY, "", "Hello!", "A greeting; no reasoning is needed.", INSTRUCT),
        (HARD, "7+5=2\n2*3=6", "6", "Several steps.", THINKING),
        # closing tags missing
        ("<judge>Easy.<think_off><answer>Hi", "", "Hi", "Easy.", INSTRUCT),
        ("<judge>Easy.\n<answer>Hi", "", "Hi", "Easy.", None),
        ("<think_on><think>hm\n<answer>42", "hm", "42", "", THINKING),
        ("<think_on><think>hm</think>42", "hm", "42", "", THINKING),
        ("<think_on>hm</think>42", "hm", "42", "", THINKING),
        # opening tags missing
        ("<think_off>Hi", "", "Hi", "", INSTRUCT),
        ("<think>hm</think>\n\n42", "hm", "42", "", None),
        ("<answer>42</answer>", "", "42", "", None),
        # other orders
        ("<judge>Hard <think_on></judge><think>hm</think><answer>42</answer>", "hm", "42", "Hard", THINKING),
        ("<think_off></think_off><think></think><answer>Hi</answer>", "", "Hi", "", INSTRUCT),
        # no tags at all
        ("Hello!", "", "Hello!", "", None),
        ("  \n 1 < 2 and <b>bold</b>", "", "  \n 1 < 2 and <b>bold</b>", "", None),
        ("\n\n", "", "\n\n", "", None),
        ("", "", "", "", None),
        # cut off
        ("<judge>Let me see", "Let me see", "", "Let me see", None),
        ("<think_on><think>let me se", "let me se", "", "", THINKING),
        ("<think_off><answer>Hel", "", "Hel", "", INSTRUCT),
        ("<think_off><answer>a </ans", "", "a </ans", "", INSTRUCT),
        # code and prose
        ("<answer>Use `</answer>` or <think_on>.</answer>", "", "Use `</answer>` or <think_on>.", "", None),
        ("<answer>```\n</answer>\n```\n</answer>", "", "```\n</answer>\n```", "", None),
        ("<think>say `</think>` here\n</think><answer>x", "say `</think>` here", "x", "", None),
        ("<think>```py\nx = '</think>'\n```\n</think>\nx", "```py\nx = '</think>'\n```", "x", "", None),
        ("<think>I write <answer> later\n</think>\nx", "I write <answer> later", "x", "", None),
        (
            "<judge>A `<think_on>` would be a waste</judge><think_off>Hi",
            "",
            "Hi",
            "A `<think_on>` would be a waste",
            INSTRUCT,
        ),
        # blanks
        ("<think_off>\n\n<answer>\n\n    code\n  more\n\n</answer>\n", "", "    code\n  more", "", INSTRUCT),
    ],
)
def test_what_the_client_gets(text, reasoning, content, judge, verdict):
    expected = (reasoning, content, judge, verdict)
    assert read(text) == expected
    assert read(text, cuts=range(len(text))) == expected


def test_a_tag_that_has_been_fed_is_never_given_out_in_part():
    reader = TagReader(GRAMMARS["kat-v1"])
    reader.feed("<think_on><think>hm")
    assert reader.feed(" 1 </thi") == [(Part.REASONING, " 1")]
    assert reader.feed("nk>\n") == []
    assert reader.feed("6") == [(Part.CONTENT, "6")]


def test_reasoning_and_content_are_given_as_they_come():
    reader = TagReader(GRAMMARS["kat-v1"])
    assert reader.feed("<judge>") == []
    assert not reader.decided
    assert reader.feed("hard</judge><think_on>") == []
    assert reader.decided
    assert reader.mode is THINKING
    assert reader.feed("<think>a b") == [(Part.REASONING, "a b")]
    assert reader.feed("</think>x") == [(Part.CONTENT, "x")]
    assert reader.feed(" y") == [(Part.CONTENT, " y")]


def test_the_mode_without_a_verdict_is_what_the_model_did():
    for text, mode in (("<think>hm", THINKING), ("<answer>x", INSTRUCT), ("hello", INSTRUCT)):
        reader = TagReader(GRAMMARS["kat-v1"])
        reader.feed(text)
        assert (reader.verdict, reader.mode, reader.decided) == (None, mode, True)


def test_the_first_verdict_counts():
    assert read("<judge>a<think_off><think>b</think>c<think_on>")[3] is INSTRUCT


def test_the_judge_s_words_are_kept_up_to_a_length():
    assert len(read("<judge>" + "x" * 10_000 + "</judge><think_off>Hi")[2]) == JUDGE_CHARS


# ---------------------------------------------------------------------- the think grammar


@pytest.mark.parametrize(
    ("text", "begins", "reasoning", "content"),
    [
        ("<think>\nhm\n</think>\n\n42", "", "hm", "42"),
        ("hm\n</think>\n\n42", "<think>\n", "hm", "42"),
        ("42", "", "", "42"),
        ("In HTML, <think>x</think> is unknown.", "", "", "In HTML, <think>x</think> is unknown."),
        ("<think>hm", "", "hm", ""),
        ("<think></think>\n\n42", "", "", "42"),
        ("<think>a</think>Write `</think>` and <think>b</think>", "", "a", "Write `</think>` and <think>b</think>"),
        ("<judge>x</judge>", "", "", "<judge>x</judge>"),
    ],
)
def test_think_blocks_are_read(text, begins, reasoning, content):
    assert read(text, "think", begins=begins)[:2] == (reasoning, content)
    assert read(text, "think", range(len(text)), begins)[:2] == (reasoning, content)


# ---------------------------------------------------------------------- any text, any cuts

TAGS = ["<judge>", "</judge>", "<think_on>", "<think_off>", "<think>", "</think>", "<answer>", "</answer>"]
soup = st.lists(st.sampled_from([*TAGS, "```", "`", "\n", " ", "<", ">", "</", "hm", "42", "é你"]), max_size=25).map(
    "".join
)


@given(soup, st.sampled_from(sorted(GRAMMARS)), st.data())
def test_the_places_of_the_cuts_do_not_matter(text, grammar, data):
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    assert read(text, grammar, cuts) == read(text, grammar)


@given(soup)
def test_text_without_tags_of_the_grammar_in_front_is_content_as_it_is(text):
    text = "Answer: " + text
    assert read(text, "think")[:2] == ("", text)
    assert read(text)[:2] == ("", text)


words = st.text(st.characters(blacklist_characters="<`~", blacklist_categories=("Cs",)), max_size=40).map(str.strip)


@given(words, words.filter(bool), words.filter(bool), st.booleans(), st.lists(st.integers(0, 200), max_size=8))
@example("j", "r", "a", True, [])
def test_what_went_in_comes_out(judge, thought, answer, thinks, cuts):
    text = f"<judge>\n{judge}\n</judge>\n\n"
    text += f"<think_on>\n<think>\n{thought}\n</think>\n\n" if thinks else "<think_off>\n"
    text += f"<answer>\n{answer}\n</answer>"
    cuts = [c for c in cuts if c < len(text)]
    expected = (thought if thinks else "", answer, judge, THINKING if thinks else INSTRUCT)
    assert read(text, cuts=cuts) == expected


@pytest.mark.parametrize("junk", ["`</think>` ", "```\n<answer>x\n", "<", " ", "</answer>\n", "<think_o"])
@pytest.mark.parametrize("opening", ["<think>", "<answer>", "<judge>", ""])
def test_hostile_text_is_read_in_linear_time(junk, opening):
    text = opening + junk * (200_000 // len(junk))
    started = time.process_time()
    read(text)
    assert time.process_time() - started < 3


def test_a_megabyte_of_quoted_tags_is_read_in_linear_time():
    def seconds(chars):
        started = time.process_time()
        read("<think>" + "`</think>` " * (chars // 11))
        return time.process_time() - started

    assert seconds(1_600_000) < 40 * max(0.02, seconds(200_000))  # eight times as much; squared it would be 64


# ---------------------------------------------------------------------- where a family begins to read


def family(**keys):
    return Family.from_dict("mine", {"kind": "hybrid", "tags": "think", **keys})


def test_what_the_template_has_opened_need_not_be_opened_again():
    own = family(begins={"thinking": "<think>\n"})
    assert own.reader(THINKING).feed("hm</think>x") == [(Part.REASONING, "hm"), (Part.CONTENT, "x")]
    assert own.reader(INSTRUCT).feed("hm") == [(Part.CONTENT, "hm")]


def test_behind_a_prefilled_verdict_the_reader_is_where_the_model_is():
    own = Family.from_dict(
        "kat",
        {
            "kind": "self-judging",
            "tags": "kat-v1",
            "prefill": {"thinking": "<think_on>\n<think>\n", "instruct": "<think_off>"},
        },
    )
    reader = own.reader(THINKING)
    assert reader.verdict is THINKING
    assert reader.feed("hm") == [(Part.REASONING, "hm")]
    assert own.reader(INSTRUCT).feed("hi") == [(Part.CONTENT, "hi")]
    assert own.reader(None).feed("<judge>easy") == []
