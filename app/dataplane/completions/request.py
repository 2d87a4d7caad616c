"""A completions request as the client sent it: a raw prompt, no messages. Knows the wire format; decides nothing."""

from typing import Any

import msgspec

from app.dataplane.chat_request import decode_object
from app.dataplane.wire import decode_wire
from app.errors import BadRequest
from router.family import Body, Family
from router.fields import FieldError, FieldIntent, chat_fields
from router.mode import Mode
from router.switches import strip_switches

_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")


class _Wire(msgspec.Struct):
    model: str
    prompt: str | list[str | int | list[int]] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    n: int | None = None
    response_format: Any = None
    structured_outputs: dict[str, Any] | None = None  # vLLM fails on anything else
    chat_template_kwargs: dict[str, Any] | None = None
    enable_thinking: Any = None
    thinking: Any = None
    reasoning_effort: Any = None
    thinking_token_budget: Any = None
    session_id: Any = None
    prompt_cache_key: Any = None


_decoder = msgspec.json.Decoder(_Wire)
_INTENT_FIELDS = ("chat_template_kwargs", "enable_thinking", "thinking", "reasoning_effort", "thinking_token_budget")


class CompletionRequest(msgspec.Struct, frozen=True):
    """A RoutedRequest. `texts` are the prompts that are texts; token ids and embeddings hold nothing to judge."""

    model: str
    fields: Body
    texts: list[str]
    messages: list[dict[str, Any]]
    intent: FieldIntent
    stream: bool
    wants_usage: bool
    choices: int
    response_format: str
    session: str
    may_switch: bool
    tools: int = 0

    @classmethod
    def parse(cls, body: bytes) -> "CompletionRequest":
        """Raises BadRequest, which names the field and the fix."""
        fields = decode_object(body)
        wire = decode_wire(_decoder, body, fields)
        prompt = wire.prompt
        if prompt is None and fields.get("prompt_embeds", _NULL) == _NULL:
            raise BadRequest("`prompt` is required: a string, an array of strings, or token ids.", param="prompt")
        prompts = [] if prompt is None else [prompt] if isinstance(prompt, str) else prompt
        texts = [part for part in prompts if isinstance(part, str)]
        if texts and len(texts) < len(prompts):
            raise BadRequest("`prompt` must hold strings or token ids, not both.", param="prompt")
        try:
            intent = chat_fields({name: getattr(wire, name) for name in _INTENT_FIELDS})
        except FieldError as error:
            raise BadRequest(str(error), param=error.param) from None
        options, session = wire.stream_options, wire.session_id or wire.prompt_cache_key
        format_ = wire.response_format
        return cls(
            model=wire.model,
            fields=fields,
            texts=texts,
            # One backend answers all prompts of a batch, so they are judged as one ask.
            messages=[{"role": "user", "content": "\n".join(texts)}] if texts else [],
            intent=intent,
            stream=bool(wire.stream),
            wants_usage=options is not None and options.get("include_usage") is True,
            choices=(1 if wire.n is None else wire.n) * _batch(prompts),
            response_format=str(format_.get("type", "")) if isinstance(format_, dict) else "",
            session=session if isinstance(session, str) and session else _unread(fields, texts),
            may_switch=any("think" in text for text in texts),
        )

    def for_backend(self, family: Family, mode: Mode | None, model: msgspec.Raw, switch: Mode | None) -> Body:
        """The fields that a backend of `family` gets for `mode`.

        No chat template is applied to a raw prompt, so there is nothing to send by which a hybrid model would be
        switched: the family's own fields are left out.
        """
        fields: Body = dict(self.fields)
        fields["model"] = model
        family.prepare(fields, mode, messages=None, switch=None)
        for name in family.send.get(mode, {}):
            fields.pop(name, None)
            if name in self.fields:
                fields[name] = self.fields[name]
        if switch is not None and not (family.knows_switches and switch is mode):
            clean = [strip_switches(text) for text in self.texts]
            one = bytes(self.fields["prompt"]).startswith(b'"')
            fields["prompt"] = msgspec.Raw(_encode(clean[0] if one else clean))
        return fields

    def for_judge(self, family: Family, model: msgspec.Raw, switch: Mode | None) -> Body:
        """The prompt as a chat message."""
        fields: Body = {"model": model, "messages": msgspec.Raw(_encode(self.messages))}
        family.prepare(fields, Mode.INSTRUCT, messages=self.messages, switch=switch)
        return fields


def _batch(prompts: list[Any]) -> int:
    """How many prompts there are: a list of numbers is one prompt."""
    return 1 if not prompts or isinstance(prompts[0], int) else len(prompts)


def _unread(fields: Body, texts: list[str]) -> str:
    """A name for a conversation that has no text to know it by."""
    return "" if texts else f"prompt:{hash(bytes(fields.get('prompt', fields.get('prompt_embeds', _NULL))))}"
