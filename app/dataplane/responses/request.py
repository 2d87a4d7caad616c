"""A Responses request as the client sent it. Knows the wire format; decides nothing."""

from typing import Any

import msgspec

from app.dataplane.chat_request import decode_object
from app.dataplane.messages.request import texts_for_judge
from app.dataplane.wire import decode_wire
from app.errors import BadRequest
from router.family import Body, Family
from router.fields import FieldError, FieldIntent
from router.mode import Mode
from router.responses_fields import responses_fields
from router.switches import strip_switches, without_switches

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _Wire(msgspec.Struct):
    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    tools: list[msgspec.Raw] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    structured_outputs: dict[str, Any] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    enable_thinking: Any = None
    thinking: Any = None
    thinking_token_budget: Any = None
    session_id: Any = None
    prompt_cache_key: Any = None


_decoder = msgspec.json.Decoder(_Wire)
_INTENT_FIELDS = ("reasoning", "chat_template_kwargs", "enable_thinking", "thinking", "thinking_token_budget")


class ResponseRequest(msgspec.Struct, frozen=True):
    """A RoutedRequest. `input` is what came, `messages` the conversation as a judge reads it.

    `follows` is the id of the response that this one goes on from, or empty.
    """

    model: str
    fields: Body
    input: str | list[dict[str, Any]]
    instructions: str
    messages: list[dict[str, Any]]
    intent: FieldIntent
    stream: bool
    background: bool
    follows: str
    tools: int
    response_format: str
    session: str
    may_switch: bool
    wants_usage: bool = True
    choices: int = 1

    @classmethod
    def parse(cls, body: bytes) -> "ResponseRequest":
        """Raises BadRequest, which names the field and the fix."""
        fields = decode_object(body)
        wire = decode_wire(_decoder, body, fields)
        try:
            intent = responses_fields({name: getattr(wire, name) for name in _INTENT_FIELDS})
        except FieldError as error:
            raise BadRequest(str(error), param=error.param) from None
        session, format_ = wire.session_id or wire.prompt_cache_key, (wire.text or {}).get("format")
        return cls(
            model=wire.model,
            fields=fields,
            input=wire.input,
            instructions=wire.instructions or "",
            messages=_messages(wire.instructions, wire.input),
            intent=intent,
            stream=bool(wire.stream),
            background=bool(wire.background),
            follows=wire.previous_response_id or "",
            tools=0 if wire.tools is None else len(wire.tools),
            response_format=str(format_.get("type", "")) if isinstance(format_, dict) else "",
            session=session if isinstance(session, str) else "",
            may_switch=b"think" in body or b"\\u00" in body,
        )

    def for_backend(self, family: Family, mode: Mode | None, model: msgspec.Raw, switch: Mode | None) -> Body:
        """The fields that a backend of `family` gets for `mode`.

        Families speak of `reasoning_effort`, which is `reasoning.effort` here; the rest has the same names.
        """
        fields: Body = dict(self.fields)
        fields["model"] = model
        stray = fields.pop("reasoning_effort", None)
        reasoning = _decode(fields.pop("reasoning")) if "reasoning" in fields else None
        if isinstance(reasoning, dict) and reasoning.get("effort") is not None:
            fields["reasoning_effort"] = msgspec.Raw(_encode(reasoning.pop("effort")))
        family.prepare(fields, mode, messages=None, switch=None)
        effort = fields.pop("reasoning_effort", None)
        if effort is not None:
            reasoning = {**(reasoning or {}), "effort": _decode(effort)}
        if reasoning or "reasoning" in self.fields:
            fields["reasoning"] = msgspec.Raw(_encode(reasoning or None))
        if stray is not None:
            fields["reasoning_effort"] = stray
        if switch is not None and not (family.knows_switches and switch is mode):
            if self.instructions:
                fields["instructions"] = msgspec.Raw(_encode(strip_switches(self.instructions)))
            given = self.input
            clean = strip_switches(given) if isinstance(given, str) else without_switches(given)
            fields["input"] = msgspec.Raw(_encode(clean))
        return fields

    def for_judge(self, family: Family, model: msgspec.Raw, switch: Mode | None) -> Body:
        """The texts as chat messages; tools and images are left out."""
        return texts_for_judge(self.messages, family, model, switch)


def _messages(instructions: str | None, given: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation: items of thinking are nobody's turn."""
    turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
    turns = [turn for turn in turns if turn.get("type") != "reasoning"]
    return [{"role": "system", "content": instructions}, *turns] if instructions else turns
