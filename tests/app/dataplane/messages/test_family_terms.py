"""What a family forwards or not, said in the Messages API's words."""

import json

import msgspec
import pytest

from app.dataplane.messages.request import MessageRequest
from router.family import Family, load_families
from router.mode import Mode

FAMILIES = load_families()
MODEL = msgspec.Raw(b'"m"')
HI = [{"role": "user", "content": "hi"}]


def sent(family, mode, switch=None, **fields):
    request = MessageRequest.parse(json.dumps({"model": "auto", "max_tokens": 8000, "messages": HI, **fields}).encode())
    family = FAMILIES[family] if isinstance(family, str) else family
    body = request.for_backend(family, mode, MODEL, switch)
    return json.loads(msgspec.json.encode(body))


DISABLED, ADAPTIVE = {"type": "disabled"}, {"type": "adaptive", "display": "omitted"}
ENABLED = {"type": "enabled", "budget_tokens": 2000, "display": "summarized"}


@pytest.mark.parametrize("family", ["qwen3-2507", "generic-pair"])
@pytest.mark.parametrize("thinking", [DISABLED, ADAPTIVE, ENABLED])
def test_an_instruct_backend_of_a_pair_hears_nothing_of_thinking(family, thinking):
    body = sent(family, Mode.INSTRUCT, thinking=thinking, output_config={"effort": "high"})
    assert "thinking" not in body
    assert "output_config" not in body


def test_a_thinking_backend_of_a_pair_hears_of_a_budget_and_never_of_an_off():
    assert sent("qwen3-2507", Mode.THINKING, thinking=ENABLED)["thinking"] == ENABLED
    assert sent("qwen3-2507", Mode.THINKING, thinking=ADAPTIVE)["thinking"] == ADAPTIVE
    assert "thinking" not in sent("qwen3-2507", Mode.THINKING, thinking=DISABLED)


def test_a_hybrid_is_told_its_mode_explicitly_whatever_the_client_wrote():
    for thinking in (DISABLED, ADAPTIVE, ENABLED):
        off = sent("qwen3-hybrid", Mode.INSTRUCT, thinking=thinking)
        assert off["chat_template_kwargs"] == {"enable_thinking": False}
        assert off.get("thinking", DISABLED) == DISABLED
        on = sent("qwen3-hybrid", Mode.THINKING, thinking=thinking)
        assert on["chat_template_kwargs"] == {"enable_thinking": True}
        assert on.get("thinking") != DISABLED


def test_a_family_that_drops_nothing_forwards_what_the_client_said():
    family = Family.from_dict("open", {"kind": "pair"})
    assert sent(family, Mode.INSTRUCT, thinking=DISABLED)["thinking"] == DISABLED
    assert sent(family, Mode.THINKING, output_config={"effort": "low"})["output_config"] == {"effort": "low"}
    assert sent(family, Mode.THINKING, thinking=ENABLED)["thinking"] == ENABLED


def test_the_output_format_stays_where_the_effort_goes():
    format_ = {"type": "json_schema", "schema": {"type": "object"}}
    body = sent("qwen3-2507", Mode.THINKING, output_config={"effort": "low", "format": format_})
    assert body["output_config"] == {"format": format_}


def test_sampling_defaults_are_those_that_the_protocol_has_words_for():
    body = sent("qwen3-2507", Mode.INSTRUCT, top_p=0.5)
    assert {name: body.get(name) for name in ("temperature", "top_p", "top_k", "min_p")} == {
        "temperature": 0.7, "top_p": 0.5, "top_k": 20, "min_p": None}  # fmt: skip
    assert sent("qwen3-2507", Mode.INSTRUCT, min_p=0.1)["min_p"] == 0.1


def test_a_family_that_sends_an_effort_sends_it_in_the_protocols_words():
    oss = Family.from_dict(
        "oss",
        {
            "kind": "hybrid",
            "send": {"instruct": {"reasoning_effort": "none"}, "thinking": {"reasoning_effort": "high"}},
        },
    )
    assert sent(oss, Mode.THINKING)["output_config"] == {"effort": "high"}
    assert sent(oss, Mode.INSTRUCT)["thinking"] == DISABLED


def test_a_familys_budget_is_sent_only_where_the_protocol_can_say_it():
    for budget, told in ((512, None), (3000, {"type": "enabled", "budget_tokens": 3000}), (9000, None)):
        family = Family.from_dict("b", {"kind": "hybrid", "send": {"thinking": {"thinking_token_budget": budget}}})
        assert sent(family, Mode.THINKING).get("thinking") == told


@pytest.mark.parametrize(
    ("system", "clean"),
    [
        ("Be brief. /think", "Be brief."),
        ([{"type": "text", "text": "Be /think brief."}], [{"type": "text", "text": "Be brief."}]),
    ],
)
def test_switches_are_taken_out_of_the_system_prompt_too(system, clean):
    turns = [{"role": "user", "content": [{"type": "text", "text": "go /no_think"}]}]
    body = sent("qwen3-2507", Mode.INSTRUCT, Mode.INSTRUCT, system=system, messages=turns)
    assert body["system"] == clean
    assert body["messages"][0]["content"][0]["text"] == "go"


def test_what_is_not_touched_stays_byte_for_byte():
    raw = b'{"model":"auto","max_tokens":5,"messages":[{"role":"user","content":"h\\u00e9"}],"x":{"a": 1.50}}'
    request = MessageRequest.parse(raw)
    body = request.for_backend(FAMILIES["generic-pair"], Mode.INSTRUCT, MODEL, None)
    assert bytes(body["x"]) == b'{"a": 1.50}'
    assert bytes(body["messages"]) == b'[{"role":"user","content":"h\\u00e9"}]'
