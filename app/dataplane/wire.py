"""A request's body as typed fields, or an error that names the field. Knows JSON; knows no protocol's fields."""

import re
from typing import TypeVar

import msgspec

from app.dataplane.chat_request import wrong_type
from app.errors import BadRequest
from router.family import Body

T = TypeVar("T")
_INTEGER = re.compile(rb"-?\d+")


def decode_wire(decoder: msgspec.json.Decoder[T], body: bytes, fields: Body) -> T:
    """The fields that routing reads, with the types that they must have; `fields` are the body's, as raw JSON.

    Raises BadRequest, which names the field and what it must be.
    """
    for name, raw in fields.items():
        # Backends keep numbers in 64 bits, and some of them fail on larger ones instead of refusing them.
        view = memoryview(raw)
        if view.nbytes < 19 or view[0] not in b"-0123456789":
            continue
        if _INTEGER.fullmatch(view) and not -(2**63) <= int(bytes(view[:40])) < 2**63:
            raise BadRequest(f"`{name[:50]}` is out of range.", param=name[:50])
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise wrong_type(error, fields) from None
    except msgspec.DecodeError:
        raise BadRequest("The request body is not valid JSON (an unpaired surrogate, perhaps).") from None
    except RecursionError:
        raise BadRequest("The request body is nested too deeply.") from None
