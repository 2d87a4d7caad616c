"""Completions: raw prompts of every kind, and what a backend gets."""

import json

import msgspec
import pytest

from app.dataplane.completions.request import CompletionRequest
from app.errors import BadRequest
from router.conversation import read_conversation
from router.family import load_families
from router.mode import Mode

FAMILIES = load_families()


def parse(**fields):
    return CompletionRequest.parse(json.dumps({"model": "auto", "prompt": "hi", **fields}).encode())


def sent(family, mode, switch=None, **fields):
    body = parse(**fields).for_backend(FAMILIES[family], mode, msgspec.Raw(b'"m"'), switch)
    return json.loads(msgspec.json.encode(body))


@pytest.mark.parametrize(
    ("prompt", "n", "choices", "ask"),
    [("hi", None, 1, "hi"), (["a", "b"], 2, 4, "a\nb"), ([1, 2, 3], 2, 2, ""), ([[1, 2], [3]], None, 2, "")],
)
def test_prompts_of_every_kind(prompt, n, choices, ask):
    request = parse(prompt=prompt, n=n)
    assert request.choices == choices
    assert read_conversation(request.messages).ask == ask


def test_prompts_without_text_are_conversations_of_their_own():
    assert parse(prompt=[1, 2]).session != parse(prompt=[1, 3]).session
    assert parse(prompt=[1, 2]).session == parse(prompt=[1, 2]).session
    assert parse(prompt="a").session == ""
    assert parse(prompt=[1], session_id="s").session == "s"
    embeds = CompletionRequest.parse(b'{"model":"auto","prompt_embeds":"AAAA"}')
    assert embeds.session
    assert embeds.messages == []


def test_a_hybrid_cannot_be_switched_by_a_raw_prompt_so_nothing_is_sent():
    assert "chat_template_kwargs" not in sent("qwen3-hybrid", Mode.INSTRUCT)
    mine = {"a": 1}
    assert sent("qwen3-hybrid", Mode.INSTRUCT, chat_template_kwargs=mine)["chat_template_kwargs"] == mine


def test_sampling_defaults_and_the_pools_model_are_written():
    body = sent("qwen3-2507", Mode.THINKING, temperature=0)
    assert (body["model"], body["temperature"], body["top_p"]) == ("m", 0, 0.95)


@pytest.mark.parametrize(("prompt", "clean"), [("go /think", "go"), (["a /think", "b"], ["a", "b"])])
def test_switches_are_taken_out_of_prompts(prompt, clean):
    request = parse(prompt=prompt)
    assert request.may_switch
    assert sent("qwen3-2507", Mode.THINKING, Mode.THINKING, prompt=prompt)["prompt"] == clean


def test_a_judge_that_asks_a_backend_gets_the_prompt_as_a_message():
    body = parse(prompt=["a", "b"]).for_judge(FAMILIES["generic-pair"], msgspec.Raw(b'"m"'), None)
    assert json.loads(bytes(body["messages"])) == [{"role": "user", "content": "a\nb"}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": 3}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [None]}, "prompt[0]"),
        ({"n": "2"}, "n"),
        ({"stream": 1}, "stream"),
        ({"structured_outputs": [1]}, "structured_outputs"),
        ({"reasoning_effort": "vast"}, "reasoning_effort"),
        ({"max_tokens": 10**30}, "max_tokens"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(fields, param):
    with pytest.raises(BadRequest) as error:
        parse(**fields)
    assert error.value.param == param
