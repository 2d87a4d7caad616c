"""Streams and answers whose thinking comes as text: out comes what a server with a reasoning parser would give."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dataplane.tagged_answer import read_tags
from app.dataplane.tagged_stream import TaggedStream
from router.family import Family, load_families
from router.mode import Mode
from tests.fixtures import recorded, recorded_stream

KAT = load_families()["kat-v1"]
THINK = Family.from_dict("mine", {"kind": "hybrid", "tags": "think"})
HARD = "<judge>\nSeveral steps.\n</judge>\n\n<think_on>\n<think>\n7+5=2\n</think>\n\n<answer>\n6\n</answer>"
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "kat"}


def chunk(delta, finish=None, index=0, logprobs=None, **more):
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
    return b"data: " + json.dumps({**HEAD, "choices": [choice], **more}, separators=(",", ":")).encode() + b"\n\n"


def stream_of(texts, finish="stop", role=True):
    """As vLLM streams without a reasoning parser: role, texts, finish reason, end."""
    events = [chunk({"role": "assistant", "content": ""})] if role else []
    events += [chunk({"content": text}) for text in texts]
    return [*events, chunk({"content": ""}, finish), b"data: [DONE]\n\n"]


def stream(family=KAT, mode=None, waits=True, **options):
    verdicts = []
    made = TaggedStream(
        lambda: family.reader(mode),
        lambda reader: verdicts.append((reader.verdict, reader.mode, reader.judge)),
        **{"waits": waits, "routing": b'{"mode":"x"}', "reasoning": "both", "show_usage": False, **options},
    )
    return made, verdicts


def events(data):
    return [json.loads(line[6:]) for line in data.decode().split("\n\n") if line and line != "data: [DONE]"]


def joined(data, name, index=0):
    deltas = [c["delta"] for e in events(data) for c in e.get("choices", []) if c["index"] == index]
    return "".join(d.get(name) or "" for d in deltas)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 400])
def test_a_model_that_judges_itself_is_read_whatever_its_tokens(size):
    made, verdicts = stream()
    out = b"".join(map(made.feed, stream_of([HARD[i : i + size] for i in range(0, len(HARD), size)])))
    assert (joined(out, "reasoning"), joined(out, "content")) == ("7+5=2", "6")
    assert joined(out, "reasoning_content") == "7+5=2"
    assert verdicts == [(Mode.THINKING, Mode.THINKING, "Several steps.")]
    assert out.endswith(b"data: [DONE]\n\n")
    assert made.done
    assert made.error is None
    assert (made.reasoning_events > 0, made.answer_events > 0) == (True, True)
    assert events(out)[-1]["routing"] == {"mode": "x"}
    assert events(out)[-1]["choices"][0]["finish_reason"] == "stop"


def test_nothing_goes_out_before_the_verdict():
    made, verdicts = stream()
    given_out = [
        made.feed(event) for event in stream_of(["<judge>", "hard", "</judge>", "<think", "_on>", "<think>", "a"])
    ]
    assert given_out[:5] == [b""] * 5
    assert verdicts
    assert events(given_out[5])[0]["choices"][0]["delta"]["role"] == "assistant"


def test_the_routing_object_is_the_one_that_the_verdict_gave():
    made, _ = stream()
    made._decided = lambda reader: made.reroute(b'{"mode":"thinking"}')
    assert events(b"".join(map(made.feed, stream_of([HARD]))))[-1]["routing"] == {"mode": "thinking"}


@pytest.mark.parametrize("text", ["Hello!", "1 < 2", ""])
def test_a_model_that_gives_no_verdict_is_taken_at_its_word(text):
    made, verdicts = stream()
    out = b"".join(map(made.feed, stream_of([text])))
    assert (joined(out, "content"), joined(out, "reasoning")) == (text, "")
    assert verdicts == [(None, Mode.INSTRUCT, "")]


def test_an_answer_cut_off_while_judging_loses_nothing():
    made, verdicts = stream()
    out = b"".join(map(made.feed, stream_of(["<judge>so far"], finish="length")))
    assert (joined(out, "reasoning"), joined(out, "content")) == ("so far", "")
    assert len(verdicts) == 1
    assert events(out)[-1]["choices"][0]["finish_reason"] == "length"


def test_a_prefilled_verdict_needs_no_waiting():
    made, _ = stream(mode=Mode.THINKING, waits=False)
    out = made.feed(chunk({"role": "assistant", "content": ""})) + made.feed(chunk({"content": "7+5=2"}))
    assert joined(out, "reasoning") == "7+5=2"


def test_an_error_before_the_verdict_is_an_error():
    made, _ = stream()
    made.feed(chunk({"role": "assistant", "content": ""}))
    made.feed(chunk({"content": "<judge>a"}))
    made.feed(b'data: {"error":{"message":"no","type":"T","code":503}}\n\n')
    assert made.error is not None
    assert made.error.status == 503


def test_a_stream_that_breaks_off_before_the_verdict_is_an_error():
    made, _ = stream()
    assert made.feed(chunk({"content": "<judge>a"})) == b""
    assert b'"error"' in made.finish()


def test_every_choice_has_a_reader_of_its_own():
    made, verdicts = stream(choices=2)
    data = [chunk({"role": "assistant", "content": ""}, index=i) for i in (0, 1)]
    data += [chunk({"content": "<think_off>one"}, index=0), chunk({"content": "<think_on><think>two"}, index=1)]
    data += [chunk({"content": ""}, "stop", index=i) for i in (1, 0)]
    out = b"".join(map(made.feed, [*data, b"data: [DONE]\n\n"]))
    assert (joined(out, "content", 0), joined(out, "reasoning", 1)) == ("one", "two")
    assert len(verdicts) == 1


def test_tool_calls_come_as_they_came_and_behind_the_text_before_them():
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    made, _ = stream()
    data = [chunk({"content": "<think_off>\n<answer>Let me look. "}), chunk({"tool_calls": [call]})]
    out = b"".join(map(made.feed, [*data, chunk({"content": ""}, "tool_calls"), b"data: [DONE]\n\n"]))
    deltas = [e["choices"][0]["delta"] for e in events(out)]
    assert joined(out, "content") == "Let me look. "
    assert [d for d in deltas if "tool_calls" in d] == [{"tool_calls": [call]}]


def test_logprobs_go_with_the_text_and_those_of_the_judge_s_words_do_not():
    def lp(token):
        return {"content": [{"token": token, "logprob": -0.1}]}

    texts = ["<judge>", "x", "<think_off>", "Hi", "</ans", "wer>"]
    made, _ = stream()
    out = b"".join(made.feed(chunk({"content": t}, logprobs=lp(t))) for t in texts)
    out += made.feed(chunk({"content": ""}, "stop", logprobs=None))
    given_out = [c["logprobs"] for e in events(out) for c in e["choices"] if c["logprobs"]]
    assert [t["token"] for entry in given_out for t in entry["content"]] == ["Hi", "</ans", "wer>"]


def test_usage_is_read_and_shown_where_it_is_wanted():
    usage = {"prompt_tokens": 3, "total_tokens": 9, "completion_tokens": 6}
    last = b"data: " + json.dumps({**HEAD, "choices": [], "usage": usage}).encode() + b"\n\n"
    made, _ = stream(show_usage=True)
    out = b"".join(map(made.feed, [*stream_of([HARD])[:-1], last, b"data: [DONE]\n\n"]))
    assert events(out)[-1]["usage"] == usage
    assert made.usage.completion_tokens == 6


@given(st.lists(st.integers(0, 2000), max_size=20), st.booleans())
def test_the_bytes_may_be_cut_anywhere(cuts, crlf):
    data = b"".join(stream_of(["<judge>j</judge><think", "_on><think>你好</th", "ink>\n<answer>6</answer>"]))
    data = data.replace(b"\n", b"\r\n") if crlf else data
    made, _ = stream()
    places = [0, *sorted(c % len(data) for c in cuts), len(data)]
    out = b"".join(made.feed(data[a:b]) for a, b in pairwise(places))
    assert (joined(out, "reasoning"), joined(out, "content")) == ("你好", "6")
    assert made.done


def test_a_recorded_stream_without_tags_keeps_every_word():
    data = recorded_stream("chat_instruct_stream_usage")
    made, _ = stream(THINK, waits=False, show_usage=True)
    out = made.feed(data)
    assert joined(out, "content") == joined(data, "content") != ""
    assert [e.get("usage") for e in events(out)][-1] == events(data)[-1]["usage"]


def test_a_think_block_is_read_out_of_a_recorded_stream_as_the_server_s_own_parser_does_it():
    """The recording has been parsed by vLLM; here its deltas are put back into tags and read again."""
    data = recorded_stream("trained_thinking_stream")
    thought, answer = joined(data, "reasoning"), joined(data, "content")
    made, _ = stream(THINK, waits=False)
    out = b"".join(map(made.feed, stream_of([f"<think>\n{thought}", f"</think>{answer}"])))
    assert joined(out, "reasoning") == thought.rstrip()
    assert joined(out, "content") == answer.lstrip("\n")


# ---------------------------------------------------------------------- in one piece


def answer(*contents, finish="stop", **message):
    choices = [
        {
            "index": i,
            "message": {"role": "assistant", "content": c, "reasoning": None, **message},
            "finish_reason": finish,
        }
        for i, c in enumerate(contents)
    ]
    return json.dumps({"id": "c", "choices": choices, "usage": {"prompt_tokens": 3, "completion_tokens": 9}}).encode()


def test_an_answer_in_one_piece_is_read_as_well():
    body, reader = read_tags(answer(HARD), lambda: KAT.reader(None))
    message = json.loads(body)["choices"][0]["message"]
    assert (message["reasoning"], message["content"]) == ("7+5=2", "6")
    assert (reader.verdict, reader.judge) == (Mode.THINKING, "Several steps.")
    assert json.loads(body)["usage"] == {"prompt_tokens": 3, "completion_tokens": 9}


@pytest.mark.parametrize(
    ("text", "reasoning", "content"),
    [("<think_on><think>so far", "so far", None), ("<think_off>Hi", None, "Hi"), ("", None, "")],
)
def test_what_is_not_there_is_null_as_vllm_has_it(text, reasoning, content):
    message = json.loads(read_tags(answer(text), lambda: KAT.reader(None))[0])["choices"][0]["message"]
    assert (message["reasoning"], message["content"]) == (reasoning, content)


def test_the_first_of_several_choices_speaks_for_the_metadata():
    body, reader = read_tags(answer("<think_off>a", "<think_on><think>b"), lambda: KAT.reader(None))
    assert reader.mode is Mode.INSTRUCT
    assert [c["message"]["content"] for c in json.loads(body)["choices"]] == ["a", None]


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b'{"choices":3}', b'{"choices":[{"message":{"content":null}}]}'])
def test_what_is_no_answer_stays_as_it_is(body):
    assert read_tags(body, lambda: KAT.reader(None)) == (body, None)


def test_a_recorded_answer_without_tags_keeps_its_content():
    raw = recorded("trained_instruct").body
    body, reader = read_tags(raw, lambda: THINK.reader(None))
    assert json.loads(body) == json.loads(raw)
    assert reader.mode is Mode.INSTRUCT
