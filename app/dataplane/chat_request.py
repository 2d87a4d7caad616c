"""A chat-completions request as the client sent it. Knows the wire format; decides nothing.

Only what routing needs is decoded; every other field is kept as raw JSON and reaches the backend byte for byte.
"""

from typing import Any

import msgspec

from app.errors import BadRequest
from router.family import Body
from router.fields import FieldError, FieldIntent, chat_fields

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode
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
        if "model" not in fields:
            raise BadRequest("`model` is required: name a route such as `auto`, or a model.", param="model")
        model = value_of(fields, "model")
        if not isinstance(model, str):
            raise BadRequest("`model` must be a string.", param="model")
        messages = _messages(fields)
        kwargs = _optional(fields, "chat_template_kwargs", dict, "an object")
        stream = _optional(fields, "stream", bool, "true or false") or False
        options = _optional(fields, "stream_options", dict, "an object") or {}
        choices = _optional(fields, "n", int, "an integer")
        tools = _optional(fields, "tools", list, "an array")
        intent_values = {name: value_of(fields, name) for name in _INTENT_FIELDS if name in fields}
        if kwargs is not None:
            intent_values["chat_template_kwargs"] = kwargs
        try:
            intent = chat_fields(intent_values)
        except FieldError as error:
            raise BadRequest(str(error), param=error.param) from None
        format_ = value_of(fields, "response_format") if "response_format" in fields else None
        return cls(
            model=model,
            fields=fields,
            messages=messages,
            intent=intent,
            stream=stream,
            wants_usage=options.get("include_usage") is True,
            choices=1 if choices is None else choices,
            tools=len(tools or ()),
            response_format=str(format_.get("type", "")) if isinstance(format_, dict) else "",
            session=_session(fields),
            # JSON may write the slash or any letter as an escape; then only the decoded text can tell.
            may_switch=b"think" in body or b"\\u00" in body,
        )


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


def value_of(fields: Body, name: str) -> Any:
    """The decoded value of a field that is there."""
    try:
        return _decode(fields[name])
    except msgspec.ValidationError:
        raise BadRequest(f"`{name}` holds a number that is out of range.", param=name) from None
    except msgspec.DecodeError:
        raise BadRequest(f"`{name}` is not valid JSON (an unpaired surrogate, perhaps).", param=name) from None
    except RecursionError:
        raise BadRequest(f"`{name}` is nested too deeply.", param=name) from None


def _position(error: msgspec.DecodeError) -> str:
    # msgspec's message says what is wrong and at which byte, and holds nothing of the body.
    return str(error).removeprefix("JSON is malformed: ")


def _optional(fields: Body, name: str, kind: type, words: str) -> Any:
    if name not in fields:
        return None
    value = value_of(fields, name)
    if value is None:
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadRequest(f"`{name}` must be {words}.", param=name)
    return value


def _messages(fields: Body) -> list[dict[str, Any]]:
    if "messages" not in fields:
        raise BadRequest("`messages` is required.", param="messages")
    messages = value_of(fields, "messages")
    if not isinstance(messages, list):
        raise BadRequest("`messages` must be an array of messages.", param="messages")
    if not messages:
        raise BadRequest("`messages` must hold at least one message.", param="messages")
    for i, message in enumerate(messages):
        if not isinstance(message, dict):
            raise BadRequest(f"`messages[{i}]` must be an object with `role` and `content`.", param=f"messages[{i}]")
        if not isinstance(message.get("role"), str):
            raise BadRequest(f"`messages[{i}].role` must be a string.", param=f"messages[{i}].role")
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            raise BadRequest(
                f"`messages[{i}].content` must be a string or an array of parts.", param=f"messages[{i}].content"
            )
    return messages


def _session(fields: Body) -> str:
    for name in ("session_id", "prompt_cache_key"):
        if name in fields:
            value = value_of(fields, name)
            if isinstance(value, str) and value:
                return value
    return ""
