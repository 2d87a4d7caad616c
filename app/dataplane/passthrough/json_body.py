"""The `model` of a JSON body: read, and replaced by another name. Knows nothing else of the body."""

import msgspec

from app.dataplane.chat_request import decode_object
from app.errors import BadRequest

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class JsonBody:
    """A JSON object. Raises BadRequest for anything else, or where `model` is no string."""

    def __init__(self, body: bytes) -> None:
        self.raw = body
        self._fields = decode_object(body)
        model = _decode(self._fields["model"]) if "model" in self._fields else None
        if model is not None and not isinstance(model, str):
            raise BadRequest("`model` must be a string.", param="model")
        self.model: str | None = model

    def naming(self, model: str) -> bytes:
        """The body with another model's name; the rest byte for byte."""
        return _encode({**self._fields, "model": model})
