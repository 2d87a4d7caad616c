"""A chat-completions request as the client sent it. Knows the wire format; decides nothing.

Only what routing needs is decoded; every other field is kept as raw JSON and reaches the backend byte for byte.
"""

import re
from typing import Any

import msgspec

from app.errors import BadRequest
from router.family import Body, Family
from router.fields import NO_FIELDS, FieldError, FieldIntent, chat_fields
from router.mode import Mode

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode


class _Wire(msgspec.Struct):
    """The fields that routing reads, with the types that they must have."""

    model: str
    messages: list[dict[str, Any]]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    n: int | None = None
    tools: list[msgspec.Raw] | None = None
    response_format: Any = None
    structured_outputs: dict[str, Any] | None = None  # vLLM fails on anything else
    chat_template_kwargs: dict[str, Any] | None = None
    enable_thinking: Any = None
    thinking: Any = None
    reasoning_effort: Any = None
    thinking_token_budget: Any = None
    session_id: Any = None
    prompt_cache_key: Any = None


_decode_wire = msgspec.json.Decoder(_Wire).decode
_INTENT_FIELDS = ("chat_template_kwargs", "enable_thinking", "thinking", "reasoning_effort", "thinking_token_budget")


class ChatRequest(msgspec.Struct, frozen=True):
    """`fields` holds every field as raw JSON; `may_switch` is False where no soft switch can be in the text."""

    model: str
    fields: Body
    messages: list[dict[str, Any]]
    intent: FieldIntent
    stream: bool
    wants_usage: bool
    choices: int
    tools: int
    response_format: str
    session: str
    may_switch: bool

    @classmethod
    def parse(cls, body: bytes) -> "ChatRequest":
        """Raises BadRequest, which names the field and the fix."""
        fields = decode_object(body)
        try:
            wire = _decode_wire(body)
        except msgspec.ValidationError as error:
            raise wrong_type(error, fields) from None
        except msgspec.DecodeError:
            raise BadRequest("The request body is not valid JSON (an unpaired surrogate, perhaps).") from None
        except RecursionError:
            raise BadRequest("The request body is nested too deeply.") from None
        check_messages(wire.messages)
        intent = NO_FIELDS
        if not _INTENT_NAMES.isdisjoint(fields):
            try:
                intent = chat_fields({name: getattr(wire, name) for name in _INTENT_FIELDS})
            except FieldError as error:
                raise BadRequest(str(error), param=error.param) from None
        options, format_, session = wire.stream_options, wire.response_format, wire.session_id or wire.prompt_cache_key
        return cls(
            wire.model,
            fields,
            wire.messages,
            intent,
            bool(wire.stream),
            options is not None and options.get("include_usage") is True,
            1 if wire.n is None else wire.n,
            0 if wire.tools is None else len(wire.tools),
            str(format_.get("type", "")) if isinstance(format_, dict) else "",
            session if isinstance(session, str) else "",
            # JSON may write the slash or any letter as an escape; then only the decoded text can tell.
            b"think" in body or b"\\u00" in body,
        )

    def for_backend(self, family: Family, mode: Mode | None, model: msgspec.Raw, switch: Mode | None) -> Body:
        """The fields that a backend of `family` gets for `mode`."""
        fields: Body = dict(self.fields)
        fields["model"] = model
        family.prepare(fields, mode, messages=self.messages, switch=switch)
        return fields

    def for_judge(self, family: Family, model: msgspec.Raw, switch: Mode | None) -> Body:
        """The fields that an Instruct backend would get."""
        return self.for_backend(family, Mode.INSTRUCT, model, switch)


def decode_object(body: bytes) -> Body:
    """The fields of a JSON object as raw JSON; raises BadRequest for anything else."""
    try:
        if not body.isascii():
            str(body, "utf-8")
        return _decode_fields(body)
    except UnicodeDecodeError:
        raise BadRequest("The request body is not valid UTF-8.") from None
    except msgspec.ValidationError:
        raise BadRequest("The request body must be a JSON object.") from None
    except msgspec.DecodeError as error:
        where = "" if body else "; it is empty"
        raise BadRequest(f"The request body is not valid JSON: {_position(error)}{where}.") from None
    except RecursionError:
        raise BadRequest("The request body is nested too deeply.") from None


_INTENT_NAMES = frozenset(_INTENT_FIELDS)
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_EXPECTED = re.compile(r"Expected `([^`]+)`(?:, got `[^`]+`)?(?: - at `\$\.?([^`]*)`)?")
_MISSING = re.compile(r"missing required field `([^`]+)`")


def wrong_type(error: msgspec.ValidationError, fields: Body) -> BadRequest:
    """msgspec's words as ours: the field, and what it must be. They hold nothing of the body's text."""
    text = str(error)
    if missing := _MISSING.search(text):
        name = missing.group(1)
        hint = ": name a route such as `auto`, or a model" if name == "model" else ""
        return BadRequest(f"`{name}` is required{hint}.", param=name)
    if found := _EXPECTED.search(text):
        kinds, path = found.group(1), (found.group(2) or "").replace("[...]", "")
        if path == "messages" and isinstance(values := _decode(fields["messages"]), list):
            return _bad_message(values)
        words = " or ".join(_WORDS.get(kind.strip(), kind) for kind in kinds.split(" | "))
        return BadRequest(f"`{path or 'body'}` must be {words}.", param=path or None)
    return BadRequest("The request body holds a number that is out of range.")


def _bad_message(messages: list[Any]) -> BadRequest:
    i = next((i for i, message in enumerate(messages) if not isinstance(message, dict)), 0)
    return BadRequest(f"`messages[{i}]` must be an object with `role` and `content`.", param=f"messages[{i}]")


def check_messages(messages: list[dict[str, Any]]) -> None:
    """Raises BadRequest where messages are missing, or have no role or no content that can be read."""
    if not messages:
        raise BadRequest("`messages` must hold at least one message.", param="messages")
    for i, message in enumerate(messages):
        if type(message.get("role")) is not str:
            raise BadRequest(f"`messages[{i}].role` must be a string.", param=f"messages[{i}].role")
        content = message.get("content")
        if type(content) is not str and content is not None and type(content) is not list:
            raise BadRequest(
                f"`messages[{i}].content` must be a string or an array of parts.", param=f"messages[{i}].content"
            )


def _position(error: msgspec.DecodeError) -> str:
    # msgspec's message says what is wrong and at which byte, and holds nothing of the body.
    return str(error).removeprefix("JSON is malformed: ")
