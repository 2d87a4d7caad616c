"""What a backend of each family gets: dropped, sent, defaulted, and untouched byte for byte."""

import msgspec
import pytest

from router.family import Family, load_families
from router.mode import Mode

INSTRUCT, THINKING = Mode.INSTRUCT, Mode.THINKING
FAMILIES = load_families()
decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
UNTOUCHED = {
    "seed": b"123456789012345678901234567890",
    "top_logprobs": b"0.10",
    "logit_bias": b'{"50256":-1e400, "a":1, "a":2}',
    "user": b'"\\u00e9\\u4f60 \\/ x"',
    "unknown_field": b'{ "b" : [ 1.0 , 2 ] , "b" : null }',
    "stop": b'["\\n"]',
}


def prepared(family, body, mode, messages=None, switch=None):
    """The body that a backend gets, as raw JSON by field."""
    raw = b"{" + b",".join(b'"%b":%b' % (k.encode(), v) for k, v in body.items()) + b"}"
    fields = decode_fields(raw)
    FAMILIES[family].prepare(fields, mode, messages=messages, switch=switch)
    return {name: bytes(value) for name, value in fields.items()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", list(Mode))
def test_unknown_fields_reach_the_backend_byte_for_byte(family, mode):
    body = prepared(family, {"enable_thinking": b"true", **UNTOUCHED}, mode)
    assert {name: body[name] for name in UNTOUCHED} == UNTOUCHED


@pytest.mark.parametrize("family", ["qwen3-2507", "generic-pair"])
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("value", [b"true", b"false"])
def test_a_pair_never_hears_of_thinking_fields(family, mode, value):
    body = prepared(
        family,
        {
            "enable_thinking": value,
            "thinking": b'{"type":"enabled"}',
            "reasoning_effort": b'"high"',
            "chat_template_kwargs": b'{"enable_thinking":%b,"thinking":%b}' % (value, value),
        },
        mode,
    )
    assert not set(body) & {"enable_thinking", "thinking", "reasoning_effort", "chat_template_kwargs"}


def test_other_template_arguments_stay():
    body = prepared("qwen3-2507", {"chat_template_kwargs": b'{"enable_thinking":true,"tone":"dry"}'}, THINKING)
    assert msgspec.json.decode(body["chat_template_kwargs"]) == {"tone": "dry"}


def test_template_arguments_without_thinking_fields_stay_as_they_were_written():
    written = b'{ "tone" : "dry" }'
    assert prepared("qwen3-2507", {"chat_template_kwargs": written}, THINKING)["chat_template_kwargs"] == written


WITHOUT_BUDGETS = ["gpt-oss", "kat-v1"]  # no reasoning parser of vLLM's cuts their thoughts short


@pytest.mark.parametrize("family", set(FAMILIES) - set(WITHOUT_BUDGETS))
def test_a_thinking_budget_reaches_only_backends_that_think(family):
    assert "thinking_token_budget" not in prepared(family, {"thinking_token_budget": b"100"}, INSTRUCT)
    assert prepared(family, {"thinking_token_budget": b"100"}, THINKING)["thinking_token_budget"] == b"100"


@pytest.mark.parametrize("family", WITHOUT_BUDGETS)
@pytest.mark.parametrize("mode", list(Mode))
def test_a_thinking_budget_never_reaches_a_model_that_has_none(family, mode):
    assert "thinking_token_budget" not in prepared(family, {"thinking_token_budget": b"100"}, mode)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_budget_of_nothing_does_not_contradict_a_decision_to_think(family):
    assert "thinking_token_budget" not in prepared(family, {"thinking_token_budget": b"0"}, THINKING)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("written", [None, b"{}", b'{"enable_thinking":true}', b'{"enable_thinking":false}', b"null"])
def test_a_hybrid_is_always_told_explicitly(mode, written):
    body = prepared("qwen3-hybrid", {} if written is None else {"chat_template_kwargs": written}, mode)
    assert msgspec.json.decode(body["chat_template_kwargs"])["enable_thinking"] is (mode is THINKING)


def test_a_hybrid_keeps_other_template_arguments():
    body = prepared("qwen3-hybrid", {"chat_template_kwargs": b'{"tone":"dry","thinking":true}'}, INSTRUCT)
    assert msgspec.json.decode(body["chat_template_kwargs"]) == {"tone": "dry", "enable_thinking": False}


@pytest.mark.parametrize("mode", list(Mode))
def test_a_hybrid_hears_thinking_in_one_way_only(mode):
    body = prepared("qwen3-hybrid", {"enable_thinking": b"true", "reasoning_effort": b'"none"'}, mode)
    assert set(body) & {"enable_thinking", "reasoning_effort"} == set()


SAMPLING = {
    INSTRUCT: {"temperature": b"0.7", "top_p": b"0.8", "top_k": b"20", "min_p": b"0"},
    THINKING: {"temperature": b"0.6", "top_p": b"0.95", "top_k": b"20", "min_p": b"0"},
}


@pytest.mark.parametrize("family", ["qwen3-2507", "qwen3-hybrid"])
@pytest.mark.parametrize("mode", list(Mode))
def test_recommended_sampling_fills_what_the_client_left_unset(family, mode):
    body = prepared(family, {}, mode)
    assert {name: body[name] for name in SAMPLING[mode]} == SAMPLING[mode]


@pytest.mark.parametrize("family", ["qwen3-2507", "qwen3-hybrid"])
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k", "min_p"])
@pytest.mark.parametrize("value", [b"0", b"1e400", b"null", b"0.10"])
def test_sampling_that_the_client_set_is_never_touched(family, mode, name, value):
    body = prepared(family, {name: value}, mode)
    assert body[name] == value
    others = {k: v for k, v in SAMPLING[mode].items() if k != name}
    assert {k: body[k] for k in others} == others


def test_a_generic_pair_gets_no_sampling_defaults():
    assert prepared("generic-pair", {}, THINKING) == {}


MESSAGES = [{"role": "user", "content": "Say hi /no_think"}]
RAW_MESSAGES = b'[ {"role":"user","content":"Say hi \\/no_think"} ]'


@pytest.mark.parametrize("family", ["qwen3-2507", "generic-pair"])
def test_switches_are_taken_out_for_backends_that_do_not_know_them(family):
    body = prepared(family, {"messages": RAW_MESSAGES}, INSTRUCT, MESSAGES, INSTRUCT)
    assert msgspec.json.decode(body["messages"]) == [{"role": "user", "content": "Say hi"}]


def test_a_hybrid_that_knows_the_switch_gets_it_as_it_was_written():
    assert (
        prepared("qwen3-hybrid", {"messages": RAW_MESSAGES}, INSTRUCT, MESSAGES, INSTRUCT)["messages"] == RAW_MESSAGES
    )


def test_a_switch_that_contradicts_the_decision_is_taken_out_even_there():
    body = prepared("qwen3-hybrid", {"messages": RAW_MESSAGES}, THINKING, MESSAGES, INSTRUCT)
    assert msgspec.json.decode(body["messages"]) == [{"role": "user", "content": "Say hi"}]


def test_messages_without_a_switch_stay_as_they_were_written():
    raw = b'[ {"role":"user", "content":"\\u4f60"} ]'
    body = prepared("qwen3-2507", {"messages": raw}, INSTRUCT, [{"role": "user", "content": "你"}], None)
    assert body["messages"] == raw


def test_an_operators_own_family_is_added_and_wins_over_a_shipped_one():
    own = load_families(
        {"mine": {"kind": "hybrid", "send": {"instruct": {"x": 1}}}, "generic-pair": {"kind": "hybrid"}}
    )
    assert own["mine"].kind == "hybrid"
    assert own["generic-pair"].kind == "hybrid"
    assert "qwen3-2507" in own


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "trio"},
        {},
        {"kind": "pair", "sampel": {}},
        {"kind": "pair", "send": {"maybe": {}}},
        {"kind": "pair", "history": "some"},
        {"kind": "pair", "tags": "xml"},
        {"kind": "self-judging"},
    ],
)
def test_a_family_that_makes_no_sense_is_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        Family.from_dict("mine", data)


# ---------------------------------------------------------------------- like


def test_a_family_may_be_like_another_but_for_a_few_keys():
    mine = load_families({"mine": {"like": "qwen3-2507", "tags": "think", "sampling": {}}})["mine"]
    shipped = FAMILIES["qwen3-2507"]
    assert (mine.kind, mine.drop, mine.history) == (shipped.kind, shipped.drop, shipped.history)
    assert (mine.name, mine.tags, mine.sampling) == ("mine", "think", {})


def test_a_shipped_family_may_be_changed_in_one_key():
    changed = load_families({"qwen3-2507": {"like": "qwen3-2507", "tags": "think"}})["qwen3-2507"]
    assert changed.tags == "think"
    assert changed.sampling == FAMILIES["qwen3-2507"].sampling


@pytest.mark.parametrize(
    "own", [{"a": {"like": "b"}}, {"a": {"like": "a"}}, {"a": {"like": "b"}, "b": {"like": "a"}}, {"a": {"like": 3}}]
)
def test_a_family_that_is_like_no_other_is_refused(own):
    with pytest.raises(ValueError, match="is like"):
        load_families(own)


# ---------------------------------------------------------------------- told in words, told by a prefill

ASK = [{"role": "user", "content": "q"}]


def messages_of(family, mode, messages, **body):
    got = prepared(family, {"messages": msgspec.json.encode(messages), **body}, mode, messages)
    return msgspec.json.decode(got["messages"]), got


@pytest.mark.parametrize("mode", list(Mode))
def test_a_model_that_judges_itself_gets_the_verdict_that_the_client_wants(mode):
    messages, body = messages_of("kat-v1", mode, ASK)
    assert messages[:-1] == ASK
    assert messages[-1]["role"] == "assistant"
    assert ("<think_on>" in messages[-1]["content"]) is (mode is THINKING)
    assert (body["add_generation_prompt"], body["continue_final_message"]) == (b"false", b"true")


def test_a_model_that_judges_itself_gets_none_where_nobody_wants_anything():
    raw = b'[ {"role":"user", "content":"q"} ]'
    body = prepared("kat-v1", {"messages": raw}, None, ASK)
    assert body == {"messages": raw, "skip_special_tokens": b"false"}


@pytest.mark.parametrize("begun", [[*ASK, {"role": "assistant", "content": "<judge>"}], []])
def test_an_answer_that_the_client_has_begun_itself_is_not_begun_again(begun):
    messages, body = messages_of("kat-v1", THINKING, begun)
    if begun:
        assert messages == begun
        assert "continue_final_message" not in body


def test_earlier_thinking_goes_before_a_prefill_is_put_behind_it():
    talk = [*ASK, {"role": "assistant", "content": "a", "reasoning": "r"}, *ASK]
    messages, _ = messages_of("kat-v1", INSTRUCT, talk)
    assert messages[1] == {"role": "assistant", "content": "a"}
    assert len(messages) == 4


def test_an_instruct_model_gets_no_thinking_of_a_tool_loop_either():
    loop = [*ASK, {"role": "assistant", "content": "", "reasoning": "plan", "tool_calls": []}, {"role": "tool"}]
    assert "reasoning" not in messages_of("qwen3-2507", INSTRUCT, loop)[0][1]
    assert messages_of("qwen3-2507", THINKING, loop)[0][1]["reasoning"] == "plan"


def test_efforts_that_the_model_does_not_know_are_mapped_to_those_that_it_does():
    assert prepared("gpt-oss", {"reasoning_effort": b'"max"'}, THINKING)["reasoning_effort"] == b'"high"'
    assert prepared("gpt-oss", {"reasoning_effort": b"null"}, THINKING)["reasoning_effort"] == b'"high"'
    assert prepared("gpt-oss", {"reasoning_effort": b'"max"'}, INSTRUCT)["reasoning_effort"] == b'"low"'
