"""Streams through ChatStream: edited only where they must be, whole or not cleanly ended at all."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dataplane.chat_stream import MAX_EVENT_BYTES, ChatStream
from tests.fixtures import names, recorded, recorded_stream

ROUTING = b'{"mode":"thinking","decision_id":"dec_1"}'
DONE = b"data: [DONE]\n\n"
STREAMS = [n for n in names("*stream*") if recorded(n).body.startswith(b'data: {"id"') and n != "crash_midstream"]


def relay(data, *, size=None, cuts=(), finish=True, **options):
    """What a client gets of `data`: fed whole, in pieces of `size` bytes, or cut at `cuts`."""
    stream = ChatStream(**{"routing": ROUTING, "reasoning": "both", "show_usage": True, **options})
    edges = sorted(
        {0, len(data), *range(0, len(data), size or len(data) or 1), *(cut % (len(data) + 1) for cut in cuts)}
    )
    out = b"".join(stream.feed(data[a:b]) for a, b in pairwise(edges))
    if finish:
        out += stream.finish()
    return out, stream


def events(out):
    """The payloads of a client's stream."""
    assert out.endswith(b"\n\n")
    assert b"\r" not in out
    return [e.removeprefix(b"data: ") for e in out[:-2].split(b"\n\n")]


def chunks(out):
    return [json.loads(e) for e in events(out) if e != b"[DONE]" and not e.startswith(b":")]


def chunk(finish=None, index=0, **delta):
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return sse({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]})


def sse(data):
    return b"data: " + json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def usage_chunk(prompt=5, completion=7, **more):
    usage = {"prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion, **more}
    return sse({"id": "c", "model": "m", "choices": [], "usage": usage})


ROLE = chunk(role="assistant", content="")
HELLO = chunk(content="hello")
STOP = chunk("stop", content="")


def test_there_are_recorded_streams_of_every_kind():
    assert len(STREAMS) >= 9


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("show_usage", [True, False])
def test_a_recorded_stream_comes_out_the_same_however_it_is_split(name, show_usage):
    data = recorded_stream(name)
    whole, _ = relay(data, show_usage=show_usage)
    for size in (1, 7, 100):
        assert relay(data, size=size, show_usage=show_usage)[0] == whole


RECORDED = {name: recorded_stream(name) for name in STREAMS}


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 10_000), max_size=20), st.booleans())
def test_random_splits_change_nothing(name, cuts, crlf):
    data = RECORDED[name]
    expected = relay(data)[0]
    if crlf:
        data = data.replace(b"\n", b"\r\n")
    assert relay(data, cuts=cuts)[0] == expected


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_ends_once_and_cleanly(name):
    out, stream = relay(recorded_stream(name))
    assert out.endswith(DONE)
    assert out.count(b"[DONE]") == 1
    assert stream.error is None
    assert stream.done


@pytest.mark.parametrize("name", STREAMS)
def test_without_routing_and_renaming_a_recorded_stream_is_forwarded_byte_for_byte(name):
    data = recorded_stream(name)
    kept = data.split(b"\n\n")
    if name == "trained_thinking_stream":  # but for the two blank lines between thinking and answer
        kept = [event for event in kept if b'"content":"\\n"' not in event]
        assert len(data.split(b"\n\n")) - len(kept) == 2
    assert relay(data, routing=b"", reasoning="reasoning")[0] == b"\n\n".join(kept)


BLANK_LINES = re.compile(r"(?:[ \t]*\r?\n)+")


def answer_of(out, index=0):
    return "".join(
        c["delta"].get("content") or "" for e in chunks(out) for c in e["choices"] if c.get("index") == index
    )


@pytest.mark.parametrize(
    ("texts", "answer"),
    [
        (["\n", "\n", "6"], "6"),
        (["\n\n6", "\n7"], "6\n7"),
        (["\r\n \n", "    code\n\nmore"], "    code\n\nmore"),
        (["\n\n"], ""),
        (["6", "\n", "\n"], "6\n\n"),
        ([" 6"], " 6"),
        (["\\n6"], "\\n6"),
        (['\n"6"'], '"6"'),
    ],
)
@pytest.mark.parametrize("size", [None, 1, 50])
def test_blank_lines_between_thinking_and_answer_go_and_no_others(texts, answer, size):
    said = b"".join(chunk(content=text) for text in texts)
    thought = ROLE + chunk(reasoning="hm\n\n")
    assert answer_of(relay(thought + said + STOP + DONE, size=size)[0]) == answer
    assert answer_of(relay(ROLE + said + STOP + DONE, size=size)[0]) == "".join(texts)


def test_a_blank_chunk_that_says_more_keeps_its_place():
    usage = {"prompt_tokens": 1, "total_tokens": 2, "completion_tokens": 1}
    last = chunk("length", content="\n\n")
    counted = sse({**json.loads(chunk(content="\n")[6:]), "usage": usage})
    out, stream = relay(ROLE + chunk(reasoning="a") + counted + last + usage_chunk() + DONE)
    seen = chunks(out)
    assert [c["choices"][0]["delta"].get("content") for c in seen[2:4]] == ["", ""]
    assert seen[2]["usage"] == usage
    assert seen[3]["choices"][0]["finish_reason"] == "length"
    assert stream.error is None


def test_every_choice_has_its_own_beginning():
    data = ROLE + chunk(reasoning="a") + chunk(reasoning="b", index=1) + chunk(content="\nx") + chunk(content="\ny")
    out, _ = relay(data + chunk(content="\n\nz", index=1) + STOP + chunk("stop", index=1) + DONE, choices=2)
    assert (answer_of(out), answer_of(out, 1)) == ("x\ny", "z")


@pytest.mark.parametrize("name", STREAMS)
def test_routing_is_in_exactly_one_chunk_and_all_else_stays(name):
    data = recorded_stream(name)
    has_usage = b'"choices":[],"usage"' in data
    before = chunks(relay(data, routing=b"")[0])
    after = chunks(relay(data, show_usage=has_usage)[0])
    routed = [i for i, c in enumerate(after) if "routing" in c]
    assert routed == [len(after) - 1]
    assert after[-1].pop("routing") == json.loads(ROUTING)
    assert after == before


@pytest.mark.parametrize("name", [n for n in STREAMS if "thinking" in n and b'"reasoning":"' in recorded(n).body])
def test_reasoning_comes_under_both_names(name):
    seen = [c["choices"][0]["delta"] for c in chunks(relay(recorded_stream(name))[0]) if c["choices"]]
    thoughts = [d for d in seen if "reasoning" in d]
    assert thoughts
    assert all(d["reasoning"] == d["reasoning_content"] for d in thoughts)
    assert not any("reasoning_content" in d for d in seen if "reasoning" not in d)


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ("both", {"reasoning", "reasoning_content"}),
        ("reasoning", {"reasoning"}),
        ("reasoning_content", {"reasoning_content"}),
    ],
)
@pytest.mark.parametrize(
    "given_names",
    [("reasoning",), ("reasoning_content",), ("reasoning", "reasoning_content"), ("reasoning_content", "reasoning")],
)
def test_reasoning_has_the_wanted_names_whatever_the_backend_calls_it(wanted, kept, given_names):
    text = 'a "quoted" \\ thought\n你好'
    data = ROLE + chunk(**dict.fromkeys(given_names, text)) + STOP + DONE
    delta = chunks(relay(data, reasoning=wanted)[0])[1]["choices"][0]["delta"]
    assert set(delta) == kept
    assert set(delta.values()) == {text}


def test_a_hidden_usage_chunk_is_counted_and_not_shown():
    out, stream = relay(ROLE + HELLO + STOP + usage_chunk() + DONE, show_usage=False)
    assert b'"usage"' not in out
    assert [bool(c.get("routing")) for c in chunks(out)] == [False, False, True]
    assert (stream.usage.prompt_tokens, stream.usage.completion_tokens) == (5, 7)


def test_a_usage_chunk_that_was_asked_for_carries_the_routing():
    out, _ = relay(ROLE + HELLO + STOP + usage_chunk() + DONE, show_usage=True)
    assert [bool(c.get("routing")) for c in chunks(out)] == [False, False, False, True]
    assert chunks(out)[-1]["usage"]["completion_tokens"] == 7


def test_with_two_choices_the_last_finish_carries_the_routing():
    data = (
        chunk(index=0, content="a")
        + chunk(index=1, content="b")
        + chunk("stop", index=1)
        + chunk(index=0, content="c")
        + chunk("length", index=0)
        + DONE
    )
    out, stream = relay(data, show_usage=False, choices=2)
    assert [i for i, c in enumerate(chunks(out)) if "routing" in c] == [4]
    assert stream.error is None


def test_two_finishes_in_one_event_are_both_counted():
    both = [{"index": i, "delta": {}, "finish_reason": "stop"} for i in (0, 1)]
    out, stream = relay(ROLE + sse({"choices": both}) + DONE, show_usage=False, choices=2)
    assert stream.error is None
    assert "routing" in chunks(out)[-1]


def test_with_two_choices_one_finish_is_not_the_end():
    out, stream = relay(chunk("stop", index=0) + DONE, show_usage=False, choices=2)
    assert stream.error is not None
    assert b'"error"' in out


def test_with_two_choices_a_connection_that_ends_after_one_finish_is_broken_off():
    out, stream = relay(chunk("stop", index=0), show_usage=False, choices=2)
    assert stream.error.status == 502
    assert b'"error"' in out


@pytest.mark.parametrize("late", [HELLO, usage_chunk(), b": comment\n\n", DONE, sse({"error": {"message": "x"}})])
@pytest.mark.parametrize("size", [None, 1])
def test_nothing_comes_after_done(late, size):
    data = ROLE + HELLO + STOP + DONE
    assert relay(data + late, size=size, show_usage=False)[0] == relay(data, show_usage=False)[0]


def test_the_recorded_crash_ends_in_one_error_and_done():
    data = recorded_stream("crash_midstream")
    for size in (None, 1000):
        out, stream = relay(data, size=size)
        payloads = events(out)
        assert payloads[-1] == b"[DONE]"
        assert json.loads(payloads[-2])["error"]["message"].startswith("EngineCore encountered an issue")
        assert json.loads(payloads[-2])["error"]["code"] == 500
        assert out.count(b'"error"') == 1
        assert stream.error.status == 500
        assert len(payloads) == len(data[:-2].split(b"\n\n"))


def test_a_full_queue_told_in_the_stream_keeps_its_status():
    out, stream = relay(recorded_stream("err_503_queue_full_stream"))
    assert stream.error.status == 503
    assert [*map(bool, events(out))] == [True, True]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_anywhere_before_its_end_is_never_ended_cleanly(name):
    data = recorded_stream(name)
    last_finish = data.rindex(b'"finish_reason":"')
    for cut in range(0, last_finish, max(1, last_finish // 40)):
        out, stream = relay(data[:cut])
        payloads = events(out)
        assert payloads[-1] == b"[DONE]"
        assert "error" in json.loads(payloads[-2])
        assert stream.error.status == 502


def test_half_an_event_is_never_forwarded():
    out, _ = relay(ROLE + HELLO[:-10])
    assert b"hello" not in out


def test_done_without_a_finish_reason_becomes_a_visible_error():
    out, stream = relay(ROLE + HELLO + DONE)
    payloads = events(out)
    assert "error" in json.loads(payloads[-2])
    assert payloads[-1] == b"[DONE]"
    assert stream.error.status == 502


def test_a_server_that_sends_no_done_gets_one_if_the_answer_was_whole():
    out, stream = relay(ROLE + HELLO + STOP, show_usage=False)
    assert out.endswith(DONE)
    assert stream.error is None


def test_fail_gives_one_error_event_and_done_and_nothing_after():
    from app.errors import UpstreamTimeout

    _, stream = relay(ROLE, finish=False)
    assert events(stream.fail(UpstreamTimeout("too slow")))[1] == b"[DONE]"
    assert stream.feed(HELLO) == b""
    assert stream.finish() == b""


def test_crlf_becomes_lf_even_where_the_pair_is_split():
    data = ROLE + HELLO + STOP + usage_chunk() + DONE
    crlf = data.replace(b"\n", b"\r\n")
    expected = relay(data)[0]
    for size in (None, 1, 2, 3, 50):
        assert relay(crlf, size=size)[0] == expected


def test_comments_and_other_fields_are_passed_on():
    data = b": ping\n\n" + ROLE + b"event: note\nid: 1\nretry: 10\n\n" + HELLO + STOP + usage_chunk() + DONE
    out, stream = relay(data)
    assert b": ping\n\n" in out
    assert b"event: note\nid: 1\nretry: 10\n\n" in out
    assert stream.error is None


def spaced(data):
    """The same stream as servers write it that put spaces into their JSON."""
    payloads = [e.removeprefix(b"data: ") for e in data[:-2].split(b"\n\n")]
    return b"".join(
        b"data:" + (p if p == b"[DONE]" else json.dumps(json.loads(p)).encode()) + b"\n\n" for p in payloads
    )


@pytest.mark.parametrize("show_usage", [True, False])
@pytest.mark.parametrize("name", STREAMS)
def test_spaced_json_is_understood_as_well(name, show_usage):
    data = recorded_stream(name)
    out, stream = relay(spaced(data), show_usage=show_usage)
    assert chunks(out) == chunks(relay(data, show_usage=show_usage)[0])
    assert stream.error is None
    assert out.endswith(DONE)


TRAPS = [
    '"finish_reason":"stop"',
    '"reasoning":"not mine"',
    '"reasoning_content":"x"',
    "[DONE]",
    "data: [DONE]\n\n",
    '"choices":[]',
    '"choices":[{',
    '"choices": [{',
    '"error":{"message":"x"}',
    '"error"',
    '"usage":{"prompt_tokens":1}',
    "\\",
    '\\"',
    '}"',
    "\r\n\r\n",
    "\n\n",
    "你好 \u2028 😀",
    "\x00\x1f",
]


@pytest.mark.parametrize("text", TRAPS)
@pytest.mark.parametrize("member", ["content", "reasoning"])
@pytest.mark.parametrize("size", [None, 1])
def test_text_that_looks_like_protocol_is_only_text(text, member, size):
    data = ROLE + chunk(**{member: text}) + HELLO + STOP + usage_chunk() + DONE
    out, stream = relay(data, size=size)
    seen = chunks(out)
    assert [c["choices"][0]["delta"].get(member) for c in seen if c["choices"]][1] == text
    assert [bool(c.get("routing")) for c in seen] == [False, False, False, False, True]
    assert stream.error is None
    if member == "content":
        assert out == relay(data, routing=b"")[0].replace(
            usage_chunk(), usage_chunk()[:-3] + b',"routing":' + ROUTING + b"}\n\n"
        )


@given(st.text(), st.text(), st.lists(st.integers(0, 5000), max_size=8))
def test_any_text_survives(thought, answer, cuts):
    data = ROLE + chunk(reasoning=thought) + chunk(content=answer) + STOP + usage_chunk() + DONE
    seen = chunks(relay(data, cuts=cuts)[0])
    assert seen[1]["choices"][0]["delta"] == {"reasoning": thought, "reasoning_content": thought}
    if thought:
        answer = BLANK_LINES.sub("", answer, count=1) if BLANK_LINES.match(answer) else answer
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in seen[2:-1]) == answer


one_event = st.tuples(
    st.sampled_from(["content", "reasoning"]),
    st.one_of(st.text(max_size=5), st.sampled_from(TRAPS)).filter(lambda text: not BLANK_LINES.match(text)),
    st.integers(0, 1),
)


@given(st.lists(one_event, max_size=12), st.booleans(), st.sampled_from(["both", "reasoning", "reasoning_content"]))
def test_event_by_event_many_chunks_come_out_as_if_fed_at_once(parts, crlf, wanted):
    pieces = [ROLE, *[chunk(index=i, **{kind: text}) for kind, text, i in parts], STOP, usage_chunk(), DONE]
    if crlf:
        pieces = [piece.replace(b"\n", b"\r\n") for piece in pieces]
    stream = ChatStream(routing=ROUTING, reasoning=wanted, show_usage=True)
    out = b"".join(stream.feed(piece) for piece in pieces)
    expected, at_once = relay(b"".join(pieces), reasoning=wanted)
    assert out == expected
    assert (stream.reasoning_events, stream.answer_events) == (at_once.reasoning_events, at_once.answer_events)
    seen = [c["choices"][0] for c in chunks(out)[1:-2]]
    names_of = {
        "content": ["content"],
        "reasoning": ["reasoning", "reasoning_content"] if wanted == "both" else [wanted],
    }
    assert seen == [
        {"index": i, "delta": dict.fromkeys(names_of[kind], text), "logprobs": None, "finish_reason": None}
        for kind, text, i in parts
    ]


@pytest.mark.parametrize("wanted", ["both", "reasoning", "reasoning_content"])
def test_each_reasoning_event_is_counted_once_under_every_name(wanted):
    stream = ChatStream(routing=b"", reasoning=wanted, show_usage=True)
    for piece in (ROLE, *[chunk(reasoning=t) for t in "abc"], *[chunk(content=t) for t in "de"]):
        stream.feed(piece)
    assert (stream.reasoning_events, stream.answer_events) == (3, 2)


def test_tool_calls_are_forwarded_untouched_and_counted_as_the_answer():
    call = chunk(
        tool_calls=[{"index": 0, "id": "t", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}]
    )
    data = ROLE + call + chunk("tool_calls") + usage_chunk() + DONE
    out, stream = relay(data)
    assert call in out
    assert stream.answer_events == 1


def test_logprobs_are_forwarded_untouched():
    data = recorded_stream("chat_instruct_stream_logprobs")
    out, _ = relay(data)
    untouched = [e for e in data[:-2].split(b"\n\n") if b'"logprobs":{' in e]
    assert untouched
    assert all(e in out for e in untouched)


def test_reasoning_and_answer_events_are_counted_apart():
    data = ROLE + chunk(reasoning="a") * 3 + chunk(content="b") * 2 + STOP + usage_chunk(5, 10) + DONE
    for size in (None, 1):
        _, stream = relay(data, size=size)
        assert (stream.reasoning_events, stream.answer_events) == (3, 2)
    assert stream.usage.reasoning_tokens(3, 2) == 6


def test_a_count_of_reasoning_tokens_that_the_backend_gives_is_used():
    data = ROLE + STOP + usage_chunk(5, 10, completion_tokens_details={"reasoning_tokens": 9}) + DONE
    assert relay(data)[1].usage.reasoning_tokens(1, 1) == 9


def test_continuous_usage_is_not_taken_for_the_usage_chunk():
    out, stream = relay(recorded_stream("chat_thinking_stream_continuous_usage"))
    assert sum("routing" in c for c in chunks(out)) == 1
    assert not chunks(out)[-1]["choices"]
    assert stream.error is None


def test_bytes_that_are_no_utf8_are_passed_on():
    broken = b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"},"finish_reason":null}]}\n\n'
    out, _ = relay(ROLE + broken + STOP + usage_chunk() + DONE)
    assert broken in out


def test_garbage_between_events_does_not_stop_the_stream():
    out, stream = relay(ROLE + b"data: {nonsense\n\n" + HELLO + STOP + usage_chunk() + DONE)
    assert b"hello" in out
    assert stream.error is None


def test_an_event_without_an_end_is_bounded():
    _, stream = relay(ROLE, finish=False)
    piece = b"x" * (1024 * 1024)
    for _ in range(MAX_EVENT_BYTES // len(piece) + 1):
        out = stream.feed(piece)
        if stream.done:
            break
    assert stream.done
    assert stream.error.status == 502
    assert events(out)[-1] == b"[DONE]"


@pytest.mark.parametrize(
    "error", ["a string", {"message": "m", "code": 400}, {"message": "m", "code": "odd"}, {"message": "m"}, {}]
)
def test_an_error_event_of_any_shape_ends_the_stream_with_one(error):
    out, stream = relay(ROLE + HELLO + sse({"error": error}) + HELLO + DONE)
    payloads = events(out)
    assert len(payloads) == 4
    assert set(json.loads(payloads[2])["error"]) == {"message", "type", "param", "code"}
    assert payloads[3] == b"[DONE]"
    assert 400 <= stream.error.status < 600
