"""What a chat-completions request may look like, and words for every one that may not."""

import json

import pytest

from app.dataplane.chat_request import ChatRequest
from app.errors import BadRequest

HELLO = [{"role": "user", "content": "hello"}]


def body(**fields):
    return json.dumps({"model": "auto", "messages": HELLO, **fields}).encode()


def refusal(raw):
    with pytest.raises(BadRequest) as caught:
        ChatRequest.parse(raw)
    assert caught.value.status == 400
    return caught.value


def with_raw(name, raw):
    return b'{"model":"auto","messages":[{"role":"user","content":"hello"}],"%b":%b}' % (name.encode(), raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b'{"model": "auto", "messages": [',
        b'{"model": "auto",}',
        b"{'model': 'auto'}",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b"true",
        b'[{"model":"auto"}]',
        b"\xff\xfe{}",
        b'{"model":"auto","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"auto","messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
        b'{"model":"auto","messages":[{"role":"user","content":"hello"}]} trailing',
        with_raw("temperature", b"NaN"),
        with_raw("temperature", b"Infinity"),
        with_raw("seed", b"01"),
        with_raw("x", b"[" * 100_000 + b"]" * 100_000),
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_a_body_that_is_no_json_object_is_refused(raw):
    error = refusal(raw)
    assert error.param is None
    assert "body" in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b"{}", "model"),
        (b'{"messages":[]}', "model"),
        (b'{"model":"auto"}', "messages"),
        (body(model=None), "model"),
        (body(model=7), "model"),
        (body(model=["auto"]), "model"),
        (body(messages=None), "messages"),
        (body(messages="hello"), "messages"),
        (body(messages={}), "messages"),
        (body(messages=[]), "messages"),
        (body(messages=[None]), "messages[0]"),
        (body(messages=[*HELLO, "hello"]), "messages[1]"),
        (body(messages=[[]]), "messages[0]"),
        (body(messages=[{}]), "messages[0].role"),
        (body(messages=[{"role": 7, "content": "x"}]), "messages[0].role"),
        (body(messages=[*HELLO, {"role": "user", "content": 7}]), "messages[1].content"),
        (body(messages=[{"role": "user", "content": {}}]), "messages[0].content"),
        (body(stream="yes"), "stream"),
        (body(stream=1), "stream"),
        (body(stream_options=True), "stream_options"),
        (body(n="2"), "n"),
        (body(n=1.5), "n"),
        (body(tools={}), "tools"),
        (body(chat_template_kwargs=[]), "chat_template_kwargs"),
        (body(reasoning_effort="enormous"), "reasoning_effort"),
        (body(reasoning_effort=3), "reasoning_effort"),
        (body(thinking_token_budget=-1), "thinking_token_budget"),
        (body(thinking_token_budget="10"), "thinking_token_budget"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:60]),
)
def test_a_wrong_field_is_refused_by_name(raw, param):
    error = refusal(raw)
    assert error.param == param
    assert f"`{param}`" in error.message


def test_a_refusal_holds_nothing_of_the_prompt():
    for raw in (body(stream="SECRET"), body(messages=[{"role": "user", "content": {"SECRET": 1}}]), b'{"SECRET'):
        assert "SECRET" not in refusal(raw).message


def test_a_lone_surrogate_in_a_message_is_refused():
    refusal(b'{"model":"auto","messages":[{"role":"user","content":"\\ud800"}]}')


@pytest.mark.parametrize("n", [b"1e400", b"-1e400"])
def test_a_number_that_is_out_of_range_is_refused_where_it_must_be_read(n):
    refusal(with_raw("n", n))


def test_a_huge_integer_is_left_to_the_backend_to_refuse():
    request = ChatRequest.parse(with_raw("n", b"9" * 30))
    assert bytes(request.fields["n"]) == b"9" * 30


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("seed", b"123456789012345678901234567890"),
        ("temperature", b"1e400"),
        ("temperature", b"0.10"),
        ("unknown", b'{ "a" : 1, "a" : 2 }'),
        ("user", b'"\\u4f60\\/"'),
        ("stop", b"null"),
    ],
)
def test_every_field_is_kept_byte_for_byte(name, raw):
    assert bytes(ChatRequest.parse(with_raw(name, raw)).fields[name]) == raw


def test_what_routing_reads_is_read():
    request = ChatRequest.parse(
        body(
            stream=True,
            stream_options={"include_usage": True},
            n=3,
            tools=[{}, {}],
            response_format={"type": "json_schema"},
            session_id="s-1",
            enable_thinking=False,
        )
    )
    assert (request.model, request.stream, request.wants_usage, request.choices) == ("auto", True, True, 3)
    assert (request.tools, request.response_format, request.session) == (2, "json_schema", "s-1")
    assert request.intent.off == "enable_thinking"
    assert request.messages == HELLO


def test_what_is_not_there_or_null_has_no_meaning():
    for raw in (
        body(),
        body(stream=None, stream_options=None, n=None, tools=None, response_format=None, session_id=None),
    ):
        request = ChatRequest.parse(raw)
        assert (request.stream, request.wants_usage, request.choices, request.tools) == (False, False, 1, 0)
        assert (request.response_format, request.session, request.intent.off, request.intent.on) == ("", "", "", "")


def test_prompt_cache_key_names_a_session_where_session_id_does_not():
    assert ChatRequest.parse(body(prompt_cache_key="p")).session == "p"
    assert ChatRequest.parse(body(prompt_cache_key="p", session_id="s")).session == "s"
    assert ChatRequest.parse(body(session_id=7)).session == ""


@pytest.mark.parametrize(
    ("content", "may"),
    [(b"hello", False), (b"/think", True), (b"\\/no_think", True), (b"/\\u0074hink", True), (b"\\u002fthink", True)],
)
def test_whether_a_switch_can_be_in_the_text_is_told_without_reading_it(content, may):
    request = ChatRequest.parse(b'{"model":"auto","messages":[{"role":"user","content":"%b"}]}' % content)
    assert request.may_switch is may


@pytest.mark.parametrize("content", [None, [], [{"type": "text", "text": "x"}], ""])
def test_every_content_that_vllm_takes_is_taken(content):
    assert ChatRequest.parse(body(messages=[{"role": "assistant", "content": content}])).messages


def test_a_field_given_twice_counts_as_its_last_value():
    raw = b'{"model":"a","model":"auto","messages":[{"role":"user","content":"x"}]}'
    request = ChatRequest.parse(raw)
    assert request.model == "auto"
    assert bytes(request.fields["model"]) == b'"auto"'
