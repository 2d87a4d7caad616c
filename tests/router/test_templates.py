"""What the models' own chat templates make of the bodies that a family prepares: the mode is in the prompt.

Rendered as vLLM renders: jinja2's sandbox with transformers' settings, the request's `chat_template_kwargs`, and the
top-level `reasoning_effort`.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from router.family import load_families
from router.mode import Mode
from router.switches import last_switch

TEMPLATES = Path(__file__).parents[1] / "fixtures" / "templates"
FAMILIES = load_families()
INSTRUCT, THINKING = Mode.INSTRUCT, Mode.THINKING
ASK = [{"role": "user", "content": "Why is the sky blue?"}]
TOLD_BY_USER = [{"role": "system", "content": "Be brief."}, *ASK]

# The lines that read the switch, restated from the published templates.
RESTATED = {
    "nemotron-2": (  # NVIDIA-Nemotron-Nano-9B-v2
        "{%- set ns = namespace(on=true) -%}"
        "{%- for m in messages -%}{%- if m['role'] in ('user', 'system') -%}"
        "{%- if '/think' in m['content'] -%}{%- set ns.on = true -%}"
        "{%- elif '/no_think' in m['content'] -%}{%- set ns.on = false -%}{%- endif -%}"
        "{%- endif -%}"
        "{{- m['content'].replace('/think', '').replace('/no_think', '').strip() + '\n' -}}"
        "{%- endfor -%}"
        "{{- '<think>\n' if ns.on else '<think></think>' -}}"
    ),
    "nemotron": (  # NVIDIA-Nemotron-3-Nano
        "{%- set enable_thinking = enable_thinking if enable_thinking is defined else True -%}"
        "{{- '<think>\n' if enable_thinking else '<think></think>' -}}"
    ),
    "hunyuan": (  # Hunyuan-A13B-Instruct: a prefix of the last user message
        "{%- if enable_thinking is defined and not enable_thinking -%}{{- '/no_think' -}}{%- endif -%}"
        "{{- messages[-1]['content'] -}}"
    ),
    "hunyuan-3": (  # Hy3
        "{%- set effort = reasoning_effort if reasoning_effort is defined else 'no_think' -%}"
        "{%- if effort not in ['high', 'low', 'no_think'] -%}{{ raise_exception('reasoning_effort') }}{%- endif -%}"
        "{{- '<think>' if effort in ['low', 'high'] else '<think></think>' -}}"
    ),
}


def environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])

    def raise_exception(message: str) -> None:
        raise ValueError(message)

    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = lambda form: "2026-01-01"
    return made


def body_of(family: str, mode: Mode | None, messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    raw = msgspec.json.encode({"messages": messages, **fields})
    body = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    FAMILIES[family].prepare(body, mode, messages=messages, switch=last_switch(messages))
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(body))
    return decoded


def prompt(template: str, family: str, mode: Mode, messages: list[dict[str, Any]], **fields: Any) -> str:
    body = body_of(family, mode, messages, **fields)
    source = RESTATED.get(template) or (TEMPLATES / f"{template}.jinja").read_text("utf-8")
    arguments = dict(body.get("chat_template_kwargs") or {})
    effort = body.get("reasoning_effort")
    if effort is not None:  # as vLLM does
        arguments.setdefault("reasoning_effort", effort)
        arguments.setdefault("enable_thinking", effort != "none")
    return (
        environment()
        .from_string(source)
        .render(messages=body["messages"], add_generation_prompt=True, bos_token="<s>", eos_token="</s>", **arguments)
    )


# template, family, how the prompt ends (or what it holds) in Instruct and in Thinking mode
ENDS = [
    ("qwen3", "qwen3-hybrid", "<think>\n\n</think>\n\n", "<|im_start|>assistant\n"),
    ("qwen3.5", "qwen3.5", "<think>\n\n</think>\n\n", "<|im_start|>assistant\n<think>\n"),
    ("deepseek-v3.1", "deepseek-v3.1", "<｜Assistant｜><think></think>", "<｜Assistant｜><think>"),
    ("glm-4.6", "glm-4.5", "<|assistant|>\n<think></think>", "<|assistant|>"),
    ("nemotron-2", "nemotron-2", "<think></think>", "<think>\n"),
    ("nemotron", "nemotron", "<think></think>", "<think>\n"),
    ("hunyuan-3", "hunyuan-3", "<think></think>", "<think>"),
]
CLIENT_WORDS = [
    {},
    {"chat_template_kwargs": {"enable_thinking": True}},
    {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}},
    {"chat_template_kwargs": {"thinking": True}},
    {"enable_thinking": False, "reasoning_effort": "none"},
    {"reasoning_effort": "high", "thinking": {"type": "enabled"}},
]


@pytest.mark.parametrize(("template", "family", "off", "on"), ENDS)
@pytest.mark.parametrize("said", CLIENT_WORDS)
@pytest.mark.parametrize("messages", [ASK, TOLD_BY_USER])
def test_the_prompt_ends_as_the_mode_wants_whatever_the_fields_say(template, family, off, on, said, messages):
    assert prompt(template, family, INSTRUCT, messages, **said).endswith(off)
    thinking = prompt(template, family, THINKING, messages, **said)
    assert thinking.endswith(on)
    assert not thinking.endswith(off)


@pytest.mark.parametrize("said", CLIENT_WORDS)
def test_granite_is_told_to_think_where_the_client_has_no_system_message(said):
    assert "You can write down your thoughts" in prompt("granite-3.3", "granite", THINKING, ASK, **said)
    assert "You can write down your thoughts" not in prompt("granite-3.3", "granite", INSTRUCT, ASK, **said)


def test_granite_s_template_says_nothing_of_thinking_beside_a_system_message():
    """A limit of the template, named in docs/routing.md; this test tells when it is gone."""
    assert "You can write down your thoughts" not in prompt("granite-3.3", "granite", THINKING, TOLD_BY_USER)


@pytest.mark.parametrize(
    ("mode", "effort", "level"),
    [
        (INSTRUCT, None, "low"),
        (INSTRUCT, "none", "low"),
        (INSTRUCT, "high", "low"),
        (THINKING, None, "high"),
        (THINKING, "low", "low"),
        (THINKING, "medium", "medium"),
        (THINKING, "xhigh", "high"),
        (THINKING, "max", "high"),
        (THINKING, "none", "high"),
    ],
)
def test_gpt_oss_gets_an_effort_that_it_knows_and_the_least_of_all_in_instruct_mode(mode, effort, level):
    said = {} if effort is None else {"reasoning_effort": effort}
    assert f"Reasoning: {level}\n" in prompt("gpt-oss", "gpt-oss", mode, ASK, **said)


def test_hunyuan_is_told_by_a_prefix():
    assert prompt("hunyuan", "hunyuan", INSTRUCT, ASK).startswith("/no_think")
    assert not prompt("hunyuan", "hunyuan", THINKING, ASK).startswith("/no_think")


@pytest.mark.parametrize(
    "messages", [ASK, TOLD_BY_USER, [{"role": "system", "content": [{"type": "text", "text": "B"}]}]]
)
@pytest.mark.parametrize(("mode", "words"), [(INSTRUCT, "detailed thinking off"), (THINKING, "detailed thinking on")])
def test_llama_nemotron_is_told_in_its_system_prompt(messages, mode, words):
    first = body_of("nemotron-1", mode, messages)["messages"][0]
    assert first["role"] == "system"
    text = first["content"] if isinstance(first["content"], str) else first["content"][0]["text"]
    assert text.startswith(words)


def test_a_user_s_own_switch_does_not_overrule_the_decision_on_nemotron():
    messages = [{"role": "user", "content": "Hello /no_think"}]
    assert prompt("nemotron-2", "nemotron-2", THINKING, messages).endswith("<think>\n")


# ---------------------------------------------------------------------- earlier thinking

TALK = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "first", "reasoning": "SECRET A"},
    {"role": "user", "content": "two"},
    {"role": "assistant", "content": "<think>\nSECRET B\n</think>\n\nsecond"},
    {"role": "user", "content": "three"},
]
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
LOOP = [
    *TALK,
    {"role": "assistant", "content": "", "reasoning_content": "PLAN", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "42"},
]
HISTORIES = [
    ("qwen3", "qwen3-hybrid"),
    ("qwen3.5", "qwen3.5"),
    ("deepseek-v3.1", "deepseek-v3.1"),
    ("deepseek-r1", "deepseek-r1"),
    ("glm-4.6", "glm-4.5"),
    ("gpt-oss", "gpt-oss"),
    ("granite-3.3", "granite"),
]


@pytest.mark.parametrize(("template", "family"), HISTORIES)
@pytest.mark.parametrize("mode", list(Mode))
def test_no_prompt_holds_the_thinking_of_earlier_turns(template, family, mode):
    text = prompt(template, family, mode, TALK)
    assert "SECRET" not in text
    assert "first" in text
    assert "second" in text


@pytest.mark.parametrize(
    ("template", "family"), [("qwen3", "qwen3-hybrid"), ("qwen3.5", "qwen3.5"), ("glm-4.6", "glm-4.5")]
)
def test_the_thinking_of_a_tool_loop_under_way_is_in_the_prompt(template, family):
    messages = [dict(m) for m in LOOP]
    messages[5] = {**messages[5], "tool_calls": [{**CALL, "function": {"name": "look", "arguments": {}}}]}
    text = prompt(template, family, THINKING, messages)
    assert "PLAN" in text
    assert "SECRET" not in text
