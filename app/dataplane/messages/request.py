"""A Messages request as the client sent it. Knows the wire format; decides nothing."""

from typing import Any

import msgspec

from app.dataplane.chat_request import check_messages, decode_object
from app.dataplane.messages.family_terms import prepare
from app.dataplane.wire import decode_wire
from app.errors import BadRequest
from router.family import Body, Family
from router.fields import FieldError, FieldIntent
from router.messages_fields import messages_fields
from router.mode import Mode
from router.switches import without_switches

_encode = msgspec.json.Encoder().encode


class _Wire(msgspec.Struct):
    model: str
    messages: list[dict[str, Any]]
    system: str | list[dict[str, Any]] | None = None
    stream: bool | None = None
    tools: list[msgspec.Raw] | None = None
    thinking: Any = None
    output_config: dict[str, Any] | None = None
    chat_template_kwargs: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Wire)
_INTENT_FIELDS = ("thinking", "output_config", "chat_template_kwargs")


class MessageRequest(msgspec.Struct, frozen=True):
    """A RoutedRequest. `turns` are the messages as they came; `system` is the system prompt, None where there is none.

    The Messages API has no `n`, always tells usage, and names no session.
    """

    model: str
    fields: Body
    system: str | list[dict[str, Any]] | None
    turns: list[dict[str, Any]]
    intent: FieldIntent
    stream: bool
    tools: int
    response_format: str
    may_switch: bool
    wants_usage: bool = True
    choices: int = 1
    session: str = ""

    @classmethod
    def parse(cls, body: bytes) -> "MessageRequest":
        """Raises BadRequest, which names the field and the fix."""
        fields = decode_object(body)
        wire = decode_wire(_decoder, body, fields)
        check_messages(wire.messages)
        try:
            intent = messages_fields({name: getattr(wire, name) for name in _INTENT_FIELDS})
        except FieldError as error:
            raise BadRequest(str(error), param=error.param) from None
        format_ = (wire.output_config or {}).get("format")
        return cls(
            model=wire.model,
            fields=fields,
            system=wire.system,
            turns=wire.messages,
            intent=intent,
            stream=bool(wire.stream),
            tools=0 if wire.tools is None else len(wire.tools),
            response_format=str(format_.get("type", "")) if isinstance(format_, dict) else "",
            may_switch=b"think" in body or b"\\u00" in body,
        )

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation as a judge reads it: blocks of text, tools and images are named as in chat or understood."""
        return [{"role": "system", "content": self.system}, *self.turns] if self.system else self.turns

    def for_backend(self, family: Family, mode: Mode | None, model: msgspec.Raw, switch: Mode | None) -> Body:
        """The fields that a backend of `family` gets for `mode`."""
        fields: Body = dict(self.fields)
        fields["model"] = model
        prepare(fields, family, mode)
        turns = family.tidied(self.turns, mode) or self.turns
        if turns is not self.turns:
            fields["messages"] = msgspec.Raw(_encode(turns))
        if switch is not None and not (family.knows_switches and switch is mode):
            clean = without_switches([{"role": "system", "content": self.system}, *turns] if self.system else turns)
            if self.system:
                fields["system"] = msgspec.Raw(_encode(clean[0]["content"]))
                clean = clean[1:]
            fields["messages"] = msgspec.Raw(_encode(clean))
        return fields

    def for_judge(self, family: Family, model: msgspec.Raw, switch: Mode | None) -> Body:
        """The texts as chat messages; tools and images are left out."""
        return texts_for_judge(self.messages, family, model, switch)


def texts_for_judge(messages: list[dict[str, Any]], family: Family, model: msgspec.Raw, switch: Mode | None) -> Body:
    """The texts of `messages`, of whatever shape their parts, as the fields of a chat completion in instruct mode."""
    chat = []
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if isinstance(content, list):
            parts = [part.get("text") for part in content if isinstance(part, dict)]
            content = "\n".join(part for part in parts if isinstance(part, str))
        if role in ("system", "developer", "user", "assistant") and isinstance(content, str) and content:
            chat.append({"role": role, "content": content})
    fields: Body = {"model": model, "messages": msgspec.Raw(_encode(chat))}
    family.prepare(fields, Mode.INSTRUCT, messages=chat, switch=switch)
    return fields
